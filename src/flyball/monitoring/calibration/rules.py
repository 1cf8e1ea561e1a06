"""What a monitor file says of its alarms: how many false ones, or which share, and from which size on a change matters."""

from __future__ import annotations

import re

import msgspec

from flyball.kernel.durations import parse_duration_ms
from flyball.kernel.errors import InvalidInput
from flyball.measures.false_discovery import DiscoveryRule
from flyball.monitoring.monitor_file import MONITOR_FILE

_BUDGET = re.compile(r"(?P<count>[0-9]+(\.[0-9]+)?) per (?P<period>[0-9]+[a-z]+)")
# More than every second window is no alarm any more.
_MOST_CHANCE = 0.5
# A memory of one window forgets a discovery before it can pay for another.
_FEWEST_REMEMBERED = 2


class AlarmRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many false drift alarms are wanted, all features of all windows together, or which share of the alarms.

    `false_alarms` such as `1 per 90d`, or `false_discoveries`, a share such as 0.1, with the `memory` over which it is counted, such as
    `90d`: one of the two. Neither leaves the thresholds of `drift` in force, whose rate nobody knows.
    `least_effect` is the size below which a change does not matter, however sure (in the unit of the measure).
    `power_within` is the time within which the monitor states what it finds; empty for three windows.
    """

    false_alarms: str = ""
    false_discoveries: float | None = None
    memory: str = ""
    least_effect: float = 0.0
    power_within: str = ""

    @property
    def stated(self) -> bool:
        """Whether a rate is wanted, or a share."""
        return bool(self.false_alarms) or self.false_discoveries is not None

    @property
    def discoveries(self) -> str:
        """The wanted share as a person reads it, empty where a rate is wanted."""
        return "" if self.false_discoveries is None else f"{self.false_discoveries:g} (memory {self.memory})"

    @property
    def period_ms(self) -> int:
        """The period of the budget, or the memory, in milliseconds of event time."""
        if self.false_discoveries is not None:
            return parse_duration_ms(self.memory, field="alarms.memory")
        return self._budget()[1]

    @property
    def budget(self) -> float:
        """How many false alarms a period may have."""
        return self._budget()[0]

    def chance(self, window_ms: int) -> float:
        """Return the chance of a false alarm that one window may have; of a share, after a long time without any discovery."""
        rule = self.discovery_rule(window_ms)
        if rule is not None:
            return rule.floor
        return self.budget * window_ms / self.period_ms

    def discovery_rule(self, window_ms: int) -> DiscoveryRule | None:
        """Return the rule of the share of false discoveries, None where a rate is wanted: a discovery weighs 1/e after the memory."""
        if self.false_discoveries is None:
            return None
        return DiscoveryRule(rate=self.false_discoveries, decay=1.0 - window_ms / self.period_ms)

    def power_windows(self, window_ms: int) -> int:
        """Return within how many windows the power is stated."""
        if not self.power_within:
            return 3
        return max(1, parse_duration_ms(self.power_within, field="alarms.power_within") // window_ms)

    def _budget(self) -> tuple[float, int]:
        found = _BUDGET.fullmatch(self.false_alarms)
        if found is None:
            raise InvalidInput(
                f"{MONITOR_FILE}: 'alarms.false_alarms' must be a number per duration such as '1 per 90d', not {self.false_alarms!r}",
                field="alarms.false_alarms",
            )
        return float(found["count"]), parse_duration_ms(found["period"], field="alarms.false_alarms")


def check_alarms(rules: AlarmRules, window_ms: int) -> None:
    """Check the rules against the length of a window.

    Raises:
        InvalidInput: not of the form, or a budget that no window can keep; `field` names it.
    """
    if not rules.stated:
        if rules != AlarmRules():
            raise InvalidInput(
                f"{MONITOR_FILE}: 'alarms' says nothing without 'false_alarms', such as '1 per 90d', or 'false_discoveries', "
                "such as 0.1: add one of them",
                field="alarms.false_alarms",
            )
        return
    if rules.false_discoveries is not None:
        _check_discoveries(rules, window_ms)
    elif rules.memory:
        raise InvalidInput(
            f"{MONITOR_FILE}: 'alarms.memory' says nothing without 'false_discoveries': leave it out",
            field="alarms.memory",
        )
    elif rules.period_ms <= 0 or not 0 < rules.chance(window_ms) <= _MOST_CHANCE:
        raise InvalidInput(
            f"{MONITOR_FILE}: 'alarms.false_alarms' allows {rules.false_alarms}, but a window may have between 0 and "
            f"{_MOST_CHANCE} false alarms",
            field="alarms.false_alarms",
        )
    if rules.least_effect < 0:
        raise InvalidInput(f"{MONITOR_FILE}: 'alarms.least_effect' must not be negative", field="alarms.least_effect")
    rules.power_windows(window_ms)


def check_no_joint(rules: AlarmRules) -> None:
    """Refuse a share of false discoveries where features are judged together too: their windows have no p-value."""
    if rules.false_discoveries is not None:
        raise InvalidInput(
            f"{MONITOR_FILE}: 'alarms.false_discoveries' is of features each for itself: leave 'multivariate' out, or say 'false_alarms'",
            field="alarms.false_discoveries",
        )


def _check_discoveries(rules: AlarmRules, window_ms: int) -> None:
    if rules.false_alarms:
        raise InvalidInput(
            f"{MONITOR_FILE}: 'alarms' has both 'false_alarms' and 'false_discoveries': leave one of them out",
            field="alarms.false_discoveries",
        )
    if rules.false_discoveries is None or not 0 < rules.false_discoveries <= _MOST_CHANCE:
        raise InvalidInput(
            f"{MONITOR_FILE}: 'alarms.false_discoveries' must be a share above 0 and at most {_MOST_CHANCE}, such as 0.1",
            field="alarms.false_discoveries",
        )
    if not rules.memory:
        raise InvalidInput(
            f"{MONITOR_FILE}: 'alarms.false_discoveries' needs 'memory', the time over which the share is counted, such as '90d': without "
            "one the levels fall below what any history can tell",
            field="alarms.memory",
        )
    if rules.period_ms < _FEWEST_REMEMBERED * window_ms:
        raise InvalidInput(
            f"{MONITOR_FILE}: 'alarms.memory' must be at least {_FEWEST_REMEMBERED} windows, not {rules.memory}",
            field="alarms.memory",
        )
