"""A column of a source, summarised: read once, piece by piece, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flyball.datasets.profile import ColumnKind
from flyball.measures.sketch import Sketch, merged, sketch_of
from flyball.monitoring.columns import category_text
from flyball.monitoring.comparison.sources import Source
from flyball.monitoring.summaries import MOST_CATEGORIES, ColumnSummary

# Up to here a column is sorted as a whole (32 MB of numbers); beyond it is sketched piece by piece.
EXACT_ROWS = 1 << 22
# Points kept of a piece, and of the whole column: a rank is off by about 1/16,384 of the rows at most.
POINTS = 1 << 15
PIECES_AT_ONCE = 32


def read_column(source: Source, name: str) -> ColumnSummary:
    """Read a column of numbers, texts or truth values."""
    kind = source.kinds[name]
    return _read_numbers(source, name) if kind is ColumnKind.NUMERIC else _read_categories(source, name)


def _read_numbers(source: Source, name: str) -> ColumnSummary:
    pieces = (_finite(piece) for piece in source.pieces(name))
    sketch = _exact(pieces) if source.rows <= EXACT_ROWS else _sketched(pieces)
    return ColumnSummary(
        kind=ColumnKind.NUMERIC,
        rows=source.rows,
        missing=source.rows - (sketch.count if sketch else 0),
        distinct_count=0 if sketch is None else int(np.count_nonzero(sketch.points[1:] != sketch.points[:-1])) + 1,
        numbers=sketch,
    )


def _read_categories(source: Source, name: str) -> ColumnSummary:
    counts: Counter[str] = Counter()
    kind, missing = source.kinds[name], 0
    for piece in source.pieces(name):
        present = piece.drop_null()
        missing += len(piece) - len(present)
        for value, rows in _counted(present):
            counts[category_text(value)] += rows
        if len(counts) > MOST_CATEGORIES:
            return ColumnSummary(kind=kind, rows=source.rows, missing=0, distinct_count=len(counts))
    return ColumnSummary(kind=kind, rows=source.rows, missing=missing, distinct_count=len(counts), counts=dict(counts))


def _exact(pieces: Iterator[NDArray[np.float64]]) -> Sketch | None:
    found = [piece for piece in pieces if len(piece)]
    if not found:
        return None
    return sketch_of(found[0] if len(found) == 1 else np.concatenate(found)).collapsed()


def _sketched(pieces: Iterator[NDArray[np.float64]]) -> Sketch | None:
    kept: list[Sketch] = []
    for piece in pieces:
        if len(piece):
            kept.append(sketch_of(piece, limit=POINTS))
        if len(kept) == PIECES_AT_ONCE:
            kept = [merged(kept).compressed(POINTS)]
    return merged(kept).compressed(POINTS) if kept else None


def _counted(present: pa.Array) -> Iterator[tuple[object, int]]:
    """Yield each value with how many rows have it."""
    if not pa.types.is_dictionary(present.type):
        found = pc.value_counts(present)
        yield from zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
        return
    values = present.dictionary.to_pylist()
    rows = np.bincount(present.indices.to_numpy(zero_copy_only=False), minlength=len(values))
    yield from ((value, count) for value, count in zip(values, rows.tolist(), strict=True) if count)


def _finite(piece: pa.Array) -> NDArray[np.float64]:
    if pa.types.is_dictionary(piece.type):
        piece = piece.dictionary_decode()
    whole = piece if not piece.null_count else piece.drop_null()
    values: NDArray[np.float64] = whole.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    finite = np.isfinite(values)
    return values if finite.all() else values[finite]
