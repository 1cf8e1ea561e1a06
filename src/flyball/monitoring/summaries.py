"""What a table looked like, column by column: small enough to keep, and merged without looking at its rows again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from flyball.datasets.profile import ColumnKind
from flyball.kernel.errors import InvalidInput
from flyball.measures.sketch import Sketch, merged, weighted_sketch
from flyball.monitoring.columns import category_text

# A column with more different texts is no category any more; counting on would take memory without end.
MOST_CATEGORIES = 10_000
# Rows are told apart by a hash of 64 bits; of more different rows those with the smallest hashes are kept, a fair sample.
MOST_HASHES = 4_096
# All columns of a summary together; a table of very many columns has coarser sketches.
MOST_POINTS = 500_000
FEWEST_POINTS = 64
_NUMBERS = frozenset({ColumnKind.NUMERIC})


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberColumn:
    """The numbers of a column: `missing` counts nulls, NaN and infinities, `unreadable` what is no number.

    The sketch is None where no number is there.
    """

    sketch: Sketch | None
    rows: int
    missing: int
    unreadable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryColumn:
    """How often each value occurs, as text; None where there are too many. `other` counts values that are not named."""

    counts: Mapping[str, int] | None
    rows: int
    missing: int
    other: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSummary:
    """A column of a table or of a stretch of traffic, read as what it may be.

    `numbers` holds what is a finite number, or spells one; `counts` how often each text or truth value occurs, None where there
    are more than 10,000 or where the column holds numbers; `missing` are rows without a value, `unreadable` those whose value is
    no number. `distinct_count` is exact for a summary of one table, and an upper bound for a merged one.
    """

    kind: ColumnKind
    rows: int
    missing: int
    distinct_count: int
    numbers: Sketch | None = None
    counts: Mapping[str, int] | None = None
    unreadable: int = 0
    other: int = 0

    def as_numbers(self) -> NumberColumn:
        """Read it as numbers."""
        found = self.numbers.count if self.numbers else 0
        missing = self.rows - found - self.unreadable
        return NumberColumn(sketch=self.numbers, rows=self.rows, missing=missing, unreadable=self.unreadable)

    def as_categories(self) -> CategoryColumn:
        """Read it as categories; numbers are the texts they are written as."""
        counts = self.counts
        if self.kind in _NUMBERS:
            counts = {} if self.numbers is None else _named(self.numbers)
        return CategoryColumn(counts=counts, rows=self.rows, missing=self.missing, other=self.other)

    def limited(self, points: int) -> ColumnSummary:
        """Return it with at most so many points."""
        return self if self.numbers is None else replace(self, numbers=self.numbers.compressed(points))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repeats:
    """How often rows repeat each other: `counts` (k,) rows have each of the `hashes` (k,), ascending.

    At most 4,096 different rows, those with the smallest hashes: what is kept is counted completely, whatever was merged.
    """

    hashes: NDArray[np.uint64]
    counts: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Rows that the sample speaks of."""
        return int(self.counts.sum())

    @property
    def repeated(self) -> int:
        """Those of them that repeat another one."""
        return self.rows - len(self.hashes)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSummary:
    """A table, or a stretch of traffic: its columns, how its rows repeat each other, and how many of them came late.

    `tensors` names columns of lists, which are not summarised.
    """

    rows: int
    columns: Mapping[str, ColumnSummary]
    repeats: Repeats | None = None
    late: int = 0
    tensors: tuple[str, ...] = field(default=())

    def limited(self, points: int) -> TableSummary:
        """Return it with at most so many points a column."""
        return replace(self, columns={name: one.limited(points) for name, one in self.columns.items()})


def merge_summaries(parts: Sequence[TableSummary]) -> TableSummary:
    """Return the summary of all rows of several; a column that one of them lacks is missing there.

    Raises:
        InvalidInput: there is none.
    """
    if not parts:
        raise InvalidInput("nothing to merge: there is no summary", field="summaries")
    if len(parts) == 1:
        return parts[0]
    rows = sum(part.rows for part in parts)
    names = dict.fromkeys(name for part in parts for name in part.columns)
    found = {name: [part.columns[name] for part in parts if name in part.columns] for name in names}
    return TableSummary(
        rows=rows,
        columns={name: _merge_columns(some, rows) for name, some in found.items()},
        repeats=_merge_repeats([part.repeats for part in parts if part.repeats is not None]),
        late=sum(part.late for part in parts),
        tensors=tuple(dict.fromkeys(name for part in parts for name in part.tensors)),
    )


def points_for(columns: int, *, most: int) -> int:
    """Return how many points each of so many columns may have.

    >>> points_for(30, most=1024), points_for(5_000, most=1024)
    (1024, 100)
    """
    return max(FEWEST_POINTS, min(most, MOST_POINTS // max(1, columns)))


def count_repeats(hashes: NDArray[np.uint64], counts: NDArray[np.int64] | None = None) -> Repeats:
    """Count rows by their hashes, shape (n,), in any order."""
    known, places = np.unique(hashes, return_inverse=True)
    weights = None if counts is None else counts.astype(np.float64)
    found = np.bincount(places, weights=weights, minlength=len(known)).astype(np.int64)
    return Repeats(hashes=known[:MOST_HASHES], counts=found[:MOST_HASHES])


def _merge_columns(parts: Sequence[ColumnSummary], rows: int) -> ColumnSummary:
    sketches = [part.numbers for part in parts if part.numbers is not None]
    kinds = {part.kind for part in parts}
    seen = sum(part.rows for part in parts)
    counts = None if kinds == _NUMBERS else _merge_counts([part.as_categories().counts for part in parts])
    return ColumnSummary(
        kind=kinds.pop() if len(kinds) == 1 else ColumnKind.TEXT if counts is None else ColumnKind.CATEGORICAL,
        rows=rows,
        missing=sum(part.missing for part in parts) + rows - seen,
        distinct_count=len(counts) if counts is not None else sum(part.distinct_count for part in parts),
        numbers=merged(sketches).collapsed() if sketches else None,
        counts=counts,
        unreadable=sum(part.unreadable for part in parts),
    )


def _merge_counts(parts: Sequence[Mapping[str, int] | None]) -> Mapping[str, int] | None:
    total: Counter[str] = Counter()
    for part in parts:
        if part is None:
            return None
        total.update(part)
    return None if len(total) > MOST_CATEGORIES else dict(total)


def _merge_repeats(parts: Sequence[Repeats]) -> Repeats | None:
    if not parts:
        return None
    # Beyond the smallest of the last hashes of full samples not every row was counted.
    last = [part.hashes[-1] for part in parts if len(part.hashes) == MOST_HASHES]
    hashes = np.concatenate([part.hashes for part in parts])
    counts = np.concatenate([part.counts for part in parts])
    known = hashes <= min(last) if last else np.ones(len(hashes), dtype=np.bool_)
    return count_repeats(hashes[known], counts[known])


def _named(sketch: Sketch) -> dict[str, int]:
    one = sketch.collapsed()
    weights = np.ones(len(one.points), dtype=np.int64) if one.weights is None else one.weights
    return {category_text(point): count for point, count in zip(one.points.tolist(), weights.tolist(), strict=True)}


def spelled_numbers(counts: Mapping[str, int]) -> tuple[Sketch | None, int]:
    """Return the finite numbers that texts spell, and how many rows spell none; NaN and infinities are missing values."""
    values: list[float] = []
    rows: list[int] = []
    unreadable = 0
    for text, count in counts.items():
        try:
            value = float(text)
        except ValueError:
            unreadable += count
            continue
        if np.isfinite(value):
            values.append(value)
            rows.append(count)
    return (weighted_sketch(values, rows) if values else None), unreadable
