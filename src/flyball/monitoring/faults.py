"""Data faults of a window: what is wrong with a feature, whatever the model makes of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flyball.datasets.profile import ColumnKind, ColumnProfile
from flyball.measures.intervals import wilson
from flyball.measures.sketch import Sketch
from flyball.measures.sketched import normed_wasserstein_of
from flyball.monitoring.entities import DataFault, FaultKind
from flyball.monitoring.monitor import DEFAULT_THRESHOLDS, DataRules, Effect
from flyball.monitoring.reference_columns import summary_of
from flyball.monitoring.summaries import CategoryColumn, ColumnSummary, NumberColumn

# What stands for all rows where the few that lie beyond the range are looked at: values at this many levels, both ends among them.
LEVELS = 1 << 13
# What stands for all rows where only their usual size is asked for.
SIZE_LEVELS = np.arange(1 << 9) / ((1 << 9) - 1)
# A missing share has jumped when its lower bound at this confidence has.
MISSING_CONFIDENCE = 0.95
# A unit error multiplies by a power of ten; real change hits one to within a tenth of a decade only by chance.
DECADE_TOLERANCE = 0.1


def find_faults(reference: ColumnProfile, column: ColumnSummary, rules: DataRules) -> list[DataFault]:
    """Judge one feature of a window against the reference.

    A feature that is constant in the reference has no known range: its values are judged as drift, never as a fault.
    """
    if reference.kind is ColumnKind.NUMERIC:
        return number_faults(reference, column.as_numbers(), rules)
    return category_faults(reference, column.as_categories(), rules)


def number_faults(reference: ColumnProfile, numbers: NumberColumn, rules: DataRules) -> list[DataFault]:
    """Judge a feature of numbers."""
    faults = _missing(reference, missing=numbers.missing, rows=numbers.rows, rules=rules)
    if numbers.unreadable:
        share = numbers.unreadable / numbers.rows
        faults.append(_fault(reference, FaultKind.TYPE, share, f"{share:.1%} of the rows hold no number"))
    if numbers.sketch is not None and _varies(reference):
        faults += _stuck(reference, numbers.sketch, rules)
        faults += _misplaced(reference, numbers.sketch, rows=numbers.rows, rules=rules)
    return faults


def category_faults(reference: ColumnProfile, categories: CategoryColumn, rules: DataRules) -> list[DataFault]:
    """Judge a feature of categories."""
    missing = _missing(reference, missing=categories.missing, rows=categories.rows, rules=rules)
    return missing + _stuck_category(reference, categories, rules)


def unit_factor(values: NDArray[np.float64], quantiles: NDArray[np.float64]) -> float | None:
    """Return the power of ten that the sizes of `values` stand to those of the reference in, None when there is none."""
    ours, theirs = float(np.median(np.abs(values))), float(np.median(np.abs(quantiles)))
    if ours <= 0 or theirs <= 0:
        return None
    decades = math.log10(ours / theirs)
    nearest = round(decades)
    return 10.0**nearest if nearest != 0 and abs(decades - nearest) <= DECADE_TOLERANCE else None


def _missing(reference: ColumnProfile, *, missing: int, rows: int, rules: DataRules) -> list[DataFault]:
    expected = reference.missing_count / max(1, reference.count + reference.missing_count)
    found = wilson(missing, rows, confidence=MISSING_CONFIDENCE)
    if found.lower <= expected + rules.missing_jump:
        return []
    detail = f"{found.estimate:.1%} of the values are missing, {expected:.1%} in the reference"
    return [_fault(reference, FaultKind.MISSING, found.estimate, detail)]


def _stuck(reference: ColumnProfile, sketch: Sketch, rules: DataRules) -> list[DataFault]:
    still = sketch.minimum == sketch.maximum and sketch.count > 1
    if not still or reference.distinct_count < rules.constant_min_distinct:
        return []
    detail = f"stands still at {sketch.minimum:.6g}; the reference has {reference.distinct_count} different values"
    return [_fault(reference, FaultKind.CONSTANT, 1.0, detail)]


def _stuck_category(reference: ColumnProfile, categories: CategoryColumn, rules: DataRules) -> list[DataFault]:
    counts = categories.counts or {}
    alone = len(counts) == 1 and sum(counts.values()) > 1
    if not alone or reference.distinct_count < rules.constant_min_distinct:
        return []
    detail = f"is always '{next(iter(counts))}'; the reference has {reference.distinct_count} different values"
    return [_fault(reference, FaultKind.CONSTANT, 1.0, detail)]


def _misplaced(reference: ColumnProfile, sketch: Sketch, *, rows: int, rules: DataRules) -> list[DataFault]:
    """Find values far outside the reference, and values that fit it only after a change of unit."""
    low, high = _range(reference)
    reach = rules.out_of_range_reach * (high - low)
    quantiles = np.asarray(reference.quantiles, dtype=np.float64)
    below = int(sketch.cumulative([low - reach], inclusive=False)[0])
    above = sketch.count - int(sketch.cumulative([high + reach])[0])
    share = (below + above) / rows
    if share > rules.out_of_range_share:
        detail = f"{share:.1%} of the values lie beyond [{low - reach:.6g}, {high + reach:.6g}]"
        values = _standing_for(sketch)
        detail += _hint(unit_factor(values[(values < low - reach) | (values > high + reach)], quantiles))
        return [_fault(reference, FaultKind.OUT_OF_RANGE, share, detail)]
    factor = unit_factor(sketch.at_levels(SIZE_LEVELS), quantiles)
    if factor is None or not _fits_rescaled(reference, sketch, factor=factor):
        return []
    detail = f"fits the reference only when divided by {factor:g}: a unit error?"
    return [_fault(reference, FaultKind.UNIT, 1.0, detail)]


def _fits_rescaled(reference: ColumnProfile, sketch: Sketch, *, factor: float) -> bool:
    """Tell whether a drift vanishes with the change of unit: what is left is less than what counts as drift."""
    known, limit = summary_of(reference).numbers, DEFAULT_THRESHOLDS[Effect.WASSERSTEIN]
    if known is None:
        return False
    rescaled = replace(sketch, points=sketch.points / factor)
    return normed_wasserstein_of(known, sketch) > limit >= normed_wasserstein_of(known, rescaled)


def _standing_for(sketch: Sketch) -> NDArray[np.float64]:
    """Return few values that stand for all."""
    if sketch.weights is None and sketch.count <= LEVELS:
        return sketch.points
    levels = sketch.at_levels(np.arange(LEVELS) / (LEVELS - 1))
    return np.concatenate([levels, [sketch.minimum, sketch.maximum]])


def _hint(factor: float | None) -> str:
    return "" if factor is None else f"; their size is {factor:g} times the usual: a unit error?"


def _varies(reference: ColumnProfile) -> bool:
    low, high = _range(reference)
    return high > low and bool(reference.std) and bool(reference.quantiles)


def _range(reference: ColumnProfile) -> tuple[float, float]:
    return float(reference.minimum or 0.0), float(reference.maximum or 0.0)


def _fault(reference: ColumnProfile, kind: FaultKind, share: float, detail: str) -> DataFault:
    return DataFault(feature=reference.name, kind=kind, share=share, detail=detail)
