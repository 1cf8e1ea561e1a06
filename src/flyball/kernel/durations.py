"""Durations as people write them: `500ms`, `30s`, `15m`, `12h`, `7d`, `2w`."""

from __future__ import annotations

import re

from flyball.kernel.errors import InvalidInput

_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PATTERN = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>ms|s|m|h|d|w)")


def parse_duration_ms(text: object, *, field: str) -> int:
    """Return the milliseconds of a duration.

    >>> parse_duration_ms("7d", field="window")
    604800000

    Raises:
        InvalidInput: anything else than a whole number and a unit.
    """
    found = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise InvalidInput(f"'{field}' must be a duration such as 30s, 12h or 7d, not {text!r}", field=field)
    return int(found["count"]) * _MS[found["unit"]]
