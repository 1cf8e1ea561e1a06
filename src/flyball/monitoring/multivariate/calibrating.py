"""Thresholds for features together, texts and embeddings from a monitor's own history: what windows showed while all was normal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from flyball.measures.joint_ranks import joint_ranks
from flyball.measures.permutation import fewest_for
from flyball.monitoring.multivariate.entities import (
    JointCalibration,
    JointDrift,
    JointMeasure,
    JointMeasureName,
    JointThreshold,
)
from flyball.monitoring.multivariate.rules import MultivariateRules
from flyball.monitoring.multivariate.samples import RowSample
from flyball.monitoring.multivariate.windows import judge_joint

Place = tuple[str, JointMeasureName]
Reader = Callable[[int, int], pa.Table]
"""Gives the rows between two moments, in the schema of the prediction log."""
# A window takes a tenth of a second or so; ten years of days are three thousand.
MOST_WINDOWS = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The whole windows of a history; the end is not included."""

    start_ms: int
    end_ms: int
    window_ms: int
    min_rows: int


def calibrate_joint(
    read: Reader,
    windows: Windows,
    rules: MultivariateRules,
    reference: RowSample | None,
    *,
    chance: float,
    without: Collection[str] = (),
) -> JointCalibration:
    """Judge each window of a history against the version's sample, and take as thresholds what one in `1 / chance` exceeds.

    One limit for all subjects and measures, after `flyball.measures.joint_ranks`. A window is held against the sample of the
    training data, as it will be later: what lies between training and traffic is part of what is usual.
    """
    found = list(_effects(read, windows, rules, reference, without=without))
    places = sorted({place for one in found for place in one})
    whole = [one for one in found if len(one) == len(places)]
    needed = fewest_for(chance)
    bare = JointCalibration(chance=chance, windows=len(whole), needed=needed)
    if len(whole) < needed:
        return replace(bare, reason=f"history too short: {len(whole)} windows, {needed} are needed")
    ranks = joint_ranks(np.array([[one[place] for place in places] for one in whole]), chance, whole=len(whole))
    limits = ranks.centre + ranks.limit * ranks.scale
    return replace(
        bare,
        thresholds=tuple(
            JointThreshold(subject=subject, measure=measure, threshold=float(limit), usual=float(usual))
            for (subject, measure), limit, usual in zip(places, limits, ranks.centre, strict=True)
        ),
    )


def by_calibration(drift: tuple[JointDrift, ...], calibration: JointCalibration) -> tuple[JointDrift, ...]:
    """Judge again what was measured: beyond its calibrated threshold, whatever the file's are. What is not calibrated stays."""
    limits = {(one.subject, one.measure): one.threshold for one in calibration.thresholds}
    judged = [_judged(one, limits) for one in drift]
    return tuple(sorted(judged, key=lambda one: (not one.drifted, -one.strength, one.subject)))


def _judged(one: JointDrift, limits: Mapping[Place, float]) -> JointDrift:
    measures = tuple(_against(measure, limits.get((one.subject, measure.measure))) for measure in one.measures)
    return replace(one, measures=measures, drifted=any(measure.beyond for measure in measures))


def _against(measure: JointMeasure, limit: float | None) -> JointMeasure:
    if limit is None:
        return measure
    return replace(measure, threshold=limit, beyond=_size(measure) > limit)


def _size(measure: JointMeasure) -> float:
    return abs(measure.effect)


def _effects(
    read: Reader,
    windows: Windows,
    rules: MultivariateRules,
    reference: RowSample | None,
    *,
    without: Collection[str],
) -> Iterator[dict[Place, float]]:
    first = max(windows.start_ms, windows.end_ms - MOST_WINDOWS * windows.window_ms)
    for start in range(first, windows.end_ms, windows.window_ms):
        table = read(start, start + windows.window_ms)
        if table.num_rows < max(1, windows.min_rows):
            continue
        found = judge_joint(table, rules, reference, without=without)
        if found.drift:
            yield {(one.subject, measure.measure): _size(measure) for one in found.drift for measure in one.measures}
