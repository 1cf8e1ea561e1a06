"""The four ways in which MLflow writes rows as JSON, to columns.

A table of numbers is read as one array of floats, in which no number is lost: where one is so large that it might have been
rounded, and where there is anything else than numbers, each column is read by what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
from msgspec import UNSET, Raw, UnsetType

from flyball.kernel.errors import InvalidInput
from flyball.server.inference.exchange import Asker
from flyball.server.inference.json_arrays import EXACT, decoder_of, depth_of
from flyball.serving.entities import Array, Matrix, Signature
from flyball.serving.requests import InferRequest
from flyball.serving.signature import MatrixRows, NamedRows, PositionalRows, Rows
from flyball.wire.inference import RowParameters, decode
from flyball.wire.invocations import InvocationsBody, Split

WAYS: Final = ("dataframe_split", "dataframe_records", "inputs", "instances")
# A tensor of more dimensions is no input of a model, and a parser's stack has an end.
DEEPEST: Final = 16
_MISSING = type(None)
_NOTHING = RowParameters()
_RECORDS = msgspec.json.Decoder(list[dict[str, float | None]])
_RAW_RECORDS = msgspec.json.Decoder(list[dict[str, Raw]])
_COLUMNS = msgspec.json.Decoder(dict[str, list[float | None]])
_RAW_COLUMNS = msgspec.json.Decoder(dict[str, Raw])

Value: TypeAlias = Any


def read_tables(body: bytes, asker: Asker) -> InferRequest:
    """Read an invocation.

    Raises:
        InvalidInput: none or several ways used at once, or rows that do not belong together; `field` names the place.
    """
    asked = decode(body, InvocationsBody, what="the invocation")
    said = asked.params or _NOTHING
    return InferRequest(
        rows=_rows(asked, asker.signature),
        event_time_ms=said.event_time_ms,
        prediction_ids=said.prediction_ids,
        sticky_key=said.sticky_key,
        caller=asker.caller,
        size_bytes=len(body),
    )


def _rows(body: InvocationsBody, signature: Signature) -> Rows:
    used = [way for way in WAYS if getattr(body, way) is not UNSET]
    if len(used) != 1:
        said = "none was" if not used else f"{' and '.join(used)} were"
        raise InvalidInput(f"send exactly one of {', '.join(WAYS)}; {said} sent", field="body")
    [way] = used
    try:
        if not isinstance(body.dataframe_split, UnsetType):
            return _split(body.dataframe_split)
        raw: Raw = getattr(body, way)
        if way == "dataframe_records":
            return _records(raw, where=way)
        if bytes(memoryview(raw)[:1]) == b"{":
            return _by_column(raw)
        return _items(raw, signature, where=way)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidInput(f"'{way}' cannot be read as rows: {error}", field=way) from error


def _split(split: Split) -> Rows:
    names = tuple(str(name) for name in split.columns)
    if len(set(names)) != len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"column '{name}' is sent twice", field="dataframe_split.columns")
    nameless = split.columns == list(range(len(names)))
    block = _block(split.data)
    if block is not None and block.shape[1:] == (len(names),):
        return MatrixRows(values=block) if nameless else NamedRows(columns=Matrix(names, block))
    columns = _turned(_lists(split.data, "dataframe_split"), len(names), "dataframe_split")
    arrays = {name: _array(name, values) for name, values in zip(names, columns, strict=True)}
    return PositionalRows(columns=tuple(arrays.values())) if nameless else NamedRows(columns=arrays)


def _records(raw: Raw, *, where: str) -> Rows:
    try:
        records = _RECORDS.decode(raw)
    except msgspec.ValidationError:
        return _mixed_records(_RAW_RECORDS.decode(raw), where=where)
    _check_alike(records, where=where)
    names = tuple(records[0]) if records else ()
    block = np.array([[record[name] for name in names] for record in records], dtype=np.float64)
    if _is_exact(block):
        return NamedRows(columns=Matrix(names, block))
    return _mixed_records(_RAW_RECORDS.decode(raw), where=where)


def _mixed_records(records: Sequence[Mapping[str, Raw]], *, where: str) -> Rows:
    _check_alike(records, where=where)
    names = list(records[0]) if records else []
    return _named({name: _joined([record[name] for record in records]) for name in names})


def _check_alike(records: Sequence[Mapping[str, object]], *, where: str) -> None:
    for number, record in enumerate(records):
        if record.keys() != records[0].keys():
            odd = next(name for name in (*records[0], *record) if (name in record) != (name in records[0]))
            raise InvalidInput(f"'{where}': row {number} and row 0 disagree about column '{odd}'", field=odd)


def _items(raw: Raw, signature: Signature, *, where: str) -> Rows:
    """Read a list of rows: of numbers, of objects, of single values, or of tensors."""
    first = bytes(memoryview(raw)).lstrip(b"[ \t\r\n")[:1]
    if first == b"{":
        return _records(raw, where=where)
    if depth_of(raw) == 0:
        raise InvalidInput(f"'{where}' is no list of rows", field=where)
    if any(spec.tensor is not None for spec in signature.inputs):
        return PositionalRows(columns=(_values(where, raw),))
    block = _block(raw)
    if block is not None:
        return MatrixRows(values=block)
    rows = msgspec.json.decode(raw)
    if not rows:
        raise InvalidInput("there are no rows; send at least one", field=where)
    if {type(row) for row in rows} == {list}:
        columns = _turned(rows, len(rows[0]), where)
    elif not any(isinstance(row, list | dict) for row in rows):
        columns = [rows]
    else:
        raise InvalidInput(f"'{where}' mixes objects, lists and single values", field=where)
    return PositionalRows(columns=tuple(_array(f"{where}[{i}]", values) for i, values in enumerate(columns)))


def _by_column(raw: Raw) -> Rows:
    """Read an object of columns; those of numbers, one a row, as one array."""
    try:
        columns = _COLUMNS.decode(raw)
        block = np.array(list(columns.values()), dtype=np.float64).T
    except ValueError:
        return _named(_RAW_COLUMNS.decode(raw))
    if block.ndim == 2 and _is_exact(block):  # noqa: PLR2004 -- rows and columns
        return NamedRows(columns=Matrix(tuple(columns), block))
    return _named(_RAW_COLUMNS.decode(raw))


def _named(columns: Mapping[str, Raw]) -> Rows:
    """Read columns by name. A single value is a column of one row."""
    return NamedRows(
        columns={name: _values(name, raw if depth_of(raw) else _joined([raw])) for name, raw in columns.items()}
    )


def _joined(values: Sequence[Raw]) -> Raw:
    return Raw(b"[" + b",".join(bytes(value) for value in values) + b"]")


def _values(name: str, raw: Raw) -> Array:
    """Read the values of a column, nested for a tensor."""
    depth = depth_of(raw)
    if depth > DEEPEST:
        raise InvalidInput(f"column '{name}' is nested {depth} deep; {DEEPEST} at most", field=name)
    try:
        values = np.array(decoder_of("FP64", depth).decode(raw), dtype=np.float64)
    except ValueError:  # msgspec's for what is no number, numpy's for rows of several lengths
        return _other_values(name, raw)
    return values if _is_exact(values) else _other_values(name, raw)


def _other_values(name: str, raw: Raw) -> Array:
    try:
        values = np.array(msgspec.json.decode(raw), dtype=object)
    except ValueError as error:
        raise InvalidInput(f"column '{name}' has rows of several shapes", field=name) from error
    if any(isinstance(value, list | dict) for value in values.flat):
        raise InvalidInput(f"column '{name}' has rows of several shapes, or objects in it", field=name)
    return _array(name, values.ravel().tolist()).reshape(values.shape)


def _block(raw: Raw) -> Array | None:
    """Return rows of nothing but numbers as one array, None where there is more to see to."""
    try:
        values = np.array(decoder_of("FP64", 2).decode(raw), dtype=np.float64)
    except ValueError:
        return None
    return values if values.ndim == 2 and _is_exact(values) else None  # noqa: PLR2004 -- rows and columns


def _is_exact(values: Array) -> bool:
    return not (np.abs(values) >= EXACT).any()


def _lists(raw: Raw, where: str) -> list[list[Value]]:
    rows = msgspec.json.decode(raw)
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise InvalidInput(f"'{where}' has data that are no list of rows", field=where)
    return rows


def _turned(rows: Sequence[Sequence[Value]], width: int, where: str) -> list[list[Value]]:
    """Turn rows into columns."""
    for number, row in enumerate(rows):
        if len(row) != width:
            raise InvalidInput(f"'{where}': row {number} has {len(row)} values, {width} are expected", field=where)
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _array(name: str, values: Sequence[Value]) -> Array:
    """Give a column of JSON values the narrowest type that holds them all; null makes numbers floats and texts None."""
    kinds = set(map(type, values))
    if kinds <= {bool}:
        return np.array(values, dtype=np.bool_)
    if kinds <= {int, float, _MISSING}:
        return _numbers(name, values, kinds)
    if kinds <= {str, _MISSING}:
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        return texts
    said = ", ".join(sorted("null" if kind is _MISSING else kind.__name__ for kind in kinds))
    raise InvalidInput(f"column '{name}' mixes {said}", field=name)


def _numbers(name: str, values: Sequence[Value], kinds: set[type]) -> Array:
    """Return integers as such; beside a float or a null they become floats, if they can without loss."""
    try:
        if kinds == {int}:
            return np.array(values, dtype=np.int64)
        for row, value in enumerate(values):
            if isinstance(value, int) and abs(value) > EXACT:
                raise InvalidInput(
                    f"column '{name}': row {row} ({value}) is too large to be exact among numbers that are no integers",
                    field=name,
                )
        return np.array(values, dtype=np.float64)
    except OverflowError as error:
        raise InvalidInput(f"column '{name}' holds a number beyond 64 bits: {error}", field=name) from error
