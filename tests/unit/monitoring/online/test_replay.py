"""Detectors are replayed by a backtest like everything else that a monitor looks for."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from flyball.monitoring.backtest.files import backtest_tables
from flyball.monitoring.backtest.histories import Roles, log_table
from flyball.monitoring.backtest.results import Backtest
from flyball.monitoring.monitor import DAY_MS, parse_monitor

ROLES = Roles(time="time_ms", prediction="prediction", label="label")
FILE = """
monitor: draft
endpoint: live
model: model
window: 1d
label_maturity: 2d
min_rows: 6
quality: {resamples: 100, tolerance: 0.4}
slices: {search: false}
drift: {numeric_threshold: 9}
online:
  - {watch: error, detector: cusum, run_length: 1000000, rise: 0.2}
  - {watch: feature, feature: load, detector: cusum, run_length: 1000, learn: 12}
"""


def _history(days: int, *, wrong_from: int, high_from: int) -> pa.Table:
    generator = np.random.default_rng(21)
    day = np.repeat(np.arange(days), 24)
    wrong = generator.random(len(day)) < np.where(day >= wrong_from, 0.5, 0.1)
    answers = generator.integers(0, 2, len(day))
    return pa.table(
        {
            "time_ms": np.arange(len(day)) * DAY_MS // 24,
            "load": generator.normal(0, 1, len(day)) + np.where(day >= high_from, 2.5, 0.0),
            "prediction": answers,
            "label": np.where(wrong, 1 - answers, answers),
        }
    )


def _replayed(table: pa.Table) -> Backtest:
    return backtest_tables(parse_monitor(FILE), log_table(table, ROLES), roles=ROLES, until_ms=20 * DAY_MS)


def test_changes_fire_when_they_would_have_been_known() -> None:
    of_errors = _replayed(_history(44, wrong_from=38, high_from=99)).draft
    first = of_errors.fired[0]
    assert first.kind == "lasting_change"
    assert 38 * DAY_MS <= first.window_start_ms <= 40 * DAY_MS
    assert first.fired_ms == first.window_start_ms + 3 * DAY_MS  # its end, and the time for labels
    assert first.causes[0].startswith("error rose since 1970-02-0")
    of_features = _replayed(_history(44, wrong_from=99, high_from=38)).draft
    first = of_features.fired[0]
    assert first.kind == "lasting_change"
    assert first.fired_ms == first.window_start_ms + DAY_MS
    assert first.causes[0].startswith("load: load mean rose since 1970-02-0")
    assert of_features.windows[0].unknown["online"] == "load mean: it learns what is usual: 1 of 12 windows"


def test_a_steady_history_fires_nothing() -> None:
    assert _replayed(_history(40, wrong_from=99, high_from=99)).draft.fired == ()
