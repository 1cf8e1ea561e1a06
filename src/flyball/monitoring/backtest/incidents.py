"""Incidents as people noted them: read from a CSV file, and matched with the alerts that fell into them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from flyball.kernel.errors import InvalidInput
from flyball.monitoring.backtest.results import Caught, Fired, Incident
from flyball.monitoring.moments import check_moment

_COLUMNS = {"name", "start", "end", "noticed"}
MOST_INCIDENTS = 10_000


def read_incidents(path: Path) -> tuple[Incident, ...]:
    """Read a CSV file with the columns `start` and, where known, `name`, `end` and `noticed`; times as in `parse_moment`.

    Raises:
        InvalidInput: another column, or a line without a start; the message names the line.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file)
        unknown = sorted(set(lines.fieldnames or ()) - _COLUMNS)
        if unknown or "start" not in (lines.fieldnames or ()):
            what = f"column '{unknown[0]}'" if unknown else "no column 'start'"
            raise InvalidInput(f"{path} has {what}; an incident has: {', '.join(sorted(_COLUMNS))}", field="incidents")
        return parse_incidents([{key: value for key, value in line.items() if value} for line in lines])


def parse_incidents(given: Sequence[Mapping[str, object]]) -> tuple[Incident, ...]:
    """Read incidents from mappings with the keys of the CSV file, by start.

    Raises:
        InvalidInput: a key that no incident has, no start, an end before it, or too many.
    """
    if len(given) > MOST_INCIDENTS:
        raise InvalidInput(f"{len(given)} incidents, {MOST_INCIDENTS} at most", field="incidents")
    found = []
    for number, line in enumerate(given, start=1):
        if set(line) - _COLUMNS or "start" not in line:
            raise InvalidInput(
                f"incident {number} needs 'start', and may have 'name', 'end' and 'noticed'", field="incidents"
            )
        start = parse_moment(line["start"], field="incidents")
        end, noticed = (
            parse_moment(line[key], field="incidents") if key in line else None for key in ("end", "noticed")
        )
        if end is not None and end <= start:
            raise InvalidInput(f"incident {number} ends before it starts", field="incidents")
        name = str(line.get("name") or f"incident {number}")[:200]
        found.append(Incident(name=name, start_ms=start, end_ms=end, noticed_ms=noticed))
    return tuple(sorted(found, key=lambda incident: incident.start_ms))


def parse_moment(value: object, *, field: str) -> int:
    """Read a moment in milliseconds since 1970: a number of them, or an ISO 8601 date or time (UTC unless it says otherwise).

    >>> parse_moment("1997-05-05", field="start")
    862790400000
    """
    try:
        number = int(str(value))
    except ValueError:
        number = _iso(str(value), field)
    return check_moment(number, field=field)


def match(fired: Sequence[Fired], incidents: Sequence[Incident], *, window_ms: int) -> tuple[list[Fired], list[Caught]]:
    """Say of each alert whether an incident was on, and of each incident which alert came first in it."""
    explained = [
        replace(one, false_alarm=not any(_during(one, incident, window_ms) for incident in incidents)) for one in fired
    ]
    return explained, [_caught(incident, fired, window_ms) for incident in incidents]


def _caught(incident: Incident, fired: Sequence[Fired], window_ms: int) -> Caught:
    within = [one for one in fired if _during(one, incident, window_ms)]
    if not within:
        return Caught(incident=incident)
    first = min(within, key=lambda one: one.fired_ms)
    return Caught(
        incident=incident,
        kind=first.kind,
        fired_ms=first.fired_ms,
        after_ms=first.fired_ms - incident.start_ms,
        sooner_ms=None if incident.noticed_ms is None else incident.noticed_ms - first.fired_ms,
        causes=first.causes,
    )


def _during(one: Fired, incident: Incident, window_ms: int) -> bool:
    """Tell whether the window that fired holds some of the incident."""
    end = incident.end_ms if incident.end_ms is not None else incident.noticed_ms
    return one.window_start_ms + window_ms > incident.start_ms and (end is None or one.window_start_ms < end)


def _iso(text: str, field: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"'{field}': {text[:60]!r} is no date, no time and no number", field=field) from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
