"""One column of two tables: its distances, its faults, and the picture of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from flyball.datasets.profile import ColumnKind, ColumnProfile
from flyball.measures.drift import (
    TestResult,
    chi_square,
    hellinger,
    jensen_shannon,
    largest_change,
    population_stability,
    total_variation,
)
from flyball.measures.samples import Floats
from flyball.measures.sketch import Sketch
from flyball.measures.sketched import (
    anderson_darling_of,
    bin_counts,
    energy_of,
    ks_of,
    normed_wasserstein_of,
    wasserstein_of,
)
from flyball.monitoring.columns import Categories, Numbers
from flyball.monitoring.comparison.columns import CategoryColumn, NumberColumn
from flyball.monitoring.comparison.results import ColumnComparison, Picture, Side
from flyball.monitoring.drift import newly_varying
from flyball.monitoring.entities import FeatureDrift
from flyball.monitoring.faults import category_faults, number_faults
from flyball.monitoring.monitor import DataRules, DriftRules, Effect

# What stands for all rows where faults are looked for: values at this many levels, both ends among them.
LEVELS = 1 << 13
BARS = 40
# Below this share at each end of the reference a picture does not stretch: one outlier would flatten everything else.
TAIL = 0.001
QUANTILES = np.arange(101) / 100
NO_VALUE = "no value to compare"
FREE_TEXT = "free text has no distribution to compare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When a column drifted, and when its data is at fault."""

    drift: DriftRules
    data: DataRules


def compare_numbers(name: str, reference: NumberColumn, current: NumberColumn, rules: Rules) -> ColumnComparison:
    """Compare a column of numbers; whether it drifted is not judged yet."""
    profile = _number_profile(name, reference)
    found = ColumnComparison(
        name=name,
        kind=ColumnKind.NUMERIC,
        reference=_number_side(reference),
        current=_number_side(current),
        faults=tuple(number_faults(profile, _standing_for(current), rules.data)),
    )
    ours, theirs = reference.sketch, current.sketch
    if ours is None or theirs is None:
        return replace(found, unwatched=NO_VALUE)
    if not ours.deviation:
        moved = 1.0 - _share_at(theirs, ours.minimum)
        return replace(found, drift=newly_varying(profile, moved, rules.drift), picture=_number_picture(ours, theirs))
    test = ks_of(ours, theirs)
    measures = {
        str(Effect.WASSERSTEIN): normed_wasserstein_of(ours, theirs),
        "wasserstein_raw": wasserstein_of(ours, theirs),
        "kolmogorov_smirnov": test.statistic,
        "anderson_darling": anderson_darling_of(ours, theirs).statistic,
        "energy": energy_of(ours, theirs),
        **_count_measures(*bin_counts(ours, theirs)),
    }
    return replace(
        found,
        measures=measures,
        drift=_drift(name, measures, test, measure=rules.drift.numeric_measure, limit=rules.drift.numeric_limit(name)),
        picture=_number_picture(ours, theirs),
        rank_error=max(one.rank_error / one.count for one in (ours, theirs)),
    )


def compare_categories(
    name: str, kind: ColumnKind, reference: CategoryColumn, current: CategoryColumn, rules: Rules
) -> ColumnComparison:
    """Compare a column of categories; whether it drifted is not judged yet."""
    found = ColumnComparison(
        name=name,
        kind=kind,
        reference=Side(rows=reference.rows, missing_count=reference.missing),
        current=Side(rows=current.rows, missing_count=current.missing),
    )
    ours, theirs = reference.counts, current.counts
    if ours is None or theirs is None:
        return replace(found, kind=ColumnKind.TEXT, unwatched=FREE_TEXT)
    profile = _category_profile(name, kind, reference, ours)
    seen = Categories(counts=theirs, rows=current.rows, missing=current.missing)
    found = replace(
        found,
        faults=tuple(category_faults(profile, seen, rules.data)),
        new_categories=tuple(sorted(theirs.keys() - ours.keys())),
        vanished_categories=tuple(sorted(ours.keys() - theirs.keys())),
    )
    if not ours or not theirs:
        return replace(found, unwatched=NO_VALUE)
    names = sorted(ours.keys() | theirs.keys(), key=lambda one: (-ours.get(one, 0), -theirs.get(one, 0), one))
    expected, counted = (np.array([side.get(one, 0) for one in names], dtype=np.float64) for side in (ours, theirs))
    found = replace(found, picture=_category_picture(names, expected, counted))
    if len(ours) == 1:
        moved = 1.0 - theirs.get(next(iter(ours)), 0) / sum(theirs.values())
        return replace(found, drift=newly_varying(profile, moved, rules.drift))
    test = chi_square(expected, counted)
    measures = {**_count_measures(expected, counted), "chi_square": test.statistic}
    limit = rules.drift.category_limit(name)
    return replace(
        found,
        measures=measures,
        drift=_drift(name, measures, test, measure=rules.drift.category_measure, limit=limit),
    )


def _drift(
    name: str, measures: Mapping[str, float], test: TestResult, *, measure: Effect, limit: float
) -> FeatureDrift:
    return FeatureDrift(
        feature=name,
        measure=str(measure),
        effect=measures[str(measure)],
        threshold=limit,
        value=test.statistic,
        p_value=test.p_value,
        drifted=False,
    )


def _count_measures(ours: Floats, theirs: Floats) -> dict[str, float]:
    return {
        str(Effect.STABILITY): population_stability(ours, theirs),
        str(Effect.JENSEN_SHANNON): jensen_shannon(ours, theirs),
        "hellinger": hellinger(ours, theirs),
        "total_variation": total_variation(ours, theirs),
        "largest_change": largest_change(ours, theirs),
    }


def _share_at(sketch: Sketch, value: float) -> float:
    at = sketch.cumulative([value]) - sketch.cumulative([value], inclusive=False)
    return float(at[0]) / sketch.count


def _number_profile(name: str, column: NumberColumn) -> ColumnProfile:
    sketch = column.sketch
    empty = ColumnProfile(
        name=name,
        kind=ColumnKind.NUMERIC,
        count=column.rows - column.missing,
        missing_count=column.missing,
        distinct_count=0,
    )
    if sketch is None:
        return empty
    return replace(
        empty,
        distinct_count=int(np.count_nonzero(sketch.points[1:] != sketch.points[:-1])) + 1,
        minimum=sketch.minimum,
        maximum=sketch.maximum,
        mean=sketch.mean,
        std=sketch.deviation,
        quantiles=tuple(sketch.at_levels(QUANTILES).tolist()),
    )


def _category_profile(name: str, kind: ColumnKind, column: CategoryColumn, counts: Mapping[str, int]) -> ColumnProfile:
    return ColumnProfile(
        name=name,
        kind=kind,
        count=sum(counts.values()),
        missing_count=column.missing,
        distinct_count=len(counts),
    )


def _standing_for(column: NumberColumn) -> Numbers:
    """Return few values that stand for all, with the missing ones in proportion where rows are many."""
    sketch = column.sketch
    if sketch is None:
        return Numbers(values=np.empty(0), rows=column.rows, missing=column.missing, unreadable=0)
    if sketch.weights is None and sketch.count <= LEVELS:
        return Numbers(values=sketch.points, rows=column.rows, missing=column.missing, unreadable=0)
    values = np.concatenate([sketch.at_levels(np.arange(LEVELS) / (LEVELS - 1)), [sketch.minimum, sketch.maximum]])
    missing = round(len(values) * column.missing / sketch.count)
    return Numbers(values=values, rows=len(values) + missing, missing=missing, unreadable=0)


def _number_side(column: NumberColumn) -> Side:
    sketch = column.sketch
    if sketch is None:
        return Side(rows=column.rows, missing_count=column.missing)
    return Side(
        rows=column.rows,
        missing_count=column.missing,
        minimum=sketch.minimum,
        median=float(sketch.at_levels([0.5])[0]),
        maximum=sketch.maximum,
        mean=sketch.mean,
        deviation=sketch.deviation,
    )


def _number_picture(ours: Sketch, theirs: Sketch) -> Picture:
    ends = np.concatenate([one.at_levels([TAIL, 1.0 - TAIL]) for one in (ours, theirs)])
    low, high = float(ends.min()), float(ends.max())
    edges = np.linspace(low, high, BARS + 1) if high > low else np.array([low - 0.5, low + 0.5])
    return Picture(reference=_bars(ours, edges), current=_bars(theirs, edges), edges=edges)


def _bars(sketch: Sketch, edges: Floats) -> Floats:
    below = np.concatenate([[0], sketch.cumulative(edges[1:-1], inclusive=False), [sketch.count]])
    return np.diff(below) / sketch.count


def _category_picture(names: list[str], ours: Floats, theirs: Floats) -> Picture:
    """Draw the most frequent categories, and all others as one."""
    ours, theirs = ours / ours.sum(), theirs / theirs.sum()
    if len(names) <= BARS // 2:
        return Picture(reference=ours, current=theirs, labels=tuple(names))
    shown = np.sort(np.argsort(-(ours + theirs), kind="stable")[: BARS // 2 - 1])
    rest = [1.0 - float(side[shown].sum()) for side in (ours, theirs)]
    return Picture(
        reference=np.append(ours[shown], rest[0]),
        current=np.append(theirs[shown], rest[1]),
        labels=(*(names[place] for place in shown), f"{len(names) - len(shown)} others"),
    )
