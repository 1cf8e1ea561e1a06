"""Files to be scored, cut into parts that fit into memory: row groups of Parquet, stretches of whole lines of CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from flyball.kernel.errors import InvalidInput
from flyball.serving.entities import ColumnKind, Signature

PARQUET, CSV = ".parquet", ".csv"
# About as much memory as a part of Parquet of thirty columns takes.
CSV_PART_BYTES = 32 << 20
_BLOCK = 1 << 20
_NUMBERS = {
    ColumnKind.INTEGER: pa.int64(),
    ColumnKind.LONG: pa.int64(),
    ColumnKind.FLOAT: pa.float64(),
    ColumnKind.DOUBLE: pa.float64(),
}
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A stretch of one file: row groups, or bytes, `start` to `end` (not included). `first_row` counts the rows of the file before it."""

    number: int
    path: str
    start: int
    end: int
    first_row: int

    @property
    def is_csv(self) -> bool:
        """Whether the file is CSV."""
        return self.path.endswith(CSV)


def find_files(given: Path) -> list[Path]:
    """Return the files of an input: itself, or all Parquet and CSV files below a folder, in the order of their names.

    Raises:
        InvalidInput: there is none, or the file is of another kind.
    """
    if given.is_file():
        if given.suffix not in {PARQUET, CSV}:
            raise InvalidInput(f"{given}: only .parquet and .csv files are scored", field="input")
        return [given]
    found = sorted(path for path in given.rglob("*") if path.suffix in {PARQUET, CSV} and path.is_file())
    if not found:
        raise InvalidInput(f"{given}: there is no .parquet or .csv file", field="input")
    return found


def cut_parts(files: Sequence[Path], *, part_rows: int) -> Iterator[Part]:
    """Yield the parts of files, numbered through all of them; a row group of Parquet is never cut.

    Raises:
        InvalidInput: a file cannot be read as what its name says.
    """
    number = 0
    for path in files:
        cut = _csv_parts(path) if path.suffix == CSV else _parquet_parts(path, part_rows=part_rows)
        for start, end, first_row in cut:
            yield Part(number=number, path=str(path), start=start, end=end, first_row=first_row)
            number += 1


def read_part(part: Part, signature: Signature, *, keep: Sequence[str]) -> pa.Table:
    """Return the columns of a part that the model wants and those that are kept.

    Raises:
        InvalidInput: the bytes cannot be read, a kept column is missing, or a text is no value of its column; rows are counted in the part.
    """
    table = _read_csv(part, signature) if part.is_csv else _read_parquet(part)
    missing = [name for name in keep if name not in table.column_names]
    if missing:
        raise InvalidInput(f"there is no column '{missing[0]}' to keep", field=missing[0])
    wanted = [name for name in table.column_names if name in signature.names or name in keep]
    return table.select(wanted)


def _parquet_parts(path: Path, *, part_rows: int) -> Iterator[tuple[int, int, int]]:
    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{path} is no Parquet file: {error}", field="input") from error
    start = rows = first_row = 0
    for group in range(metadata.num_row_groups):
        count = metadata.row_group(group).num_rows
        if rows and rows + count > part_rows:
            yield start, group, first_row
            start, first_row, rows = group, first_row + rows, 0
        rows += count
    if rows:
        yield start, metadata.num_row_groups, first_row


def _read_parquet(part: Part) -> pa.Table:
    try:
        return pq.ParquetFile(part.path).read_row_groups(list(range(part.start, part.end)))
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"it cannot be read: {error}", field="input") from error


def _csv_parts(path: Path) -> Iterator[tuple[int, int, int]]:
    """Cut behind the last line of every stretch; a line break within quotes is none (RFC 4180)."""
    with path.open("rb") as file:
        start = position = _header_end(file)
        quotes = rows = first_row = 0
        last_end = start
        rows_at_end = 0
        file.seek(start)
        while block := file.read(_BLOCK):
            for line in block.splitlines(keepends=True):
                position += len(line)
                quotes += line.count(b'"')
                if line.endswith(b"\n") and quotes % 2 == 0:
                    rows += 1
                    last_end, rows_at_end = position, rows
            if last_end - start >= CSV_PART_BYTES:
                yield start, last_end, first_row
                start, first_row = last_end, rows_at_end
        if position > start:
            yield start, position, first_row


def _header_end(file: BinaryIO) -> int:
    """Read past the header, which may itself have line breaks within quotes, and return where it ends."""
    quotes = 0
    while line := file.readline():
        quotes += line.count(b'"')
        if quotes % 2 == 0:
            break
    return file.tell()


def _read_csv(part: Part, signature: Signature) -> pa.Table:
    """Read every column as text, and then each that the model wants as what its signature says: "001" stays what it is."""
    with Path(part.path).open("rb") as file:
        end = _header_end(file)
        file.seek(0)
        header = file.read(end)
        file.seek(part.start)
        content = file.read(part.end - part.start)
    try:
        names = next(csv.reader(io.StringIO(header.decode("utf-8-sig"), newline="")), [])
        texts = pa_csv.read_csv(
            pa.BufferReader(content),
            read_options=pa_csv.ReadOptions(column_names=names, use_threads=False),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InvalidInput(f"it is no CSV in UTF-8: {error}", field="input") from error
    kinds = {spec.name: spec.kind for spec in signature.inputs}
    columns = {name: _typed(name, texts.column(name), kinds.get(name)) for name in texts.column_names}
    return pa.table(columns)


def _typed(name: str, texts: pa.ChunkedArray, kind: ColumnKind | None) -> pa.ChunkedArray | pa.Array:
    if kind is ColumnKind.BOOLEAN:
        return pa.array([_truth(name, row, text) for row, text in enumerate(texts.to_pylist())], type=pa.bool_())
    if kind not in _NUMBERS:
        return texts
    given = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
    try:
        return given.cast(_NUMBERS[kind])
    except pa.ArrowInvalid:
        return pa.array([_number(name, row, text) for row, text in enumerate(given.to_pylist())], type=pa.float64())


def _truth(name: str, row: int, text: str) -> bool:
    value = _TRUTHS.get(text.strip().lower())
    if value is None:
        raise InvalidInput(f"column '{name}': row {row} ('{text}') is neither true nor false", field=name)
    return value


def _number(name: str, row: int, text: str | None) -> float | None:
    """Read one of a column of which one is no integer, or no number: 1.0 for an integer is left to the signature."""
    try:
        return None if text is None else float(text)
    except ValueError as error:
        raise InvalidInput(f"column '{name}': row {row} ('{text}') is no number", field=name) from error
