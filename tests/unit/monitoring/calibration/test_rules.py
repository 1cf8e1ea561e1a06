"""What a monitor's file may say of its alarms."""

from __future__ import annotations

import pytest

from flyball.kernel.errors import InvalidInput, UnknownKey
from flyball.monitoring.monitor import DAY_MS, parse_monitor

PLAIN = {"monitor": "m", "endpoint": "e", "model": "m", "window": "1d", "label_maturity": "1d"}


def test_a_budget_is_a_chance_for_each_window() -> None:
    rules = parse_monitor({**PLAIN, "alarms": {"false_alarms": "1.5 per 90d", "power_within": "5d"}}).alarms
    assert (rules.budget, rules.period_ms) == (1.5, 90 * DAY_MS)
    assert rules.chance(DAY_MS) == pytest.approx(1 / 60)
    assert rules.power_windows(DAY_MS) == 5


def test_without_a_budget_nothing_is_stated() -> None:
    assert not parse_monitor(PLAIN).alarms.stated


@pytest.mark.parametrize(
    ("alarms", "field"),
    [
        ({"false_alarms": "one per month"}, "alarms.false_alarms"),
        ({"false_alarms": "0 per 90d"}, "alarms.false_alarms"),
        ({"false_alarms": "1 per 0d"}, "alarms.false_alarms"),
        ({"false_alarms": "60 per 90d"}, "alarms.false_alarms"),
        ({"least_effect": 0.1}, "alarms.false_alarms"),
        ({"false_alarms": "1 per 90d", "least_effect": -0.1}, "alarms.least_effect"),
        ({"false_alarms": "1 per 90d", "power_within": "soon"}, "alarms.power_within"),
    ],
)
def test_what_no_window_can_keep_is_refused_by_its_field(alarms: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_monitor({**PLAIN, "alarms": alarms})
    assert refused.value.field == field
    assert refused.value.message.startswith("the monitor file: ") or field == "alarms.power_within"


def test_a_misspelt_key_is_named() -> None:
    with pytest.raises(UnknownKey, match="false_alarm"):
        parse_monitor({**PLAIN, "alarms": {"false_alarm": "1 per 90d"}})
