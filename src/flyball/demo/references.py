"""The two lines that the loop is compared with: never retrained, and retrained after every window without any gate."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from flyball.demo.electricity import FEATURES, LABEL, ROWS_A_DAY, START_MS, STEP_MS, WEEK
from flyball.demo.model import make_model
from flyball.demo.recipe import is_held_out, rows_in, training_plan
from flyball.retraining.loops import TrainingPlan


def hits_without_retraining(market: pa.Table, *, trained_to: int) -> np.ndarray:
    """Return 1 for every row that the first model gets right, shape (n,); it is trained as the demo's first version."""
    features, label = _arrays(market)
    rows = _without_holdout(np.arange(trained_to), training_plan())
    return np.asarray(make_model().fit(features[rows], label[rows]).predict(features) == label, dtype=np.int64)


def hits_every_window(market: pa.Table, first: np.ndarray, *, start: int, all_rows: bool) -> np.ndarray:
    """Return the same when a new model takes over after every window, a day late because labels are.

    With `all_rows` False the models are trained on the rows that the loop's own recipe leaves for training (no holdout days,
    no newest week); with True on everything labelled, which no gated system can do.
    """
    features, label = _arrays(market)
    plan = training_plan()
    hits = first.copy()
    for end in range(start + WEEK, len(label), WEEK):
        rows = np.arange(end - rows_in(plan.span_ms), end)
        if not all_rows:
            rows = _without_holdout(rows[: -rows_in(plan.recent_ms)], plan)
        model = make_model().fit(features[rows], label[rows])
        served = slice(end + ROWS_A_DAY, min(end + WEEK + ROWS_A_DAY, len(label)))
        if served.start < len(label):
            hits[served] = model.predict(features[served]) == label[served]
    return hits


def _without_holdout(rows: np.ndarray, plan: TrainingPlan) -> np.ndarray:
    kept: np.ndarray = rows[~is_held_out(START_MS + rows * STEP_MS, plan)]
    return kept


def _arrays(market: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    return np.column_stack([market.column(name).to_numpy() for name in FEATURES]), market.column(LABEL).to_numpy()
