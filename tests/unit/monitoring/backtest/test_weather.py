"""Seasons are no drift: five years of weather after twelve years of history."""

from __future__ import annotations

from benchmarks.monitoring.weather import DAY_MS, day_of, load_weather
from scipy import stats

from flyball.monitoring.backtest.files import backtest_tables
from flyball.monitoring.backtest.histories import Roles, log_table
from flyball.monitoring.backtest.results import Replayed
from flyball.monitoring.entities import AlertKind
from flyball.monitoring.monitor import parse_monitor

ROLES = Roles(time="time_ms")


def replayed(*, years: int, **changes: object) -> Replayed:
    plain = {"monitor": "w", "endpoint": "e", "model": "m", "window": "30d", "label_maturity": "1d", "min_rows": 20}
    table = log_table(load_weather(years=years), ROLES)
    return backtest_tables(parse_monitor(plain | changes), table, roles=ROLES, until_ms=day_of(12) * DAY_MS).draft


def alarms(run: Replayed) -> int:
    return sum(AlertKind.COVARIATE_DRIFT in window.shown for window in run.windows)


def test_seasons_do_not_alarm_where_a_rate_is_stated_and_always_do_where_none_is() -> None:
    # Wind is measured in another way from the ninth year on: what is in the history counts as normal.
    ignore = {"ignore": ["feat_4"]}
    stated = replayed(years=17, alarms={"false_alarms": "1 per 730d"}, drift=ignore)
    book = replayed(years=17, drift=ignore)
    _low, high = stats.binom.interval(0.95, len(stated.windows), 30 / 730)
    assert alarms(stated) <= high
    assert alarms(book) > 0.8 * len(book.windows)
    assert len(stated.windows) == len(book.windows) == 59
