"""What a monitor's file says of the end of an alert."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class ResolvedBy(StrEnum):
    """Who ends an alert."""

    PEOPLE = "people"
    MONITOR = "monitor"


class AlertRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an alert is over.

    `resolved_by`: `people` (and the loop that dealt with it) end alerts, or the `monitor` does so itself as soon as
    `clear_windows` judged windows in a row are clear. A window is clear when what the alert is about is surely below
    `clear_share` of the threshold that it fired at, so that an effect which hovers around its threshold does not make the
    alert come and go. A window that could not be judged is neither: it does not count, and does not interrupt the row.
    """

    resolved_by: ResolvedBy = ResolvedBy.PEOPLE
    clear_windows: int = 3
    clear_share: float = 0.8


def rule_against(rules: AlertRules) -> tuple[str, str] | None:
    """Return the key and what it must be, of the first value out of its range; None when all are within."""
    if not 1 <= rules.clear_windows <= 1_000:  # noqa: PLR2004
        return "alerts.clear_windows", "must lie between 1 and 1000"
    if not 0 < rules.clear_share <= 1:
        return "alerts.clear_share", "must be above 0 and at most 1"
    return None
