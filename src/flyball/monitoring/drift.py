"""Drift of a window's features against the reference: an effect beyond its threshold *and* a significant test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flyball.datasets.profile import ColumnKind, ColumnProfile
from flyball.measures.drift import chi_square, jensen_shannon, population_stability
from flyball.measures.multiplicity import benjamini_hochberg, holm
from flyball.measures.reference import decile_counts, ks_against_quantiles, wasserstein_against_quantiles
from flyball.monitoring.columns import category_text, read_categories, read_numbers
from flyball.monitoring.entities import FeatureDrift
from flyball.monitoring.monitor import Correction, DriftRules, Effect

UNWATCHED_KINDS = {
    ColumnKind.TEXT: "free text has no distribution to compare",
    ColumnKind.TIME: "a time has no distribution to compare",
}
NEWLY_VARYING = "newly_varying_share"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFindings:
    """Every watched feature, strongest first, and the reason for every feature that is not watched."""

    drift: tuple[FeatureDrift, ...]
    unwatched: Mapping[str, str]


def find_drift(
    references: Sequence[ColumnProfile], columns: Mapping[str, pa.ChunkedArray], rules: DriftRules
) -> DriftFindings:
    """Measure each feature of a window that the reference knows."""
    measured: list[FeatureDrift] = []
    unwatched: dict[str, str] = {}
    for reference in references:
        reason = _unwatched(reference, columns, rules)
        found = None if reason else _measure(reference, columns[reference.name], rules)
        if found is None:
            unwatched[reference.name] = reason or "no value to compare"
        else:
            measured.append(found)
    judged = judge_all(measured, rules)
    return DriftFindings(drift=tuple(sorted(judged, key=_rank)), unwatched=unwatched)


def judge_all(measured: Sequence[FeatureDrift], rules: DriftRules) -> list[FeatureDrift]:
    """Adjust the p-values over all features, and say of each whether it drifted."""
    tested = [drift for drift in measured if drift.p_value is not None]
    adjust = holm if rules.correction is Correction.HOLM else benjamini_hochberg
    adjusted = adjust([drift.p_value or 0.0 for drift in tested])
    judged = [drift for drift in measured if drift.p_value is None]
    for drift, p_value in zip(tested, adjusted, strict=True):
        drifted = drift.effect > drift.threshold and float(p_value) < rules.significance
        judged.append(replace(drift, p_value=float(p_value), drifted=drifted))
    return judged


def _unwatched(reference: ColumnProfile, columns: Mapping[str, pa.ChunkedArray], rules: DriftRules) -> str:
    if reference.name in rules.ignore:
        return "ignored by the monitor"
    if reference.name not in columns:
        return "the window has no such column"
    return UNWATCHED_KINDS.get(reference.kind, "")


def _measure(reference: ColumnProfile, column: pa.ChunkedArray, rules: DriftRules) -> FeatureDrift | None:
    if reference.kind is ColumnKind.NUMERIC:
        return _measure_numbers(reference, read_numbers(column).values, rules)
    return _measure_categories(reference, read_categories(column).counts, rules)


def _measure_numbers(reference: ColumnProfile, values: NDArray[np.float64], rules: DriftRules) -> FeatureDrift | None:
    if len(values) == 0 or not reference.quantiles:
        return None
    if reference.minimum == reference.maximum or not reference.std:
        return newly_varying(reference, float(np.mean(values != reference.quantiles[0])), rules)
    test = ks_against_quantiles(reference.quantiles, reference.count, values)
    return FeatureDrift(
        feature=reference.name,
        measure=str(rules.numeric_measure),
        effect=_numeric_effect(reference, values, rules.numeric_measure),
        threshold=rules.numeric_limit(reference.name),
        value=test.statistic,
        p_value=test.p_value,
        drifted=False,
    )


def _numeric_effect(reference: ColumnProfile, values: NDArray[np.float64], measure: Effect) -> float:
    if measure is Effect.WASSERSTEIN:
        return wasserstein_against_quantiles(reference.quantiles, float(reference.std or 0.0), values)
    expected, counted = decile_counts(reference.quantiles, reference.count, values)
    return _count_effect(expected, counted, measure)


def _measure_categories(reference: ColumnProfile, counts: Mapping[str, int], rules: DriftRules) -> FeatureDrift | None:
    known = {category_text(value): count for value, count in reference.top}
    if not counts or not known:
        return None
    if reference.distinct_count == 1:
        same = counts.get(next(iter(known)), 0)
        return newly_varying(reference, 1.0 - same / sum(counts.values()), rules)
    expected, counted = _align(known, reference.count, counts)
    test = chi_square(expected, counted)
    return FeatureDrift(
        feature=reference.name,
        measure=str(rules.category_measure),
        effect=_count_effect(expected, counted, rules.category_measure),
        threshold=rules.category_limit(reference.name),
        value=test.statistic,
        p_value=test.p_value,
        drifted=False,
    )


def _align(
    known: Mapping[str, int], reference_rows: int, counts: Mapping[str, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count both over the categories that the profile names; all others are one."""
    rest = max(0, reference_rows - sum(known.values()))
    news = sum(count for name, count in counts.items() if name not in known)
    pairs = [(count, counts.get(name, 0)) for name, count in known.items()] + [(rest, news)]
    used = [pair for pair in pairs if any(pair)]
    table = np.asarray(used, dtype=np.float64)
    return table[:, 0], table[:, 1]


def _count_effect(expected: NDArray[np.float64], counted: NDArray[np.float64], measure: Effect) -> float:
    return (population_stability if measure is Effect.STABILITY else jensen_shannon)(expected, counted)


def newly_varying(reference: ColumnProfile, share: float, rules: DriftRules) -> FeatureDrift:
    """Judge a feature that never varied by the share of rows that left its value: it has no unit to measure in."""
    varies = share > rules.newly_varying_share
    return FeatureDrift(
        feature=reference.name,
        measure=NEWLY_VARYING,
        effect=share,
        threshold=rules.newly_varying_share,
        value=None,
        p_value=None,
        drifted=varies,
        newly_varying=varies,
    )


def _rank(drift: FeatureDrift) -> tuple[bool, float, str]:
    return not drift.drifted, -drift.strength, drift.feature
