"""How far a column moved from its reference: the effect that the rules name, and the test. One engine for tables and windows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flyball.measures.drift import TestResult, chi_square, jensen_shannon, population_stability
from flyball.measures.samples import Floats
from flyball.measures.sketch import Sketch
from flyball.measures.sketched import bin_counts, ks_of, normed_wasserstein_of
from flyball.monitoring.entities import FeatureDrift
from flyball.monitoring.monitor import DriftRules, Effect
from flyball.monitoring.summaries import CategoryColumn, ColumnSummary

NEWLY_VARYING = "newly_varying_share"


def column_drift(name: str, reference: ColumnSummary, current: ColumnSummary, rules: DriftRules) -> FeatureDrift | None:
    """Measure a column, read as what it is in the reference; None where there is no value to compare. Not judged yet."""
    if reference.numbers is not None:
        theirs = current.as_numbers().sketch
        return None if theirs is None else number_drift(name, reference.numbers, theirs, rules)
    return category_drift(name, reference.as_categories(), current.as_categories(), rules)


def number_drift(
    name: str,
    ours: Sketch,
    theirs: Sketch,
    rules: DriftRules,
    *,
    measures: Mapping[str, float] | None = None,
    test: TestResult | None = None,
) -> FeatureDrift:
    """Measure a column of numbers; `measures` and `test` are not taken again where they are known."""
    if not ours.deviation:
        return newly_varying(name, _share_beside(theirs, ours.minimum), rules)
    found = test or ks_of(ours, theirs)
    key = str(rules.numeric_measure)
    effect = measures[key] if measures else _number_effect(ours, theirs, rules.numeric_measure)
    return _drift(name, key, effect, limit=rules.numeric_limit(name), test=found)


def category_drift(name: str, ours: CategoryColumn, theirs: CategoryColumn, rules: DriftRules) -> FeatureDrift | None:
    """Measure a column of categories; None where one side has no value, or too many different ones."""
    if not ours.counts or not theirs.counts:
        return None
    if len(ours.counts) == 1 and not ours.other:
        total = sum(theirs.counts.values())
        return newly_varying(name, (total - theirs.counts.get(next(iter(ours.counts)), 0)) / total, rules)
    _names, expected, counted = aligned(ours, theirs)
    effect = count_effect(expected, counted, rules.category_measure)
    limit = rules.category_limit(name)
    return _drift(name, str(rules.category_measure), effect, limit=limit, test=chi_square(expected, counted))


def aligned(ours: CategoryColumn, theirs: CategoryColumn) -> tuple[list[str], Floats, Floats]:
    """Count both over the same categories, the most frequent of the reference first.

    Where the reference does not name all of its own, what it does not name is one category.
    """
    known, seen = ours.counts or {}, theirs.counts or {}
    names = sorted(
        known if ours.other else {*known, *seen}, key=lambda one: (-known.get(one, 0), -seen.get(one, 0), one)
    )
    pairs = [(known.get(name, 0), seen.get(name, 0)) for name in names]
    if ours.other:
        names.append("")
        pairs.append((ours.other, sum(count for name, count in seen.items() if name not in known)))
    table = np.asarray(pairs, dtype=np.float64)
    return names, table[:, 0], table[:, 1]


def count_effect(expected: Floats, counted: Floats, measure: Effect) -> float:
    """Return the effect of counts over the same bins or categories."""
    return (population_stability if measure is Effect.STABILITY else jensen_shannon)(expected, counted)


def newly_varying(name: str, share: float, rules: DriftRules) -> FeatureDrift:
    """Judge a column that never varied by the share of rows that left its value: it has no unit to measure in."""
    varies = share > rules.newly_varying_share
    return FeatureDrift(
        feature=name,
        measure=NEWLY_VARYING,
        effect=share,
        threshold=rules.newly_varying_share,
        value=None,
        p_value=None,
        drifted=varies,
        newly_varying=varies,
    )


def _share_beside(sketch: Sketch, value: float) -> float:
    """Return the share of rows, 0..1, that have another value."""
    at = sketch.cumulative([value]) - sketch.cumulative([value], inclusive=False)
    return (sketch.count - int(at[0])) / sketch.count


def _number_effect(ours: Sketch, theirs: Sketch, measure: Effect) -> float:
    if measure is Effect.WASSERSTEIN:
        return normed_wasserstein_of(ours, theirs)
    return count_effect(*bin_counts(ours, theirs), measure)


def _drift(name: str, measure: str, effect: float, *, limit: float, test: TestResult) -> FeatureDrift:
    return FeatureDrift(
        feature=name,
        measure=measure,
        effect=effect,
        threshold=limit,
        value=test.statistic,
        p_value=test.p_value,
        drifted=False,
    )
