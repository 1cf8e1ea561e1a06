"""Slices of a window that the monitor names, as SQL predicates: the watched metric of each, against the slice's own baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flyball.kernel.errors import InvalidInput
from flyball.measures.metrics import Answers, Metric
from flyball.measures.resampling import Places
from flyball.monitoring.baselines import Baseline
from flyball.monitoring.figures import SliceFigure, SliceVerdict
from flyball.monitoring.quality import bound_metric, verdict_of
from flyball.monitoring.quality_rules import QualityRules
from flyball.monitoring.slice_predicates import rows_where
from flyball.monitoring.slice_rules import SliceRules

FEWEST_BLOCKS = 2
HELD_OR_DROPPED = {"held": SliceVerdict.HELD, "dropped": SliceVerdict.DROPPED}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labelled:
    """The labelled rows of a window as the slices want them."""

    table: pa.Table
    answers: Answers
    places: Places
    metric: Metric


def judge_slices(
    labelled: Labelled, *, rules: SliceRules, quality: QualityRules, baseline: Baseline | None, seed: int
) -> tuple[SliceFigure, ...]:
    """Return the watched metric of each named slice, with its bounds; undecided where there is too little to say more.

    The more slices are named, the surer each bound (Bonferroni): that any of them is said to have dropped is no likelier for it.
    """
    quality = msgspec.structs.replace(quality, confidence=confidence_of_one(quality.confidence, len(rules.named)))
    found: list[SliceFigure] = []
    for name, where in rules.named.items():
        blank = SliceFigure(
            name=name,
            where=where,
            metric=labelled.metric.name,
            rows=0,
            share=0.0,
            value=None,
            lower=None,
            upper=None,
            baseline=None if baseline is None else baseline.slices.get(where, {}).get(labelled.metric.name),
            verdict=SliceVerdict.UNDECIDED,
            reason="",
        )
        try:
            (kept,) = rows_where(labelled.table, [where])
        except InvalidInput as error:  # its features were there when the monitor was set
            found.append(replace(blank, reason=error.message))
            continue
        found.append(_judge(blank, kept, labelled, rules=rules, quality=quality, seed=seed))
    return tuple(found)


def confidence_of_one(confidence: float, slices: int) -> float:
    """Return the confidence of each slice's bound when so many are judged together.

    >>> round(confidence_of_one(0.95, 5), 10)
    0.99
    """
    return 1.0 - (1.0 - confidence) / max(1, slices)


def _judge(
    blank: SliceFigure,
    kept: NDArray[np.bool_],
    labelled: Labelled,
    *,
    rules: SliceRules,
    quality: QualityRules,
    seed: int,
) -> SliceFigure:
    rows = int(kept.sum())
    known = replace(blank, rows=rows, share=rows / max(1, len(kept)))
    if not rows:
        return replace(known, reason="no labelled row is in it")
    _, places = np.unique(labelled.places[kept], return_inverse=True)
    bounds = bound_metric(labelled.metric, labelled.answers.where(kept), places, rules=quality, seed=seed)
    if not math.isfinite(bounds.estimate):
        return replace(known, reason=f"{known.metric} is not defined: {labelled.metric.undefined}")
    lower, upper = (bound if math.isfinite(bound) else None for bound in (bounds.lower, bounds.upper))
    known = replace(known, value=bounds.estimate, lower=lower, upper=upper)
    if rows < rules.min_rows:
        return replace(known, reason=f"{rows} labelled rows, {rules.min_rows} are needed")
    if places.max() + 1 < FEWEST_BLOCKS and not quality.independent_rows:
        return replace(known, reason="all its labelled rows lie in one block of time")
    if known.baseline is None:
        return replace(known, reason="the version's baseline has no figure of this slice")
    verdict, reason = verdict_of(
        (bounds.lower, bounds.upper),
        better=labelled.metric.better,
        baseline=known.baseline,
        tolerance=quality.tolerance,
    )
    return replace(known, verdict=HELD_OR_DROPPED[verdict], reason=reason)
