"""Files are read as they were meant, and what cannot be read is refused with the place of the fault."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from flyball.datasets.ingestion import read_file
from flyball.kernel.errors import InvalidInput, NotFound, Unsupported


def _file(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_types_are_inferred(tmp_path: Path) -> None:
    data = b"n,x,flag,day,text\n1,0.5,true,2024-02-29,a\n2,1e3,false,2024-03-01,b\n"
    table = read_file(_file(tmp_path, "rows.csv", data))
    assert [str(field.type) for field in table.schema] == ["int64", "double", "bool", "date32[day]", "string"]


def test_types_are_inferred_from_the_whole_file(tmp_path: Path) -> None:
    rows = 400_000  # several of the megabytes from which other readers infer
    table = read_file(_file(tmp_path, "rows.csv", b"n,text\n" + b"1,2\n" * rows + b"0.5,x\n"))
    assert [str(field.type) for field in table.schema] == ["double", "string"]
    assert table.num_rows == rows + 1


def test_empty_cells_and_words_for_nothing_are_missing_unless_quoted(tmp_path: Path) -> None:
    table = read_file(_file(tmp_path, "rows.csv", b'n,text\n1,a\n,\nNA,NA\nnan,"NA"\n4,""\n'))
    assert table.to_pydict() == {"n": [1, None, None, None, 4], "text": ["a", None, None, "NA", ""]}


def test_quoted_cells_may_hold_commas_newlines_and_quotes(tmp_path: Path) -> None:
    table = read_file(_file(tmp_path, "rows.csv", b'text\r\n"a,b"\r\n"c\nd"\r\n"say ""hi"""\r\n'))
    assert table.to_pydict() == {"text": ["a,b", "c\nd", 'say "hi"']}


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert read_file(_file(tmp_path, "rows.csv", b"\xef\xbb\xbfa,b\n1,2\n")).column_names == ["a", "b"]


def test_parquet_is_told_by_its_content(tmp_path: Path) -> None:
    table = pa.table({"x": [1, 2]})
    parquet.write_table(table, tmp_path / "rows.dat")
    assert read_file(tmp_path / "rows.dat").equals(table)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("rows.csv", b"", "is empty"),
        ("rows.parquet", b"", "is empty"),
        ("rows.csv", b"\n\n", "no readable CSV"),
        ("rows.csv", b"a,b\n", "no rows"),
        ("rows.csv", b"a,b\n1,2\n3\n", "row 3 .* has 1 cells where the header has 2"),
        ("rows.csv", b"a,b\n1,2\n3,4,5\n", "row 3 .* has 3 cells where the header has 2"),
        ("rows.csv", b"a,b,a\n1,2,3\n", "two columns are called 'a'"),
        ("rows.csv", b"a,,c\n1,2,3\n", "column 2 has no name"),
        ("rows.csv", b"a;b\n1;2\n", "not separated by commas"),
        ("rows.csv", b'a,b\n1,"x\n2,y\n', "quote that is never closed"),
        ("rows.csv", "a,b\n1,größe\n".encode("latin-1"), "column 'b' .* no UTF-8"),
        ("rows.csv", "a,größe\n1,2\n".encode("latin-1"), "header .* no UTF-8"),
        ("rows.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("rows.parquet", b"a,b\n1,2\n", "no readable Parquet"),
        ("rows.csv", b"PAR1 and then nothing", "no readable Parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_fault(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_file(_file(tmp_path, name, data))


def test_a_parquet_file_cut_short_is_refused(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"x": list(range(1_000))}), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    with pytest.raises(InvalidInput, match="cut short"):
        read_file(_file(tmp_path, "rows.parquet", whole[:-100]))


def test_an_unknown_format_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"rows\.xlsx"):
        read_file(_file(tmp_path, "rows.xlsx", b"PK\x03\x04"))


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_file(tmp_path / "absent.csv")
