"""Hold rows to a signature: what is missing, extra, mistyped or lossy is an error that names the column.

A value is taken when the column's type can hold it without loss: 1.0 for an integer is 1, 1.5 is an error, and so is NaN.
Only `float` (32 bits) rounds, because every decimal number in JSON is longer than that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from flyball.kernel.errors import InvalidInput
from flyball.serving.entities import Array, ColumnKind, Columns, ColumnSpec, Matrix, Signature
from flyball.serving.values import OTHER_KINDS

NAMED_AT_MOST = 5
# From 2**53 on a double may be an integer that was rounded to it.
LARGEST_EXACT_INTEGER = 2**53
_INTEGER_TYPES: dict[ColumnKind, np.dtype[Any]] = {
    ColumnKind.INTEGER: np.dtype(np.int32),
    ColumnKind.LONG: np.dtype(np.int64),
}
_FLOAT_TYPES: dict[ColumnKind, np.dtype[Any]] = {
    ColumnKind.FLOAT: np.dtype(np.float32),
    ColumnKind.DOUBLE: np.dtype(np.float64),
}
_SAID = {"b": "booleans", "i": "integers", "u": "integers", "f": "numbers", "O": "texts"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRows:
    """Rows as columns with names, in any order."""

    columns: Columns


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionalRows:
    """Rows as columns without names, in the signature's order."""

    columns: tuple[Array, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRows:
    """Rows as one array (n, columns), in the signature's order."""

    values: Array


Rows: TypeAlias = NamedRows | PositionalRows | MatrixRows


def enforce(signature: Signature, rows: Rows) -> Columns:
    """Return the columns in the signature's order and types; as a `Matrix` where rows came as one and all columns are alike.

    Raises:
        InvalidInput: a column is missing, extra, of another type, of another length, or loses something; `field` names it.
    """
    values = _side_by_side(signature, rows)
    if values is not None:
        matrix = _matrix(signature, values)
        if matrix is not None:
            return matrix
    if isinstance(rows, MatrixRows):
        rows = PositionalRows(columns=tuple(rows.values.T))
    given = rows.columns if isinstance(rows, NamedRows) else _name(signature, rows.columns)
    _check_names(signature, given)
    count = row_count(given)
    return {spec.name: _column(spec, given.get(spec.name), count) for spec in signature.inputs}


def row_count(columns: Columns) -> int:
    """Return the number of rows.

    Raises:
        InvalidInput: there are none, or the columns have different lengths.
    """
    lengths = {name: len(values) for name, values in columns.items()}
    count = next(iter(lengths.values()), 0)
    for name, length in lengths.items():
        if length != count:
            raise InvalidInput(f"column '{name}' has {length} rows, others have {count}", field=name)
    if not count:
        raise InvalidInput("there are no rows; send at least one", field="inputs")
    return count


def _side_by_side(signature: Signature, rows: Rows) -> Array | None:
    """Return rows that came as one array with its columns in the signature's order, None for any others."""
    if isinstance(rows, MatrixRows):
        return rows.values
    if not isinstance(rows, NamedRows) or not isinstance(rows.columns, Matrix):
        return None
    given, names = rows.columns, signature.names
    if given.names == names:
        return given.values_by_row
    if len(given.names) != len(names) or set(given.names) != set(names):
        return None
    return given.values_by_row[:, [given.names.index(name) for name in names]]


def _matrix(signature: Signature, values: Array) -> Matrix | None:
    """Check a matrix as a whole, which costs a small part of checking each column; None where only that can tell."""
    wanted = _FLOAT_TYPES.get(next(iter(signature.kinds))) if len(signature.kinds) == 1 else None
    if wanted is None or values.dtype.kind != "f" or values.shape[1] != len(signature.inputs) or not len(values):
        return None
    with np.errstate(over="ignore"):
        cast = values.astype(wanted, copy=False)
    return None if np.isinf(cast).any() else Matrix(signature.names, cast)


def _name(signature: Signature, columns: Sequence[Array]) -> dict[str, Array]:
    first = signature.inputs[0]
    if len(signature.inputs) == 1 and first.tensor is not None and len(first.tensor.shape) == 1 and len(columns) != 1:
        columns = (np.stack(columns, axis=1),) if columns else ()
    if len(columns) != len(signature.inputs):
        raise InvalidInput(
            f"{len(columns)} columns were sent, the model wants {len(signature.inputs)}: {', '.join(signature.names)}",
            field="inputs",
        )
    return dict(zip(signature.names, columns, strict=True))


def _check_names(signature: Signature, given: Mapping[str, Array]) -> None:
    missing = [spec.name for spec in signature.inputs if spec.required and spec.name not in given]
    if missing:
        raise InvalidInput(f"missing column {_quoted(missing)}", field=missing[0])
    extra = [name for name in given if name not in set(signature.names)]
    if extra:
        raise InvalidInput(
            f"unknown column {_quoted(extra)}; the model wants: {', '.join(signature.names)}", field=extra[0]
        )


def _quoted(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return ", ".join(f"'{name}'" for name in names[:NAMED_AT_MOST]) + more


def _column(spec: ColumnSpec, values: Array | None, count: int) -> Array:
    if values is None:
        return _absent(spec, count)
    if values.dtype.kind in {"U", "T"}:
        values = values.astype(object)
    if spec.kind in OTHER_KINDS:
        return OTHER_KINDS[spec.kind](spec, values)
    if values.ndim != 1:
        raise InvalidInput(
            f"column '{spec.name}' wants one {spec.kind.value} a row, and {list(values.shape[1:])} were sent",
            field=spec.name,
        )
    if spec.kind is ColumnKind.BOOLEAN:
        return _boolean(spec, values)
    if spec.kind is ColumnKind.STRING:
        return _text(spec, values)
    if values.dtype.kind not in "iuf":
        raise _mistyped(spec, values)
    return _integer(spec, values) if spec.kind in _INTEGER_TYPES else _float(spec, values)


def _absent(spec: ColumnSpec, count: int) -> Array:
    if spec.kind not in _FLOAT_TYPES:
        raise InvalidInput(
            f"column '{spec.name}' is left out, and {spec.kind.value} has no way to say 'missing'", field=spec.name
        )
    return np.full(count, np.nan, dtype=_FLOAT_TYPES[spec.kind])


def _boolean(spec: ColumnSpec, values: Array) -> Array:
    if values.dtype.kind != "b":
        raise _mistyped(spec, values)
    return values


def _text(spec: ColumnSpec, values: Array) -> Array:
    if values.dtype.kind != "O":
        raise _mistyped(spec, values)
    for row, value in enumerate(values):
        if value is None:
            raise InvalidInput(f"column '{spec.name}' has no value in row {row}", field=spec.name)
        if not isinstance(value, str):
            raise InvalidInput(
                f"column '{spec.name}' wants string, row {row} holds a {type(value).__name__}", field=spec.name
            )
    return values


def _integer(spec: ColumnSpec, values: Array) -> Array:
    if values.dtype.kind == "f":
        values = _whole(spec, values)
    wanted = _INTEGER_TYPES[spec.kind]
    limits = np.iinfo(wanted)
    _refuse(spec, (values < limits.min) | (values > limits.max), values, f"does not fit {spec.kind.value}")
    return values.astype(wanted)


def _whole(spec: ColumnSpec, values: Array) -> Array:
    _refuse(spec, np.isnan(values), values, f"is missing (NaN), and {spec.kind.value} cannot say so")
    beyond = np.abs(values) >= LARGEST_EXACT_INTEGER
    _refuse(spec, beyond, values, "is too large to be exact; send it as an integer")
    _refuse(spec, values != np.trunc(values), values, f"is no whole number, and the model wants {spec.kind.value}")
    return values.astype(np.int64)


def _float(spec: ColumnSpec, values: Array) -> Array:
    if values.dtype.kind in "iu" and spec.kind is ColumnKind.DOUBLE:
        beyond = (values > LARGEST_EXACT_INTEGER) | (values < -LARGEST_EXACT_INTEGER)
        _refuse(spec, beyond, values, "is too large to be exact as a double")
    if values.dtype.kind == "f":
        _refuse(spec, np.isinf(values), values, "is infinite")
    with np.errstate(over="ignore"):
        cast = values.astype(_FLOAT_TYPES[spec.kind])
    _refuse(spec, np.isinf(cast), values, f"does not fit {spec.kind.value}")
    return cast


def _refuse(spec: ColumnSpec, bad: Array, values: Array, why: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise InvalidInput(f"column '{spec.name}': row {row} ({values[row]}) {why}", field=spec.name)


def _mistyped(spec: ColumnSpec, values: Array) -> InvalidInput:
    said = _SAID.get(values.dtype.kind, str(values.dtype))
    return InvalidInput(f"column '{spec.name}' wants {spec.kind.value}, and {said} were sent", field=spec.name)
