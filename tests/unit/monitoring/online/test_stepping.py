"""Each detector over values as a monitor feeds it: how seldom it fires on steady ones, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from flyball.kernel.errors import InvalidInput
from flyball.monitoring.codec import decode, encode
from flyball.monitoring.online.figures import LastingChange, Memory
from flyball.monitoring.online.rules import Detector, OnlineRule, Per, Watch
from flyball.monitoring.online.stepping import Usual, promise, start, statistic, step_rows, step_window

USUAL = Usual(mean=0.1, deviation=0.3)
OF_WINDOWS = {
    "cusum": OnlineRule(watch=Watch.SCORE, detector=Detector.CUSUM, run_length=100),
    "page_hinkley": OnlineRule(watch=Watch.SCORE, detector=Detector.PAGE_HINKLEY, limit=6),
    "adwin": OnlineRule(watch=Watch.SCORE, detector=Detector.ADWIN, delta=0.05),
}
OF_ROWS = {
    "cusum": OnlineRule(watch=Watch.ERROR, detector=Detector.CUSUM, run_length=1_000_000, rise=0.1),
    "page_hinkley": OnlineRule(watch=Watch.ERROR, detector=Detector.PAGE_HINKLEY, limit=40, tolerance=0.2),
    "adwin": OnlineRule(watch=Watch.ERROR, detector=Detector.ADWIN),
}


def _over_windows(rule: OnlineRule, values: Sequence[float]) -> list[LastingChange]:
    memory = start(rule, None)
    changes: list[LastingChange] = []
    for place, value in enumerate(values):
        stepped = step_window(rule, memory, float(value), place)
        memory = stepped.memory
        changes += [stepped.change] if stepped.change else []
    return changes


@pytest.mark.parametrize("name", OF_WINDOWS)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_lasting_shift_of_windows_is_found_and_dated(name: str, sign: int) -> None:
    generator = np.random.default_rng(11)
    values = [*generator.normal(50, 2, 120), *generator.normal(50 + sign * 8, 2, 50)]
    changes = [one for one in _over_windows(OF_WINDOWS[name], values) if one.found_ms >= 120]
    assert changes
    assert changes[0].rose is (sign > 0)
    assert abs(changes[0].since_ms - 120) <= 16


@pytest.mark.parametrize(("watch", "alarms"), [(Watch.ERROR, False), (Watch.SCORE, True)])
def test_fewer_errors_are_told_and_are_no_alarm(watch: Watch, alarms: bool) -> None:  # noqa: FBT001 -- what is expected
    rule = OnlineRule(watch=watch, per=Per.WINDOW, detector=Detector.CUSUM, run_length=1_000)
    generator = np.random.default_rng(15)
    values = [*generator.normal(0.3, 0.02, 60), *generator.normal(0.2, 0.02, 10)]
    (change,) = _over_windows(rule, values)
    assert (change.rose, change.alarms) == (False, alarms)
    assert abs(change.since_ms - 60) <= 3


def test_windows_of_a_steady_series_raise_as_many_false_alarms_as_stated() -> None:
    generator = np.random.default_rng(12)
    judged = alarms = 0
    for _ in range(20):
        changes = _over_windows(OF_WINDOWS["cusum"], generator.normal(0, 1, 500).tolist())
        alarms += len(changes)
        judged += 500 - 30 * (1 + len(changes))  # after a change the level is learned anew
    # About 75 alarms: a run length within a third is within three deviations.
    assert judged / alarms == pytest.approx(100, rel=0.34)


@pytest.mark.parametrize("name", OF_ROWS)
def test_a_rise_of_wrong_rows_is_found_and_dated(name: str) -> None:
    generator = np.random.default_rng(13)
    rows = [*(generator.random(3_000) < 0.1).astype(float), *(generator.random(2_000) < 0.3).astype(float)]
    found = step_rows(start(OF_ROWS[name], USUAL), rows, range(5_000), usual=USUAL)
    assert found.change is not None
    assert (found.change.rose, found.change.alarms) == (True, True)
    assert 3_000 < found.change.found_ms < 3_400
    assert abs(found.change.since_ms - 3_000) < 300


@pytest.mark.parametrize("name", OF_ROWS)
def test_rows_in_parts_are_rows_at_once(name: str) -> None:
    rule = OF_ROWS[name]
    rows = (np.random.default_rng(14).random(700) < 0.1).astype(float).tolist()
    whole = step_rows(start(rule, USUAL), rows, range(700), usual=USUAL)
    memory = start(rule, USUAL)
    for first in range(0, 700, 70):
        kept = decode(encode(memory), Memory)  # as a report keeps it
        part = range(first, first + 70)
        memory = step_rows(kept, rows[first : first + 70], part, usual=USUAL).memory
    assert memory == whole.memory
    assert memory.taken == 700


def test_a_memory_is_not_changed_by_going_on_from_it() -> None:
    before = start(OF_ROWS["adwin"], USUAL)
    text = encode(before)
    step_rows(before, [0.0, 1.0], [1, 2], usual=USUAL)
    assert encode(before) == text


def test_what_is_stated_is_said_with_its_assumptions() -> None:
    said = {name: promise(rule, start(rule, USUAL), USUAL) for name, rule in OF_ROWS.items()}
    assert said["cusum"].run_length is not None
    assert said["cusum"].run_length >= 1_000_000
    assert "rows are independent" in said["cusum"].text
    assert said["adwin"].run_length is said["page_hinkley"].run_length is None
    assert "no run length is stated" in said["page_hinkley"].text
    of_windows = promise(OF_WINDOWS["cusum"], start(OF_WINDOWS["cusum"], None), None)
    assert of_windows.run_length == 100
    assert "one false alarm in 100 windows" in of_windows.text
    assert statistic(start(OF_WINDOWS["adwin"], None)) == (None, None)


def test_a_baseline_that_leaves_no_room_is_refused() -> None:
    rule = OF_ROWS["cusum"]
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        start(rule, Usual(mean=0.95, deviation=0.2))
