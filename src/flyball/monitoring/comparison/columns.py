"""A column of a source as numbers or as categories, read once, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flyball.measures.sketch import Sketch, merged, sketch_of
from flyball.monitoring.columns import category_text
from flyball.monitoring.comparison.sources import Source

# Up to here a column is sorted as a whole (128 MB of numbers); beyond it is sketched piece by piece.
EXACT_ROWS = 1 << 24
# Points kept of a piece, and of the whole column: a rank is off by about 1/16,384 of the rows at most.
POINTS = 1 << 15
PIECES_AT_ONCE = 32
# A column with more different texts is no category any more; counting on would take memory without end.
MOST_CATEGORIES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberColumn:
    """The numbers of a column: `missing` counts nulls, NaN and infinities. The sketch is None where nothing else is there."""

    sketch: Sketch | None
    rows: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryColumn:
    """How often each value occurs, as text; None where there are more than 10,000 different ones."""

    counts: dict[str, int] | None
    rows: int
    missing: int


def read_numbers(source: Source, name: str) -> NumberColumn:
    """Read a column of numbers."""
    pieces = (_finite(piece) for piece in source.pieces(name))
    sketch = _exact(pieces) if source.rows <= EXACT_ROWS else _sketched(pieces)
    return NumberColumn(sketch=sketch, rows=source.rows, missing=source.rows - (sketch.count if sketch else 0))


def read_categories(source: Source, name: str) -> CategoryColumn:
    """Count the values of a column of texts or truth values."""
    counts: Counter[str] = Counter()
    missing = 0
    for piece in source.pieces(name):
        present = piece.drop_null()
        missing += len(piece) - len(present)
        for entry in pc.value_counts(present).to_pylist():
            counts[category_text(entry["values"])] += entry["counts"]
        if len(counts) > MOST_CATEGORIES:
            return CategoryColumn(counts=None, rows=source.rows, missing=0)
    return CategoryColumn(counts=dict(counts), rows=source.rows, missing=missing)


def _exact(pieces: Iterator[NDArray[np.float64]]) -> Sketch | None:
    found = [piece for piece in pieces if len(piece)]
    if not found:
        return None
    return sketch_of(found[0] if len(found) == 1 else np.concatenate(found))


def _sketched(pieces: Iterator[NDArray[np.float64]]) -> Sketch | None:
    kept: list[Sketch] = []
    for piece in pieces:
        if len(piece):
            kept.append(sketch_of(piece, limit=POINTS))
        if len(kept) == PIECES_AT_ONCE:
            kept = [merged(kept).compressed(POINTS)]
    return merged(kept).compressed(POINTS) if kept else None


def _finite(piece: pa.Array) -> NDArray[np.float64]:
    if pa.types.is_dictionary(piece.type):
        piece = piece.dictionary_decode()
    whole = piece if not piece.null_count else piece.drop_null()
    values: NDArray[np.float64] = whole.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    finite = np.isfinite(values)
    return values if finite.all() else values[finite]
