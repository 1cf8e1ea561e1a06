"""What a monitor's rule of quality would find: losses planted into slices of windows, judged as the platform judges them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flyball.kernel.canonical import digest_json
from flyball.monitoring.calibration.calibrate import Frame
from flyball.monitoring.calibration.cells import Cells
from flyball.monitoring.calibration.entities import Calibration, Power
from flyball.monitoring.calibration.power import power_of
from flyball.monitoring.calibration.windows import pieces
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.quality import Baseline, judge_quality
from flyball.monitoring.quality_rules import ACCURACY

# Shares of the rows that a slice holds; 1 is all of them.
SLICES = (0.02, 0.1, 1.0)
LOSSES = (0.05, 0.1)
MOST_WINDOWS = 60
_SEED_DIGITS = 8


def with_quality_power(calibration: Calibration, monitor: Monitor, cells: Cells, frame: Frame) -> Calibration:
    """State which losses the monitor finds within the time that its file names, from the labels that the history has.

    A slice's rows are drawn from its window at random, so they are taken as independent of each other; the baseline is the
    history's own accuracy. Nothing is stated of other metrics.
    """
    if monitor.quality.metric != ACCURACY:
        return calibration  # a loss of so many points is one of right answers
    index = pieces(cells, frame.k, step=frame.k, min_rows=monitor.min_rows, most=MOST_WINDOWS)
    labelled, hits = cells.labelled[index].sum(axis=1), cells.hits[index].sum(axis=1)
    if not labelled.sum() > 0:
        return calibration
    seed = int(digest_json([monitor.name, cells.start_ms, "quality"])[:_SEED_DIGITS], 16)
    baseline = Baseline(metric=monitor.quality.metric, value=float(hits.sum() / labelled.sum()))
    within = monitor.alarms.power_windows(monitor.window_ms)
    stated: list[Power] = []
    for share in SLICES:
        for loss in LOSSES:
            generator = np.random.default_rng(seed)
            pairs = zip(labelled.astype(int), hits.astype(int), strict=True)
            found = np.array(
                [_found(int(rows), int(right), share, loss, monitor, baseline, generator) for rows, right in pairs]
            )
            change = "loss of quality" if share == 1.0 else f"loss of quality in a slice of {share:.0%}"
            stated.append(
                power_of(
                    found, change=change, size=100 * loss, unit="points", feature="", within=within, monitor=monitor
                )
            )
    return replace(calibration, power=(*calibration.power, *stated))


def _found(
    rows: int,
    right: int,
    share: float,
    loss: float,
    monitor: Monitor,
    baseline: Baseline,
    generator: np.random.Generator,
) -> bool:
    size = int(generator.binomial(rows, share))
    correct = generator.random(size) < max(0.0, right / max(1, rows) - loss)
    quality = judge_quality(
        _slice(correct, monitor.window_ms), monitor, baseline, no_baseline="", origin_ms=0, seed=size
    )
    return quality.dropped


def _slice(correct: NDArray[np.bool_], window_ms: int) -> pa.Table:
    """Return rows spread evenly over a window that starts at 0; their label is 1, and the prediction where it is right."""
    times = np.arange(len(correct), dtype=np.int64) * window_ms // max(1, len(correct))
    labels = np.ones(len(correct), dtype=np.int64)
    return pa.table({"time_ms": times, "prediction": correct.astype(np.int64), "label": labels})
