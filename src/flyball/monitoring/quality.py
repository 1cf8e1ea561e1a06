"""Realised quality of a window: accuracy of the labelled rows, with bounds from blocks of time, against the baseline."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.measures.intervals import block_bootstrap
from flyball.measures.quality import hits_per_block
from flyball.monitoring.entities import Quality, QualityVerdict
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.schema import LABEL, PREDICTION

FEWEST_BLOCKS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The quality a version showed before its release."""

    metric: str
    value: float

    @classmethod
    def from_json(cls, value: JsonValue) -> Baseline:
        """Read the evidence "baseline".

        Raises:
            InvalidInput: it is no baseline.
        """
        if not isinstance(value, dict) or not isinstance(value.get("metric"), str):
            raise InvalidInput("a baseline is an object with 'metric' and 'value'", field="baseline")
        number = value.get("value")
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number <= 1:
            raise InvalidInput(f"a baseline's value lies in 0..1, not {number!r}", field="baseline.value")
        return cls(metric=value["metric"], value=float(number))


def judge_quality(
    table: pa.Table, monitor: Monitor, baseline: Baseline | None, *, no_baseline: str, origin_ms: int, seed: int
) -> Quality:
    """Judge the rows of one version, labelled or not, of a mature window.

    Quality has dropped when even the upper bound lies below the baseline less its tolerance. What is too thin to say so,
    or to say that it held, is unknown; `no_baseline` is the reason where the baseline is None.
    """
    labelled = table.filter(pc.field(LABEL).is_valid())
    correct = pc.equal(labelled.column(PREDICTION), labelled.column(LABEL)).to_numpy()
    times = labelled.column("time_ms").to_numpy()
    blocks = hits_per_block(correct, times, block_ms=monitor.block_ms, origin_ms=origin_ms)
    known = Quality(
        metric=monitor.quality.metric,
        value=float(np.mean(correct)) if len(correct) else None,
        lower=None,
        upper=None,
        baseline=None if baseline is None else baseline.value,
        tolerance=monitor.quality.tolerance,
        rows=labelled.num_rows,
        hits=int(np.sum(correct)),
        blocks=len(blocks.blocks),
        coverage=labelled.num_rows / max(1, table.num_rows),
        verdict=QualityVerdict.UNKNOWN,
        reason="",
    )
    if len(blocks.blocks) >= FEWEST_BLOCKS:
        bounds = block_bootstrap(
            blocks.hits,
            blocks.rows,
            confidence=monitor.quality.confidence,
            resamples=monitor.quality.resamples,
            seed=seed,
        )
        known = replace(known, lower=bounds.lower, upper=bounds.upper)
    thin = _too_thin(known, monitor) or (no_baseline if baseline is None else _other_metric(known, baseline))
    return replace(known, reason=thin) if thin else _with_verdict(known)


def _with_verdict(quality: Quality) -> Quality:
    assert quality.upper is not None, "what is not too thin has bounds"
    limit = (quality.baseline or 0.0) - quality.tolerance
    if quality.upper < limit:
        reason = f"the upper bound {quality.upper:.4f} lies below {limit:.4f}"
        return replace(quality, verdict=QualityVerdict.DROPPED, reason=reason)
    reason = f"the upper bound {quality.upper:.4f} does not lie below {limit:.4f}"
    return replace(quality, verdict=QualityVerdict.HELD, reason=reason)


def _too_thin(quality: Quality, monitor: Monitor) -> str:
    if quality.coverage < monitor.min_label_coverage:
        return f"{quality.coverage:.1%} of the rows have labels, {monitor.min_label_coverage:.1%} are needed"
    if quality.rows < monitor.min_rows:
        return f"{quality.rows} labelled rows, {monitor.min_rows} are needed"
    if quality.blocks < FEWEST_BLOCKS:
        return "all labelled rows lie in one block of time, which says nothing about how blocks vary"
    return ""


def _other_metric(quality: Quality, baseline: Baseline) -> str:
    if baseline.metric == quality.metric:
        return ""
    return f"the version's baseline is {baseline.metric}, the monitor watches {quality.metric}"
