"""The one form in which rows are kept, so that equal content is equal however it was built."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from flyball.datasets.entities import Column
from flyball.kernel.errors import InvalidInput, Unsupported

MAX_COLUMNS = 10_000
_OFFERED = "numbers, booleans, text, dates, times of day and timestamps"


def normalise(table: pa.Table) -> pa.Table:
    """Return the same rows in normal form.

    Text of any kind (dictionaries too) is `string`, a date `date32`, a time or timestamp at least in microseconds. Chunks,
    metadata and the caller's nullability flags are forgotten: a column is nullable where it has nulls.

    Raises:
        InvalidInput: there are no rows or no columns, or a column has no name or the name of another one.
        Unsupported: a column has a type that is not kept.
    """
    _check_shape(table)
    columns = [normal_column(name, column) for name, column in zip(table.column_names, table.columns, strict=True)]
    fields = [
        pa.field(name, column.type, nullable=column.null_count > 0)
        for name, column in zip(table.column_names, columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields)).combine_chunks()


def normal_column(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with the type in which it is kept.

    Raises:
        InvalidInput: a value does not fit that type, for example a date with a time of day.
        Unsupported: its type is not kept.
    """
    kept = _kept_type(name, column.type)
    try:
        return column.cast(kept)
    except pa.ArrowInvalid as error:
        raise InvalidInput(f"column '{name}' cannot be kept as {kept}: {error}", field=name) from error


def schema_of(table: pa.Table) -> tuple[Column, ...]:
    """Describe the columns of a table in normal form."""
    return tuple(Column(name=field.name, type=str(field.type), nullable=field.nullable) for field in table.schema)


def check_column_names(names: Iterable[str]) -> None:
    """Accept names that are there and differ.

    Raises:
        InvalidInput: one is empty, or is given twice.
    """
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name.strip():
            raise InvalidInput(f"column {position} has no name; name every column", field=f"column {position}")
        if name in seen:
            raise InvalidInput(f"two columns are called '{name}'; every column needs a name of its own", field=name)
        seen.add(name)


def _check_shape(table: pa.Table) -> None:
    if not 0 < table.num_columns <= MAX_COLUMNS:
        raise InvalidInput(f"a dataset has 1 to {MAX_COLUMNS} columns; this one has {table.num_columns}", field="table")
    check_column_names(table.column_names)
    if table.num_rows == 0:
        raise InvalidInput("the dataset has columns and no rows; there is nothing to keep", field="table")


def _kept_type(name: str, given: pa.DataType) -> pa.DataType:
    value = given.value_type if pa.types.is_dictionary(given) else given
    if _is_text(value):
        return pa.string()
    if pa.types.is_date(value):
        return pa.date32()
    if pa.types.is_time(value) or pa.types.is_timestamp(value):
        return _kept_moment(value)
    if _is_number(value) or pa.types.is_boolean(value):
        return pa.float32() if pa.types.is_float16(value) else value
    raise Unsupported(f"column '{name}' has the type {given}, which is not kept; offered: {_OFFERED}", field=name)


def _is_text(given: pa.DataType) -> bool:
    types = pa.types
    # A column of nulls only has lost its type; as text it can still be read, compared and joined.
    return bool(
        types.is_string(given) or types.is_large_string(given) or types.is_string_view(given) or types.is_null(given)
    )


def _is_number(given: pa.DataType) -> bool:
    return bool(pa.types.is_integer(given) or pa.types.is_floating(given) or pa.types.is_decimal(given))


def _kept_moment(given: pa.DataType) -> pa.DataType:
    if given.unit == "ns":
        return given
    return pa.time64("us") if pa.types.is_time(given) else pa.timestamp("us", tz=given.tz)
