"""One column of two tables: its distances, its faults, and the picture of both."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from flyball.datasets.profile import ColumnKind
from flyball.measures.drift import chi_square, count_distances
from flyball.measures.samples import Floats
from flyball.measures.sketch import Sketch
from flyball.measures.sketched import bin_counts, distances_of
from flyball.monitoring.comparison.results import ColumnComparison, Picture, Side
from flyball.monitoring.distances import aligned, category_drift, number_drift
from flyball.monitoring.faults import find_faults
from flyball.monitoring.monitor import DataRules, DriftRules, Effect
from flyball.monitoring.multivariate.tables import hardly_repeats
from flyball.monitoring.reference_columns import profile_of
from flyball.monitoring.summaries import CategoryColumn, ColumnSummary, NumberColumn

BARS = 40
# Below this share at each end of the reference a picture does not stretch: one outlier would flatten everything else.
TAIL = 0.001
NO_VALUE = "no value to compare"
FREE_TEXT = "free text has no distribution to compare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When a column drifted, and when its data is at fault."""

    drift: DriftRules
    data: DataRules


def compare_summaries(name: str, reference: ColumnSummary, current: ColumnSummary, rules: Rules) -> ColumnComparison:
    """Compare a column of both tables; whether it drifted is not judged yet."""
    faults = tuple(find_faults(profile_of(name, reference), current, rules.data))
    if reference.kind is ColumnKind.NUMERIC:
        found = _compare_numbers(name, reference.as_numbers(), current.as_numbers(), rules)
    else:
        ours, theirs = reference.as_categories(), current.as_categories()
        found = _compare_categories(name, ours, theirs, rules, kind=reference.kind)
    return replace(found, faults=faults)


def _compare_numbers(name: str, reference: NumberColumn, current: NumberColumn, rules: Rules) -> ColumnComparison:
    found = ColumnComparison(
        name=name, kind=ColumnKind.NUMERIC, reference=_number_side(reference), current=_number_side(current)
    )
    ours, theirs = reference.sketch, current.sketch
    if ours is None or theirs is None:
        return replace(found, unwatched=NO_VALUE)
    picture = _number_picture(ours, theirs)
    if not ours.deviation:
        return replace(found, drift=number_drift(name, ours, theirs, rules.drift), picture=picture)
    far = distances_of(ours, theirs)
    measures = {
        str(Effect.WASSERSTEIN): far.wasserstein / ours.deviation,
        "wasserstein_raw": far.wasserstein,
        "kolmogorov_smirnov": far.kolmogorov_smirnov.statistic,
        "anderson_darling": far.anderson_darling.statistic,
        "energy": far.energy,
        **_count_measures(*bin_counts(ours, theirs)),
    }
    return replace(
        found,
        measures=measures,
        drift=number_drift(name, ours, theirs, rules.drift, measures=measures, test=far.kolmogorov_smirnov),
        picture=picture,
        rank_error=max(one.rank_error / one.count for one in (ours, theirs)),
    )


def _compare_categories(
    name: str, reference: CategoryColumn, current: CategoryColumn, rules: Rules, *, kind: ColumnKind
) -> ColumnComparison:
    found = ColumnComparison(
        name=name,
        kind=kind,
        reference=Side(rows=reference.rows, missing_count=reference.missing),
        current=Side(rows=current.rows, missing_count=current.missing),
    )
    ours, theirs = reference.counts, current.counts
    if ours is None or theirs is None or (_hardly_repeats(reference) and _hardly_repeats(current)):
        return replace(found, kind=ColumnKind.TEXT, unwatched=FREE_TEXT)
    found = replace(
        found,
        new_categories=tuple(sorted(theirs.keys() - ours.keys())),
        vanished_categories=tuple(sorted(ours.keys() - theirs.keys())),
    )
    if not ours or not theirs:
        return replace(found, unwatched=NO_VALUE)
    names, expected, counted = aligned(reference, current)
    varied = len(ours) > 1
    measures = _count_measures(expected, counted) if varied else {}
    return replace(
        found,
        measures={**measures, "chi_square": chi_square(expected, counted).statistic} if varied else {},
        drift=category_drift(name, reference, current, rules.drift),
        picture=_category_picture(names, expected, counted),
    )


def _hardly_repeats(column: CategoryColumn) -> bool:
    return column.counts is None or hardly_repeats(column.rows - column.missing, len(column.counts))


def _count_measures(ours: Floats, theirs: Floats) -> dict[str, float]:
    far = count_distances(ours, theirs)
    return {
        str(Effect.STABILITY): far.population_stability,
        str(Effect.JENSEN_SHANNON): far.jensen_shannon,
        "hellinger": far.hellinger,
        "total_variation": far.total_variation,
        "largest_change": far.largest_change,
    }


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
