"""What a monitor's file may say."""

from __future__ import annotations

import pytest

from flyball.kernel.errors import InvalidInput, UnknownKey, Unsupported
from flyball.monitoring.codec import decode, encode
from flyball.monitoring.monitor import DAY_MS, Correction, Effect, Monitor, parse_monitor

MINIMUM: dict[str, object] = {
    "monitor": "watch",
    "endpoint": "live",
    "model": "elec2",
    "window": "7d",
    "label_maturity": "1d",
}

WHOLE = """
monitor: watch
endpoint: live
model: elec2
window: 12h
label_maturity: 30m
origin_ms: 5
min_label_coverage: 0.8
min_rows: 20
persist_windows: 2
drift:
  numeric_measure: psi
  category_measure: psi
  thresholds: {price: 0.4}
  significance: 0.05
  correction: benjamini_hochberg
  ignore: [date]
quality:
  confidence: 0.9
  tolerance: 0.01
  block: 2h
data:
  missing_jump: 0.1
"""


def test_a_small_file_gets_the_defaults() -> None:
    monitor = parse_monitor(MINIMUM)
    assert (monitor.name, monitor.window_ms, monitor.label_maturity_ms) == ("watch", 7 * DAY_MS, DAY_MS)
    assert (monitor.min_rows, monitor.min_label_coverage, monitor.persist_windows) == (100, 0.5, 1)
    assert monitor.drift.correction is Correction.HOLM
    assert (monitor.drift.numeric_limit("x"), monitor.drift.category_limit("x")) == (0.5, 0.1)


def test_a_whole_file_is_read_from_yaml() -> None:
    monitor = parse_monitor(WHOLE)
    assert (monitor.window_ms, monitor.block_ms, monitor.origin_ms) == (DAY_MS // 2, DAY_MS // 12, 5)
    assert monitor.drift.numeric_measure is Effect.STABILITY
    assert (monitor.drift.numeric_limit("price"), monitor.drift.numeric_limit("demand")) == (0.4, 0.25)
    assert monitor.drift.category_limit("zone") == 0.25


@pytest.mark.parametrize(
    ("window", "block_ms"), [("7d", DAY_MS), ("5d", DAY_MS), ("1d", DAY_MS // 10), ("10ms", 1), ("1ms", 1)]
)
def test_a_block_is_a_day_or_a_tenth_of_a_short_window(window: str, block_ms: int) -> None:
    assert parse_monitor(MINIMUM | {"window": window}).block_ms == block_ms


def test_a_monitor_survives_storage() -> None:
    monitor = parse_monitor(WHOLE)
    assert decode(encode(monitor), Monitor) == monitor


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"minrows": 3}, "minrows"),
        ({"drift": {"signifcance": 0.1}}, "signifcance"),
        ({"quality": {"blocks": "1d"}}, "blocks"),
    ],
)
def test_an_unknown_key_is_an_error_with_near_misses(change: dict[str, object], field: str) -> None:
    with pytest.raises(UnknownKey, match="did you mean") as caught:
        parse_monitor(MINIMUM | change)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"monitor": "a/b"}, "monitor"),
        ({"endpoint": ""}, "endpoint"),
        ({"model": ""}, "model"),
        ({"window": "0s"}, "window"),
        ({"window": 7}, "window"),
        ({"window": "a week"}, "window"),
        ({"label_maturity": "soon"}, "label_maturity"),
        ({"origin_ms": -1}, "origin_ms"),
        ({"min_rows": 0}, "min_rows"),
        ({"min_rows": "many"}, "min_rows"),
        ({"min_label_coverage": 0}, "min_label_coverage"),
        ({"min_label_coverage": 1.5}, "min_label_coverage"),
        ({"persist_windows": 0}, "persist_windows"),
        ({"drift": {"significance": 1.0}}, "drift.significance"),
        ({"drift": {"numeric_threshold": 0}}, "drift.numeric_threshold"),
        ({"drift": {"thresholds": {"x": -1}}}, "drift.thresholds.x"),
        ({"drift": {"category_measure": "wasserstein"}}, "drift.category_measure"),
        ({"drift": {"numeric_measure": "ks"}}, "drift.numeric_measure"),
        ({"drift": {"newly_varying_share": 0}}, "drift.newly_varying_share"),
        ({"data": {"missing_jump": 2}}, "data.missing_jump"),
        ({"data": {"out_of_range_share": 0}}, "data.out_of_range_share"),
        ({"data": {"constant_min_distinct": 1}}, "data.constant_min_distinct"),
        ({"quality": {"confidence": 0.5}}, "quality.confidence"),
        ({"quality": {"tolerance": -0.1}}, "quality.tolerance"),
        ({"quality": {"block": "8d"}}, "quality.block"),
        ({"quality": {"resamples": 1}}, "quality.resamples"),
    ],
)
def test_an_impossible_value_is_named(change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_monitor(MINIMUM | change)
    assert caught.value.field == field


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InvalidInput, match="endpoint"):
        parse_monitor({key: value for key, value in MINIMUM.items() if key != "endpoint"})


def test_a_metric_that_is_not_offered_is_refused() -> None:
    with pytest.raises(Unsupported, match="use one of accuracy"):
        parse_monitor(MINIMUM | {"quality": {"metric": "gini"}})


def test_text_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(InvalidInput):
        parse_monitor("- a list")
    with pytest.raises(InvalidInput, match="twice"):
        parse_monitor("monitor: a\nmonitor: b\n")
