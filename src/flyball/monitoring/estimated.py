"""Quality without labels, and the concept once they are there: what was to be expected, and how far reality left it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flyball.measures.expectation import Spread, realised_spread
from flyball.measures.intervals import side_confidence
from flyball.measures.metrics import Better, Metric
from flyball.measures.resampling import Places, bound_figure, places_in_time, sum_in_blocks
from flyball.measures.samples import Floats
from flyball.monitoring.baselines import Baseline
from flyball.monitoring.expectations import TIME, Expectation, Method
from flyball.monitoring.figures import ConceptFigure, ConceptVerdict, EstimatedQuality, ExpectedVerdict
from flyball.monitoring.monitor_file import require
from flyball.monitoring.quality_rules import METRICS
from flyball.monitoring.schema import LABEL

DAY_MS = 86_400_000
ASSUMES = {
    Method.CBPE: "a score still means what it meant on the reference: the inputs may change, what they mean may not",
    Method.DLE: "errors in a region of the inputs are still as large as on the reference: what the inputs mean did not change",
}
LEAST_CONFIDENCE = 0.5
NAMED = 3


class ExpectationRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How sure the interval of estimated quality is, and at which significance the concept counts as changed."""

    confidence: float = 0.95
    concept_significance: float = 0.01


def check_expectation_rules(rules: ExpectationRules) -> None:
    """Check what the types do not say.

    Raises:
        InvalidInput: a value out of its range; `field` names it.
    """
    require(LEAST_CONFIDENCE < rules.confidence < 1, "expectation.confidence", "must lie between 0.5 and 1")
    require(
        0 < rules.concept_significance < 1 - LEAST_CONFIDENCE,
        "expectation.concept_significance",
        "must lie between 0 and 0.5",
    )


def estimate_quality(
    table: pa.Table, baseline: Baseline, *, rules: ExpectationRules, min_rows: int, tolerance: float
) -> EstimatedQuality | str:
    """Estimate the quality of one version's rows, labelled or not; or say why the version carries nothing to do so.

    Args:
        table: the rows, with what the expectation rests on.
        baseline: the version's.
        rules: the confidence of the bounds.
        min_rows: how many rows are needed.
        tolerance: how far below the baseline is a drop; in the unit of the expected metric.
    """
    learned = baseline.expectation
    if learned is None:
        return baseline.no_expectation
    missing = learned.missing(table) or _too_few(table.num_rows, min_rows)
    known = EstimatedQuality(
        method=learned.method,
        metric=learned.metric,
        value=None,
        lower=None,
        upper=None,
        confidence=rules.confidence,
        spread=None,
        baseline=baseline.value_of(learned.metric),
        rows=table.num_rows,
        reference_rows=learned.rows,
        reference_days=learned.history.span_ms / DAY_MS,
        verdict=ExpectedVerdict.UNKNOWN,
        reason=missing,
        assumes=ASSUMES[learned.method],
    )
    if missing:
        return known
    spread = _spread(table, learned, confidence=rules.confidence)
    value = float(learned.expected(table).mean())
    if spread is None:
        return replace(known, value=value, reason=_short_reference(learned))
    metric = METRICS[learned.metric]
    lower, upper = max(metric.low, value - spread.half), min(metric.high, value + spread.half)
    found = replace(known, value=value, lower=lower, upper=upper, spread=spread.source)
    return _with_verdict(found, metric, tolerance=tolerance)


def _with_verdict(found: EstimatedQuality, metric: Metric, *, tolerance: float) -> EstimatedQuality:
    assert found.lower is not None, "the bounds are known by now"
    assert found.upper is not None, "the bounds are known by now"
    if found.baseline is None:
        return replace(found, reason=f"the version's baseline has no {found.metric}")
    sign = 1.0 if metric.better is Better.HIGHER else -1.0
    best = found.upper if metric.better is Better.HIGHER else found.lower
    dropped = sign * best < sign * found.baseline - tolerance
    verdict = ExpectedVerdict.DROPPED if dropped else ExpectedVerdict.HELD
    where = "lies beyond" if dropped else "reaches"
    reason = (
        f"expected {found.lower:.4f} to {found.upper:.4f} {where} the baseline {found.baseline:.4f} less {tolerance:g}"
    )
    return replace(found, verdict=verdict, reason=reason)


def judge_concept(
    labelled: pa.Table,
    learned: Expectation,
    *,
    rules: ExpectationRules,
    block_ms: int,
    min_rows: int,
    resamples: int,
    seed: int,
    drifted: Sequence[str] = (),
    faulty: Sequence[str] = (),
) -> ConceptFigure:
    """Say whether the labels of a mature window are those that its features and scores let expect.

    The expectation follows a change of the inputs as far as scores show it, so what is left between it and reality is the
    change of what the inputs mean, or inputs that the reference did not have: `drifted` names those, for the reason. Inputs
    that are broken (`faulty`) leave a gap too, and say nothing of what sound ones mean: the verdict is then unknown.
    """
    confidence = 1.0 - rules.concept_significance
    missing = learned.missing(labelled) or _too_few(labelled.num_rows, min_rows)
    known = _unjudged(labelled, learned, confidence=confidence, reason=missing)
    if missing:
        return known
    spread = _spread(labelled, learned, confidence=confidence)
    if spread is None:
        return replace(known, reason=_short_reference(learned))
    gaps = learned.realised(labelled) - learned.expected(labelled)
    places, count = places_in_time(labelled.column(TIME).to_numpy(), block_ms=block_ms)
    bounds = _gap_bounds(gaps, places, count, confidence=confidence, resamples=resamples, seed=seed)
    if bounds is None:
        return replace(known, allowed=spread.half, reason="all labelled rows lie in one block of time")
    known = replace(known, allowed=spread.half, lower=bounds[0], upper=bounds[1])
    return _with_concept(known, drifted=drifted, faulty=faulty)


def _unjudged(labelled: pa.Table, learned: Expectation, *, confidence: float, reason: str) -> ConceptFigure:
    """Return what was expected and what came of it, with no verdict yet; with a reason not even that is known."""
    known = ConceptFigure(
        metric=learned.metric,
        expected=None,
        realised=None,
        gap=None,
        lower=None,
        upper=None,
        allowed=None,
        confidence=confidence,
        rows=labelled.num_rows,
        worse=False,
        verdict=ConceptVerdict.UNKNOWN,
        reason=reason,
    )
    if reason:
        return known
    realised, expected = float(learned.realised(labelled).mean()), float(learned.expected(labelled).mean())
    gap = realised - expected
    higher_is_better = METRICS[learned.metric].better is Better.HIGHER
    return replace(known, expected=expected, realised=realised, gap=gap, worse=(gap < 0) is higher_is_better)


def _with_concept(found: ConceptFigure, *, drifted: Sequence[str], faulty: Sequence[str]) -> ConceptFigure:
    assert found.gap is not None, "the figures are known by now"
    assert found.allowed is not None, "the figures are known by now"
    assert found.lower is not None, "the bounds are known by now"
    assert found.upper is not None, "the bounds are known by now"
    changed = abs(found.gap) > found.allowed and not found.lower <= 0.0 <= found.upper
    reason = _told(found, changed=changed, drifted=drifted)
    if changed and faulty:
        reason += f"; {', '.join(faulty[:NAMED])} came broken, which says nothing of what sound inputs mean"
        return replace(found, verdict=ConceptVerdict.UNKNOWN, reason=reason)
    return replace(found, verdict=ConceptVerdict.CHANGED if changed else ConceptVerdict.HELD, reason=reason)


def _told(found: ConceptFigure, *, changed: bool, drifted: Sequence[str]) -> str:
    allowed, gap = found.allowed or 0.0, found.gap or 0.0
    reason = f"{found.metric} {found.realised or 0.0:.4f}, {found.expected or 0.0:.4f} was to be expected; the gap {gap:+.4f} is "
    if not changed:
        return reason + f"within ±{allowed:.4f}" if abs(gap) <= allowed else reason + "no more than its blocks vary"
    reason += f"beyond ±{allowed:.4f}, all that the reference knew"
    if drifted:
        names = ", ".join(drifted[:NAMED])
        reason += f"; the inputs drifted too ({names}): a part may come from rows that the reference did not have"
    return reason


def _gap_bounds(
    gaps: Floats, places: Places, blocks: int, *, confidence: float, resamples: int, seed: int
) -> tuple[float, float] | None:
    if blocks < 2:  # noqa: PLR2004 -- variation between blocks needs two of them
        return None
    sums = np.stack([sum_in_blocks(one, places, blocks) for one in (gaps, np.ones_like(gaps))], axis=-1)
    found = bound_figure(
        sums,
        lambda each: each[..., 0] / each[..., 1],
        estimate=float(gaps.mean()),
        low=-np.inf,
        high=np.inf,
        confidence=side_confidence(confidence),
        resamples=resamples,
        seed=seed,
    )
    return found.lower, found.upper


def _spread(table: pa.Table, learned: Expectation, *, confidence: float) -> Spread | None:
    return realised_spread(
        learned.history,
        blocks=places_in_time(table.column(TIME).to_numpy(), block_ms=learned.history.block_ms)[1],
        row_variance=learned.variance_of_mean(table),
        confidence=confidence,
    )


def _too_few(rows: int, needed: int) -> str:
    return f"{rows} rows, {needed} are needed" if rows < needed else ""


def _short_reference(learned: Expectation) -> str:
    days = learned.history.span_ms / DAY_MS
    return f"the reference of {days:.1f} days is too short to show how the expectation errs"


def labelled_rows(table: pa.Table) -> pa.Table:
    """Return the rows that have labels."""
    return table.filter(pc.field(LABEL).is_valid())
