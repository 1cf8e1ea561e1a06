"""Realised quality of a history, block by block of time: what the watched metric is made of, so that losses can be planted into it.

Blocks are those that the monitor resamples for its bounds, so whatever rows of a block have in common stays in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flyball.measures.metrics import Metric
from flyball.measures.resampling import places_in_time
from flyball.measures.samples import Floats
from flyball.monitoring.answers import read_answers
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.quality_rules import ACCURACY
from flyball.monitoring.schema import LABEL, PREDICTION

RIGHT, WRONG = 0, 1
"""Of accuracy, the places of the right and the wrong answers among the sums of a block."""
# Their sums begin with the loss of all rows and end with how many rows there are: a loss can be made larger.
MEAN_LOSSES = frozenset({"log_loss", "brier", "mae", "rmse", "mape", "smape", "pinball"})


@dataclass(slots=True, kw_only=True, eq=False)
class BlockLosses:
    """Of each window and each of its blocks what the metric is made of: `sums` has the shape (windows, blocks, k).

    `reason` says why nothing can be made of the labels, empty where something can.
    """

    start_ms: int
    window_ms: int
    block_ms: int
    metric: Metric
    sums: Floats
    reason: str = ""

    @property
    def rows(self) -> Floats:
        """The labelled rows of each block, shape (windows, blocks)."""
        found: Floats = self.sums.sum(axis=-1) if self.metric.name == ACCURACY else self.sums[..., -1]
        return found


def empty_losses(monitor: Monitor, start_ms: int, end_ms: int) -> BlockLosses:
    """Return the blocks of whole windows, without rows; with a reason where losses of the metric cannot be planted."""
    metric = monitor.quality.find_metric()
    plantable = metric.name == ACCURACY or metric.name in MEAN_LOSSES
    windows = (end_ms - start_ms) // monitor.window_ms if plantable else 0
    blocks = -(-monitor.window_ms // monitor.block_ms)
    return BlockLosses(
        start_ms=start_ms,
        window_ms=monitor.window_ms,
        block_ms=monitor.block_ms,
        metric=metric,
        sums=np.zeros((windows, blocks, 2)),
        reason="" if plantable else f"losses of {metric.name} are no sums of rows",
    )


def add_losses(losses: BlockLosses, table: pa.Table, monitor: Monitor) -> None:
    """Add the labelled rows of a table in the schema of the prediction log; rows outside the windows are left out."""
    if losses.reason or LABEL not in table.column_names or pa.types.is_null(table.schema.field(LABEL).type):
        return
    labelled = table.filter(pc.field(LABEL).is_valid() & pc.field(PREDICTION).is_valid())
    window, block = _places(losses, labelled)
    inside = (window >= 0) & (window < len(losses.sums))
    labelled = labelled.filter(pa.array(inside))
    if not labelled.num_rows:
        return
    answers = read_answers(labelled, losses.metric, monitor.quality)
    if isinstance(answers, str):
        losses.reason = answers
        return
    flat = window[inside] * losses.sums.shape[1] + block[inside]
    places, count = places_in_time(flat, block_ms=1)
    sums = losses.metric.sums(answers, places, count)
    # Of accuracy all rows are "said": the confusion's first two places are the right answers and the wrong ones.
    losses.sums.reshape(-1, 2)[np.unique(flat)] += sums[:, :2]


def _places(losses: BlockLosses, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    since = table.column("time_ms").to_numpy() - losses.start_ms
    return since // losses.window_ms, since % losses.window_ms // losses.block_ms
