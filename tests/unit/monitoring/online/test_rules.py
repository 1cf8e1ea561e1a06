"""What a monitor's file may say of online detectors."""

from __future__ import annotations

import pytest

from flyball.kernel.errors import InvalidInput, UnknownKey
from flyball.monitoring.codec import decode, encode
from flyball.monitoring.monitor import Monitor, parse_monitor

FILE = """
monitor: watch
endpoint: live
model: elec2
window: 1d
label_maturity: 1d
online:
  - {watch: error, detector: cusum, run_length: 100000, rise: 0.03}
  - {watch: error, per: window, detector: cusum, run_length: 365}
  - {watch: score, detector: page_hinkley, limit: 8}
  - {watch: feature, feature: price, detector: cusum, run_length: 365, shift: 1.5, learn: 20}
  - {watch: feature, feature: price, figure: missing_share, detector: adwin, delta: 0.001}
"""
CUSUM: dict[str, object] = {"watch": "error", "detector": "cusum", "run_length": 1000}


def _monitor(*online: dict[str, object], **more: object) -> Monitor:
    frame = {"monitor": "watch", "endpoint": "live", "model": "elec2", "window": "1d", "label_maturity": "1d"}
    return parse_monitor({**frame, "online": list(online), **more})


def test_a_file_says_what_is_watched_by_whom() -> None:
    monitor = parse_monitor(FILE)
    assert [rule.about for rule in monitor.online] == [
        "error",
        "error",
        "mean score",
        "price mean",
        "price missing share",
    ]
    assert [rule.of_rows for rule in monitor.online] == [True, False, False, False, False]
    assert len({rule.key for rule in monitor.online}) == 5
    assert decode(encode(monitor), Monitor) == monitor


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"run_length": None}, "run_length", "is missing: how many values"),
        ({"detector": "page_hinkley", "run_length": None}, "limit", "is missing"),
        ({"shift": 1}, "shift", "means nothing to cusum of rows: leave it out; it knows rise, run_length"),
        ({"per": "window", "rise": 0.1}, "rise", "means nothing to cusum of windows"),
        ({"detector": "adwin"}, "run_length", "means nothing to adwin"),
        ({"feature": "x"}, "feature", "means nothing to 'watch: error'"),
        ({"figure": "mean"}, "figure", "leave it out"),
        ({"watch": "feature"}, "feature", "must name the feature"),
        ({"watch": "score", "per": "row"}, "per", "is one value a window"),
        ({"learn": 20}, "learn", "means nothing to rows"),
        ({"per": "window", "learn": 3}, "learn", "between 10 and 1000"),
        ({"run_length": 1}, "run_length", "must lie between"),
        ({"rise": 1.5}, "rise", "between 0 and 1"),
    ],
)
def test_what_means_nothing_is_an_error_that_names_the_remedy(change: dict[str, object], field: str, said: str) -> None:
    given = {name: value for name, value in {**CUSUM, **change}.items() if value is not None}
    with pytest.raises(InvalidInput, match=said) as caught:
        _monitor(given)
    assert caught.value.field == f"online[0].{field}"


def test_single_rows_of_numbers_are_right_or_wrong_to_nobody() -> None:
    of_numbers = {"metric": "mae", "tolerance": 1.0}
    with pytest.raises(InvalidInput, match="must be 'window'"):
        _monitor(CUSUM, quality=of_numbers)
    assert _monitor({**CUSUM, "per": "window"}, quality=of_numbers).online[0].unit == "windows"


def test_a_detector_stands_there_once_and_unknown_keys_are_named() -> None:
    with pytest.raises(InvalidInput, match="stands there twice"):
        _monitor(CUSUM, CUSUM)
    with pytest.raises(UnknownKey, match="run_length"):
        _monitor({**CUSUM, "run_lenght": 5})
