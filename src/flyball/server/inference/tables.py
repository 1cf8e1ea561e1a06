"""The four ways in which MLflow writes rows, to columns and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from flyball.kernel.errors import InvalidInput
from flyball.serving.entities import Array
from flyball.serving.requests import InferAnswer, InferRequest
from flyball.serving.signature import NamedRows, PositionalRows, Rows
from flyball.wire.inference import InvocationsAnswer, InvocationsBody, Row, Scalar, Split

WAYS = ("dataframe_split", "dataframe_records", "inputs", "instances")
_MISSING = type(None)


def to_request(body: InvocationsBody, *, caller: str, size_bytes: int) -> InferRequest:
    """Translate an invocation.

    Raises:
        InvalidInput: none or several ways used at once, or rows that do not belong together; `field` names the place.
    """
    return InferRequest(
        rows=_rows(body),
        event_time_ms=body.params.event_time_ms,
        prediction_ids=body.params.prediction_ids,
        sticky_key=body.params.sticky_key,
        caller=caller,
        size_bytes=size_bytes,
    )


def to_answer(answer: InferAnswer) -> InvocationsAnswer:
    """Translate an answer."""
    return InvocationsAnswer(
        predictions=answer.prediction.labels.tolist(),
        prediction_ids=list(answer.prediction_ids),
        model_version=str(answer.version),
    )


def _rows(body: InvocationsBody) -> Rows:
    used = [way for way in WAYS if getattr(body, way) is not None]
    if len(used) != 1:
        said = "none was" if not used else f"{' and '.join(used)} were"
        raise InvalidInput(f"send exactly one of {', '.join(WAYS)}; {said} sent", field="body")
    if body.dataframe_split is not None:
        return _split(body.dataframe_split)
    if body.dataframe_records is not None:
        return _records(body.dataframe_records, where="dataframe_records")
    if isinstance(body.inputs, dict):
        return _columns({name: value if isinstance(value, list) else [value] for name, value in body.inputs.items()})
    return _items(body.inputs or body.instances or [], where=used[0])


def _split(split: Split) -> Rows:
    twice = {name for name in split.columns if split.columns.count(name) > 1}
    if twice:
        raise InvalidInput(f"column '{min(twice)}' is sent twice", field="dataframe_split.columns")
    return _columns(dict(zip(split.columns, _turned(split.data, len(split.columns), "dataframe_split"), strict=True)))


def _items(items: Sequence[Scalar | Row | Mapping[str, Scalar]], *, where: str) -> Rows:
    kinds = {dict if isinstance(item, dict) else list if isinstance(item, list) else object for item in items}
    if len(kinds) > 1:
        raise InvalidInput(f"'{where}' mixes objects, lists and single values", field=where)
    if kinds == {dict}:
        return _records(cast("Sequence[Mapping[str, Scalar]]", items), where=where)
    rows = cast("Sequence[Row]", items) if kinds == {list} else [[cast("Scalar", item)] for item in items]
    width = len(rows[0]) if rows else 0
    turned = _turned(rows, width, where)
    return PositionalRows(columns=tuple(_array(f"{where}[{i}]", values) for i, values in enumerate(turned)))


def _records(records: Sequence[Mapping[str, Scalar]], *, where: str) -> Rows:
    names = list(records[0]) if records else []
    for number, record in enumerate(records):
        odd = next((name for name in [*names, *record] if (name in record) != (name in records[0])), None)
        if odd is not None:
            raise InvalidInput(f"'{where}': row {number} and row 0 disagree about column '{odd}'", field=odd)
    return _columns({name: [record[name] for record in records] for name in names})


def _turned(rows: Sequence[Row], width: int, where: str) -> list[Row]:
    """Turn rows into columns."""
    for number, row in enumerate(rows):
        if len(row) != width:
            raise InvalidInput(f"'{where}': row {number} has {len(row)} values, {width} are expected", field=where)
    return [[row[i] for row in rows] for i in range(width)]


def _columns(columns: Mapping[str, Row]) -> Rows:
    return NamedRows(columns={name: _array(name, values) for name, values in columns.items()})


def _array(name: str, values: Row) -> Array:
    """Give a column of JSON values the narrowest type that holds them all; null makes numbers floats and texts None."""
    kinds = set(map(type, values))
    try:
        if kinds == {bool}:
            return np.array(values, dtype=np.bool_)
        if kinds == {int}:
            return np.array(values, dtype=np.int64)
        if kinds <= {int, float, _MISSING}:
            return np.array(values, dtype=np.float64)
    except OverflowError as error:
        raise InvalidInput(f"column '{name}' holds a number beyond 64 bits: {error}", field=name) from error
    if kinds <= {str, _MISSING}:
        return np.array(values, dtype=object)
    said = ", ".join(sorted("null" if kind is _MISSING else kind.__name__ for kind in kinds))
    raise InvalidInput(f"column '{name}' mixes {said}", field=name)
