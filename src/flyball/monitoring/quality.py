"""Realised quality of a window: the metric of its labelled rows, with bounds from blocks of time, against the baseline."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flyball.measures.classification import delong
from flyball.measures.intervals import Interval, wilson
from flyball.measures.metrics import Answers, Better, Metric
from flyball.measures.resampling import places_in_time
from flyball.monitoring.answers import read_answers
from flyball.monitoring.baselines import Baseline
from flyball.monitoring.entities import Quality, QualityVerdict
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.quality_rules import ACCURACY, QualityRules
from flyball.monitoring.schema import LABEL

__all__ = ["Baseline", "bound_metric", "judge_quality", "verdict_of"]

FEWEST_BLOCKS = 2
# Independent rows are dealt round into this many blocks, where a metric has no bounds of its own for single rows.
DEALT_BLOCKS = 100


def judge_quality(
    table: pa.Table, monitor: Monitor, baseline: Baseline | None, *, no_baseline: str, origin_ms: int, seed: int
) -> Quality:
    """Judge the rows of one version, labelled or not, of a mature window.

    Quality has dropped when even the bound on the better side is worse than the baseline by more than the tolerance. What is
    too thin to say so, or to say that it held, is unknown; `no_baseline` is the reason where the baseline is None.
    """
    labelled = table.filter(pc.field(LABEL).is_valid())
    metric = monitor.quality.find_metric()
    read = read_answers(labelled, metric, monitor.quality)
    answers, unreadable = (None, read) if isinstance(read, str) else (read, "")
    times = labelled.column("time_ms").to_numpy()
    places, blocks = places_in_time(times, block_ms=monitor.block_ms, origin_ms=origin_ms)
    limit = None if baseline is None else baseline.value_of(metric.name)
    known = Quality(
        metric=metric.name,
        better=metric.better,
        value=None,
        lower=None,
        upper=None,
        baseline=limit,
        tolerance=monitor.quality.tolerance,
        rows=labelled.num_rows,
        hits=int(np.sum(answers.truth)) if answers is not None and metric.name == ACCURACY else 0,
        blocks=blocks,
        coverage=labelled.num_rows / max(1, table.num_rows),
        verdict=QualityVerdict.UNKNOWN,
        reason="",
    )
    if answers is not None and answers.rows:
        found = bound_metric(metric, answers, places, rules=monitor.quality, seed=seed)
        known = _with_bounds(known, found, monitor.quality)
    thin = _too_thin(known, monitor) or unreadable or _undefined(known, metric)
    thin = thin or (no_baseline if baseline is None else _other_metric(known, baseline))
    return replace(known, reason=thin) if thin else _with_verdict(known)


def bound_metric(metric: Metric, answers: Answers, places: np.ndarray, *, rules: QualityRules, seed: int) -> Interval:
    """Return a metric with the bounds that the rules ask for; `places` are the blocks of the rows, numbered from 0."""
    confidence, resamples = rules.confidence, rules.resamples
    if rules.independent_rows:
        alone = _of_independent_rows(metric, answers, confidence=confidence)
        if alone is not None:
            return alone
        places = np.arange(answers.rows, dtype=np.int64) % min(DEALT_BLOCKS, answers.rows)
    blocks = int(places.max()) + 1
    return metric.bounded(answers, places, blocks, confidence=confidence, resamples=resamples, seed=seed)


def _of_independent_rows(metric: Metric, answers: Answers, *, confidence: float) -> Interval | None:
    truth, said = answers.truth.astype(bool), answers.said.astype(bool)
    about = {ACCURACY: np.ones(answers.rows, dtype=bool), "precision": said, "recall": truth}
    if metric.name in about and np.any(about[metric.name]):
        among = about[metric.name]
        return wilson(int(np.sum((truth == said) & among)), int(among.sum()), confidence=confidence)
    if metric.name == "roc_auc" and answers.chance is not None and 1 < truth.sum() < answers.rows - 1:
        return delong(truth, answers.chance, confidence=confidence)
    return None


def verdict_of(
    bounds: tuple[float, float], *, better: Better, baseline: float, tolerance: float
) -> tuple[QualityVerdict, str]:
    """Say whether quality between two bounds has surely fallen below a baseline less a tolerance, and why."""
    lower, upper = bounds
    if better is Better.HIGHER:
        limit = baseline - tolerance
        return _said(upper < limit, f"the upper bound {upper:.4f}", "below", limit)
    if better is Better.LOWER:
        limit = baseline + tolerance
        return _said(lower > limit, f"the lower bound {lower:.4f}", "above", limit)
    limit = abs(baseline) + tolerance
    nearest = 0.0 if lower <= 0.0 <= upper else min(abs(lower), abs(upper))
    return _said(nearest > limit, f"the bound nearest to zero, {nearest:.4f} from it,", "beyond", limit)


def _said(worse: bool, what: str, where: str, limit: float) -> tuple[QualityVerdict, str]:  # noqa: FBT001 -- a finding
    if worse:
        return QualityVerdict.DROPPED, f"{what} lies {where} {limit:.4f}"
    return QualityVerdict.HELD, f"{what} does not lie {where} {limit:.4f}"


def _with_verdict(quality: Quality) -> Quality:
    assert quality.baseline is not None, "what is not too thin has a baseline"
    bounds = (
        -math.inf if quality.lower is None else quality.lower,
        math.inf if quality.upper is None else quality.upper,
    )
    verdict, reason = verdict_of(bounds, better=quality.better, baseline=quality.baseline, tolerance=quality.tolerance)
    return replace(quality, verdict=verdict, reason=reason)


def _with_bounds(quality: Quality, found: Interval, rules: QualityRules) -> Quality:
    """Take over what is known; what has no number (undefined, or without a bound) stays None."""
    if not math.isfinite(found.estimate):
        return quality
    if quality.blocks < FEWEST_BLOCKS and not rules.independent_rows:
        return replace(quality, value=found.estimate)
    lower, upper = (bound if math.isfinite(bound) else None for bound in (found.lower, found.upper))
    return replace(quality, value=found.estimate, lower=lower, upper=upper)


def _undefined(quality: Quality, metric: Metric) -> str:
    return "" if quality.value is not None else f"{metric.name} is not defined: {metric.undefined}"


def _too_thin(quality: Quality, monitor: Monitor) -> str:
    if quality.coverage < monitor.min_label_coverage:
        return f"{quality.coverage:.1%} of the rows have labels, {monitor.min_label_coverage:.1%} are needed"
    if quality.rows < monitor.min_rows:
        return f"{quality.rows} labelled rows, {monitor.min_rows} are needed"
    if quality.blocks < FEWEST_BLOCKS and not monitor.quality.independent_rows:
        return "all labelled rows lie in one block of time, which says nothing about how blocks vary"
    return ""


def _other_metric(quality: Quality, baseline: Baseline) -> str:
    if quality.baseline is not None:
        return ""
    return f"the version's baseline is {baseline.metric}, the monitor watches {quality.metric}"
