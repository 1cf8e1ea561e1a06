"""History as counts: each stretch of time becomes a row of a matrix, once, and windows are sums of rows from then on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flyball.datasets.profile import ColumnKind, ColumnProfile
from flyball.measures.samples import Floats
from flyball.monitoring.calibration.entities import FeatureBins
from flyball.monitoring.columns import category_text
from flyball.monitoring.monitor import DAY_MS, DriftRules, Effect
from flyball.monitoring.summaries import ColumnSummary

Columns = Mapping[str, pa.ChunkedArray]
# A profile's quantiles stand a hundredth apart; every second one bounds a bin. Measures over counts read tenths.
_FINE, _COARSE = 2, 10
# A feature with more different categories is judged by the most frequent of them, all others counted as one.
_MOST_NAMES = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """Stretches of `cell_ms` in a row, the first at `start_ms`.

    `rows` (n,) holds their rows, `counts` a matrix (n, bins) a feature, `beyond` (n,) the sum of how far a feature's numbers lie
    outside its cuts.
    """

    start_ms: int
    cell_ms: int
    bins: tuple[FeatureBins, ...]
    rows: Floats
    counts: tuple[NDArray[np.float32], ...]
    beyond: tuple[Floats, ...]

    @property
    def count(self) -> int:
        """How many cells there are."""
        return len(self.rows)

    @property
    def starts_ms(self) -> NDArray[np.int64]:
        """When each cell begins."""
        return self.start_ms + self.cell_ms * np.arange(self.count, dtype=np.int64)

    def between(self, first: int, last: int) -> Cells:
        """Return cells first..last (not included)."""
        part = slice(first, last)
        return Cells(
            start_ms=self.start_ms + first * self.cell_ms,
            cell_ms=self.cell_ms,
            bins=self.bins,
            rows=self.rows[part],
            counts=tuple(one[part] for one in self.counts),
            beyond=tuple(one[part] for one in self.beyond),
        )


def empty_cells(start_ms: int, *, count: int, cell_ms: int, bins: Sequence[FeatureBins]) -> Cells:
    """Return cells that hold nothing yet."""
    return Cells(
        start_ms=start_ms,
        cell_ms=cell_ms,
        bins=tuple(bins),
        rows=np.zeros(count),
        counts=tuple(np.zeros((count, one.count), dtype=np.float32) for one in bins),
        beyond=tuple(np.zeros(count) for _ in bins),
    )


def cell_length(window_ms: int) -> int:
    """Return the length of a cell: a day, or what divides the window into pieces of at least one; else the window.

    >>> cell_length(7 * DAY_MS) == DAY_MS, cell_length(3_600_000)
    (True, 3600000)
    """
    pieces = max(1, window_ms // DAY_MS)
    while window_ms % pieces:
        pieces -= 1
    return window_ms // pieces


def bins_of(profile: ColumnProfile, rules: DriftRules) -> FeatureBins | None:
    """Return how a feature is counted; None where the profile knows nothing to count by."""
    if profile.kind is ColumnKind.NUMERIC:
        return _number_bins(profile, rules.numeric_measure)
    if profile.kind not in {ColumnKind.CATEGORICAL, ColumnKind.BOOLEAN} or profile.distinct_count < 2:  # noqa: PLR2004
        return None
    names = tuple(category_text(value) for value, _count in profile.top[:_MOST_NAMES])
    return FeatureBins(feature=profile.name, measure=str(rules.category_measure), names=names)


def fill(cells: Cells, times: NDArray[np.int64], columns: Columns) -> None:
    """Add rows to the cells that they fall into; rows outside are left out."""
    place = (times - cells.start_ms) // cells.cell_ms
    inside = (place >= 0) & (place < cells.count)
    place = place[inside]
    cells.rows[:] += np.bincount(place, minlength=cells.count)
    for bins, counts, beyond in zip(cells.bins, cells.counts, cells.beyond, strict=True):
        if bins.feature not in columns:
            continue  # served only since or until some time: it has no value here
        codes, outside = (one[inside] for one in codes_of(bins, columns[bins.feature]))
        there = codes >= 0
        flat = np.bincount(place[there] * bins.count + codes[there], minlength=counts.size)
        counts[:] += flat.reshape(counts.shape)
        beyond[:] += np.bincount(place[there], weights=outside[there], minlength=cells.count)


def codes_of(bins: FeatureBins, column: pa.ChunkedArray) -> tuple[NDArray[np.int64], Floats]:
    """Return each row's bin, -1 where it has no value, and how far its number lies outside the cuts; both (n,)."""
    if bins.names:
        return _category_codes(bins, column), np.zeros(len(column))
    values = _numbers(column)
    cuts = np.asarray(bins.cuts)
    finite = np.isfinite(values)
    known = np.where(finite, values, cuts[0])
    codes = np.where(finite, np.searchsorted(cuts, known, side="left"), -1)
    return codes, np.maximum(known - cuts[-1], 0.0) + np.maximum(cuts[0] - known, 0.0)


def summary_counts(bins: FeatureBins, seen: ColumnSummary) -> tuple[Floats, float]:
    """Return what `codes_of` would count, from a column's summary: shape (bins,), and the sum of what lies outside the cuts."""
    if bins.names:
        counts = seen.as_categories().counts or {}
        named = np.array([counts.get(name, 0) for name in bins.names], dtype=np.float64)
        return np.append(named, max(0.0, sum(counts.values()) - named.sum())), 0.0
    sketch = seen.as_numbers().sketch
    if sketch is None:
        return np.zeros(bins.count), 0.0
    cuts = np.asarray(bins.cuts)
    below = np.concatenate([[0], sketch.cumulative(cuts), [sketch.count]])
    weights = np.ones(len(sketch.points)) if sketch.weights is None else sketch.weights
    outside = np.maximum(sketch.points - cuts[-1], 0.0) + np.maximum(cuts[0] - sketch.points, 0.0)
    return np.diff(below).astype(np.float64), float(np.dot(outside, weights))


def _number_bins(profile: ColumnProfile, measure: Effect) -> FeatureBins | None:
    if profile.minimum == profile.maximum or not profile.std or not profile.quantiles:
        return None
    step = _FINE if measure is Effect.WASSERSTEIN else _COARSE
    cuts = tuple(float(cut) for cut in np.unique(np.asarray(profile.quantiles)[::step]))
    return FeatureBins(feature=profile.name, measure=str(measure), cuts=cuts, unit=float(profile.std))


def _numbers(column: pa.ChunkedArray) -> Floats:
    if pa.types.is_boolean(column.type):
        return np.full(len(column), np.nan)  # a truth value is no number: the faults say so
    try:
        numbers = pc.cast(column, pa.float64(), safe=False)
    except pa.ArrowInvalid:
        return np.full(len(column), np.nan)
    values: Floats = numbers.to_numpy(zero_copy_only=False) if isinstance(numbers, pa.Array) else numbers.to_numpy()
    return values


def _category_codes(bins: FeatureBins, column: pa.ChunkedArray) -> NDArray[np.int64]:
    encoded = column.combine_chunks().dictionary_encode()
    chunk = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    place = {name: code for code, name in enumerate(bins.names)}
    known = [_place(place, value, rest=len(bins.names)) for value in chunk.dictionary.to_pylist()]
    index = chunk.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
    codes: NDArray[np.int64] = np.asarray([*known, -1], dtype=np.int64)[index]
    return codes


def _place(places: Mapping[str, int], value: object, *, rest: int) -> int:
    if isinstance(value, float) and not np.isfinite(value):
        return -1
    return places.get(category_text(value), rest)
