"""The two lines that the loop is compared with: never retrained, and retrained after every window without any gate."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from flyball.demo.electricity import DAY_MS, FEATURES, LABEL, ROWS_A_DAY, START_MS
from flyball.demo.model import make_model

WEEK = 7 * ROWS_A_DAY
SPAN_WEEKS = 9
RECENT_WEEKS = 1
HOLDOUT_EVERY = 5


def hits_without_retraining(market: pa.Table, *, trained_to: int) -> np.ndarray:
    """Return 1 for every row that the first model gets right, shape (n,); it is trained as the demo's first version."""
    features, label = _arrays(market)
    rows = _without_holdout(np.arange(trained_to))
    return np.asarray(make_model().fit(features[rows], label[rows]).predict(features) == label, dtype=np.int64)


def hits_every_window(market: pa.Table, first: np.ndarray, *, start: int, all_rows: bool) -> np.ndarray:
    """Return the same when a new model takes over after every window, a day late because labels are.

    With `all_rows` False the models are trained on the rows that the loop's own recipe leaves for training (no holdout days,
    no newest week); with True on everything labelled, which no gated system can do.
    """
    features, label = _arrays(market)
    hits = first.copy()
    for end in range(start + WEEK, len(label), WEEK):
        rows = np.arange(end - SPAN_WEEKS * WEEK, end)
        if not all_rows:
            rows = _without_holdout(rows[: -RECENT_WEEKS * WEEK])
        model = make_model().fit(features[rows], label[rows])
        served = slice(end + ROWS_A_DAY, min(end + WEEK + ROWS_A_DAY, len(label)))
        if served.start < len(label):
            hits[served] = model.predict(features[served]) == label[served]
    return hits


def _without_holdout(rows: np.ndarray) -> np.ndarray:
    days = START_MS // DAY_MS + rows // ROWS_A_DAY
    kept: np.ndarray = rows[days % HOLDOUT_EVERY != 0]
    return kept


def _arrays(market: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    return np.column_stack([market.column(name).to_numpy() for name in FEATURES]), market.column(LABEL).to_numpy()
