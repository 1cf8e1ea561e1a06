"""Summaries as JSON: evidence of a version, and what is kept of a stretch of traffic."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import cast

import msgspec
import numpy as np

from flyball.datasets.profile import ColumnKind
from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import Corrupted, InvalidInput
from flyball.measures.sketch import Sketch
from flyball.monitoring.summaries import ColumnSummary, Repeats, TableSummary

FAST = 1


class _SketchDocument(msgspec.Struct, kw_only=True, omit_defaults=True):
    points: list[float]
    weights: list[int] | None = None
    count: int
    rank_error: int = 0
    minimum: float
    maximum: float
    mean: float
    deviation: float


class _ColumnDocument(msgspec.Struct, kw_only=True, omit_defaults=True):
    kind: ColumnKind
    rows: int
    missing: int
    distinct_count: int
    numbers: _SketchDocument | None = None
    counts: dict[str, int] | None = None
    unreadable: int = 0
    other: int = 0


class _RepeatsDocument(msgspec.Struct, kw_only=True):
    # As text: most readers of JSON have no whole numbers of 64 bits.
    hashes: list[str]
    counts: list[int]


class _TableDocument(msgspec.Struct, kw_only=True, omit_defaults=True):
    rows: int
    columns: dict[str, _ColumnDocument]
    repeats: _RepeatsDocument | None = None
    late: int = 0
    tensors: list[str] = []


def summary_to_json(summary: TableSummary) -> JsonValue:
    """Return a summary as JSON values."""
    return cast("JsonValue", msgspec.to_builtins(_document(summary)))


def summary_from_json(value: JsonValue, *, field: str) -> TableSummary:
    """Read a summary.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return _table(msgspec.convert(value, type=_TableDocument))
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidInput(f"these are no sketches of a table: {error}", field=field) from error


def pack(summary: TableSummary) -> bytes:
    """Return a summary as compressed JSON."""
    return zlib.compress(msgspec.json.encode(_document(summary)), FAST)


def unpack(content: bytes) -> TableSummary:
    """Read what `pack` wrote.

    Raises:
        Corrupted: the bytes are no summary.
    """
    try:
        return _table(msgspec.json.decode(zlib.decompress(content), type=_TableDocument))
    except (zlib.error, msgspec.DecodeError, ValueError) as error:
        raise Corrupted(f"a stored summary of traffic cannot be read: {error}") from error


def _document(summary: TableSummary) -> _TableDocument:
    repeats = summary.repeats
    return _TableDocument(
        rows=summary.rows,
        columns={name: _column_document(one) for name, one in summary.columns.items()},
        repeats=None
        if repeats is None
        else _RepeatsDocument(
            hashes=[f"{one:016x}" for one in repeats.hashes.tolist()], counts=repeats.counts.tolist()
        ),
        late=summary.late,
        tensors=list(summary.tensors),
    )


def _column_document(column: ColumnSummary) -> _ColumnDocument:
    sketch = column.numbers
    return _ColumnDocument(
        kind=column.kind,
        rows=column.rows,
        missing=column.missing,
        distinct_count=column.distinct_count,
        numbers=None if sketch is None else _sketch_document(sketch),
        counts=None if column.counts is None else dict(column.counts),
        unreadable=column.unreadable,
        other=column.other,
    )


def _sketch_document(sketch: Sketch) -> _SketchDocument:
    return _SketchDocument(
        points=sketch.points.tolist(),
        weights=None if sketch.weights is None else sketch.weights.tolist(),
        count=sketch.count,
        rank_error=sketch.rank_error,
        minimum=sketch.minimum,
        maximum=sketch.maximum,
        mean=sketch.mean,
        deviation=sketch.deviation,
    )


def _table(document: _TableDocument) -> TableSummary:
    repeats = document.repeats
    return TableSummary(
        rows=_positive(document.rows),
        columns=_columns(document.columns, rows=document.rows),
        repeats=None if repeats is None else _repeats(repeats),
        late=document.late,
        tensors=tuple(document.tensors),
    )


def _columns(documents: Mapping[str, _ColumnDocument], *, rows: int) -> dict[str, ColumnSummary]:
    for name, one in documents.items():
        if one.rows != rows or not 0 <= one.missing <= rows:
            raise ValueError(f"column '{name}' has other rows than the table")
        if one.kind is ColumnKind.NUMERIC and one.counts is not None:
            raise ValueError(f"column '{name}' of numbers counts texts")
    return {name: _column(one) for name, one in documents.items()}


def _column(document: _ColumnDocument) -> ColumnSummary:
    return ColumnSummary(
        kind=document.kind,
        rows=document.rows,
        missing=document.missing,
        distinct_count=document.distinct_count,
        numbers=None if document.numbers is None else _sketch(document.numbers),
        counts=document.counts,
        unreadable=document.unreadable,
        other=document.other,
    )


def _sketch(document: _SketchDocument) -> Sketch:
    points = np.asarray(document.points, dtype=np.float64)
    weights = None if document.weights is None else np.asarray(document.weights, dtype=np.int64)
    total = len(points) if weights is None else int(weights.sum())
    matching = weights is None or (weights.shape == points.shape and bool((weights > 0).all()))
    if not len(points) or not matching or total != document.count:
        raise ValueError("the points of a sketch stand for other rows than it has")
    if not np.isfinite(points).all() or (np.diff(points) < 0).any():
        raise ValueError("the points of a sketch are finite and do not decrease")
    return Sketch(
        points=points,
        weights=weights,
        count=document.count,
        rank_error=document.rank_error,
        minimum=document.minimum,
        maximum=document.maximum,
        mean=document.mean,
        deviation=document.deviation,
    )


def _repeats(document: _RepeatsDocument) -> Repeats:
    hashes = np.array([int(one, 16) for one in document.hashes], dtype=np.uint64)
    counts = np.asarray(document.counts, dtype=np.int64)
    if hashes.shape != counts.shape:
        raise ValueError("repeated rows have other counts than hashes")
    return Repeats(hashes=hashes, counts=counts)


def _positive(rows: int) -> int:
    if rows < 1:
        raise ValueError("a table of no rows has no summary")
    return rows
