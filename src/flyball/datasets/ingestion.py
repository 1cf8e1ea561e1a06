"""Read a file that somebody brings: CSV or Parquet, told by its content, with errors that say what is wrong and where."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from flyball.artifacts.streams import read_chunks
from flyball.datasets.normal_form import check_column_names
from flyball.datasets.parquet import read_parquet
from flyball.kernel.errors import InvalidInput, NotFound, Unsupported

PARQUET_MAGIC = b"PAR1"
PARQUET_SUFFIXES = frozenset({".parquet", ".pq"})
CSV_SUFFIXES = frozenset({".csv"})
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# Types are inferred from the first block, and a block is at most 2 GiB: nearly always the whole file, so that a column of
# whole numbers with one fraction in its last row is read as fractions.
MAX_BLOCK_BYTES = 1 << 30
OTHER_SEPARATORS = (";", "\t", "|")
# What stands for "no value", quoted text excepted; everything else is a value.
NULL_TEXTS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL"]


def read_file(path: Path) -> pa.Table:
    """Read a CSV or Parquet file into a table.

    A CSV file is UTF-8, separated by commas, with the names of the columns in its first line. Cells that are empty or say
    NA, N/A, NaN, nan, null or NULL are missing, unless they are quoted.

    Raises:
        NotFound: there is no such file.
        InvalidInput: the file is empty, damaged or ragged, or two columns have one name.
        Unsupported: it is neither CSV nor Parquet.
    """
    if not path.is_file():
        raise NotFound(f"there is no file {path}", field="path")
    with path.open("rb") as file:
        head = file.read(len(PARQUET_MAGIC))
    if not head:
        raise InvalidInput(f"'{path.name}' is empty", field="path")
    if head == PARQUET_MAGIC or path.suffix.lower() in PARQUET_SUFFIXES:
        return read_parquet(path)
    if path.suffix.lower() in CSV_SUFFIXES:
        return _read_csv(path, head)
    raise Unsupported(
        f"'{path.name}' is neither CSV (.csv) nor Parquet (.parquet); convert it, or correct its name", field="path"
    )


def _read_csv(path: Path, head: bytes) -> pa.Table:
    if head.startswith(UTF16_MARKS):
        raise InvalidInput(f"'{path.name}' is UTF-16; save it as UTF-8", field="path")
    _check_quotes(path)
    ragged: list[csv.InvalidRow] = []
    try:
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(block_size=min(path.stat().st_size + 1, MAX_BLOCK_BYTES), use_threads=False),
            parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=_remember(ragged)),
            convert_options=csv.ConvertOptions(
                null_values=NULL_TEXTS, strings_can_be_null=True, quoted_strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise InvalidInput(_csv_fault(path, ragged, error), field="path") from error
    _check_header(path, table)
    return table


def _remember(ragged: list[csv.InvalidRow]) -> csv.InvalidRowHandler:
    def handle(row: csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    return handle


def _csv_fault(path: Path, ragged: list[csv.InvalidRow], error: Exception) -> str:
    if not ragged:
        return f"'{path.name}' is no readable CSV: {error}"
    row = ragged[0]
    return (
        f"'{path.name}' is ragged: row {row.number} (the header is row 1, blank lines do not count) has {row.actual_columns} cells "
        f"where the header has {row.expected_columns}; it begins with '{row.text[:80]}'"
    )


def _check_quotes(path: Path) -> None:
    """Refuse a quote that is never closed: it would swallow every row after it into one cell, without an error."""
    with path.open("rb") as file:
        count = sum(chunk.count(b'"') for chunk in read_chunks(file))
    if count % 2:
        raise InvalidInput(
            f"'{path.name}' has a quote that is never closed; write a quote inside a quoted cell twice", field="path"
        )


def _check_header(path: Path, table: pa.Table) -> None:
    try:
        check_column_names(table.column_names)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the header of '{path.name}' is no UTF-8 text", field="path") from error
    if table.num_columns == 1 and any(separator in table.column_names[0] for separator in OTHER_SEPARATORS):
        raise InvalidInput(
            f"'{path.name}' is not separated by commas: its only column is called '{table.column_names[0]}'",
            field="path",
        )
    for field in table.schema:
        if pa.types.is_binary(field.type):
            raise InvalidInput(f"column '{field.name}' of '{path.name}' is no UTF-8 text", field=field.name)
    if table.num_rows == 0:
        raise InvalidInput(f"'{path.name}' has a header and no rows", field="path")
