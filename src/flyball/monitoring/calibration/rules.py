"""What a monitor file says of its alarms: how many false ones are wanted, and from which size on a change matters."""

from __future__ import annotations

import re

import msgspec

from flyball.kernel.durations import parse_duration_ms
from flyball.kernel.errors import InvalidInput
from flyball.monitoring.monitor_file import MONITOR_FILE

_BUDGET = re.compile(r"(?P<count>[0-9]+(\.[0-9]+)?) per (?P<period>[0-9]+[a-z]+)")
# More than every second window is no alarm any more.
_MOST_CHANCE = 0.5


class AlarmRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many false drift alarms are wanted, all features of all windows together.

    `false_alarms` such as `1 per 90d`; empty leaves the thresholds of `drift` in force, whose rate nobody knows.
    `least_effect` is the size below which a change does not matter, however sure (in the unit of the measure).
    `power_within` is the time within which the monitor states what it finds; empty for three windows.
    """

    false_alarms: str = ""
    least_effect: float = 0.0
    power_within: str = ""

    @property
    def stated(self) -> bool:
        """Whether a rate is wanted."""
        return bool(self.false_alarms)

    @property
    def period_ms(self) -> int:
        """The period of the budget, in milliseconds of event time."""
        return self._budget()[1]

    @property
    def budget(self) -> float:
        """How many false alarms a period may have."""
        return self._budget()[0]

    def chance(self, window_ms: int) -> float:
        """Return the chance of a false alarm that one window may have."""
        return self.budget * window_ms / self.period_ms

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
                f"{MONITOR_FILE}: 'alarms' says nothing without 'false_alarms': add it, such as '1 per 90d'",
                field="alarms.false_alarms",
            )
        return
    if rules.period_ms <= 0 or not 0 < rules.chance(window_ms) <= _MOST_CHANCE:
        raise InvalidInput(
            f"{MONITOR_FILE}: 'alarms.false_alarms' allows {rules.false_alarms}, but a window may have between 0 and "
            f"{_MOST_CHANCE} false alarms",
            field="alarms.false_alarms",
        )
    if rules.least_effect < 0:
        raise InvalidInput(f"{MONITOR_FILE}: 'alarms.least_effect' must not be negative", field="alarms.least_effect")
    rules.power_windows(window_ms)
