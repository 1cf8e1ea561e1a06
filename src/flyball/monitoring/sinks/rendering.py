"""A notice in words, and as JSON."""

from __future__ import annotations

from datetime import UTC, datetime

from flyball.kernel.canonical import JsonValue
from flyball.monitoring.alerts.ports import Occasion
from flyball.monitoring.entities import Alert
from flyball.monitoring.sinks.entities import Notice

MOST_CAUSES = 3
MOST_ALERTS = 20


def title(notice: Notice) -> str:
    """Return one line that says what is the matter.

    One alert is named; of many, it says how many there are and what the first one is.
    """
    first = notice.alerts[0]
    what = "resolved" if notice.occasion is Occasion.RESOLVED else "alert"
    said = f"{_kind(first)} at {first.endpoint}"
    if len(notice.alerts) == 1:
        return f"Flyball {what}: {said}"
    lead = first.causes[0].feature if first.causes else ""
    about = f" ({lead})" if lead else ""
    return f"Flyball {what}: {said} and {len(notice.alerts) - 1} more{about}"


def lines_of(alert: Alert) -> list[str]:
    """Return what a person wants to know of an alert, its causes likeliest first."""
    version = f", version {alert.version}" if alert.version is not None else ""
    said = [f"{_kind(alert)}: endpoint {alert.endpoint}, model {alert.model}{version}, monitor {alert.monitor}"]
    if alert.end_ms > alert.start_ms:
        said.append(f"window {moment_text(alert.start_ms)} to {moment_text(alert.end_ms)}")
    causes = [cause.text for cause in alert.causes[:MOST_CAUSES]]
    more = len(alert.causes) - len(causes)
    said += [f"likely cause {place}: {text}" for place, text in enumerate(causes, start=1)]
    return [*said, f"and {more} more" if more else "", f"note: {alert.note}" if alert.note else ""]


def text_of(notice: Notice) -> str:
    """Return the whole notice for people, in plain text."""
    parts: list[str] = []
    for alert in notice.alerts[:MOST_ALERTS]:
        lines = [*filter(None, lines_of(alert)), f"flyball why {alert.id}", link_to(alert, notice.server_url)]
        parts.append("\n".join(lines))
    more = len(notice.alerts) - len(parts)
    return "\n\n".join([*parts, f"and {more} more alerts"] if more else parts)


def json_of(notice: Notice) -> dict[str, JsonValue]:
    """Return the whole notice for machines."""
    alerts: list[JsonValue] = [_alert_json(alert, notice.server_url) for alert in notice.alerts]
    return {"id": notice.key, "occasion": notice.occasion.value, "text": title(notice), "alerts": alerts}


def link_to(alert: Alert, server_url: str) -> str:
    """Return where the page shows an alert."""
    return f"{server_url.rstrip('/')}/#alert-{alert.id}"


def moment_text(ms: int) -> str:
    """Write a moment as RFC 3339 in UTC.

    >>> moment_text(0)
    '1970-01-01T00:00:00.000Z'
    """
    return datetime.fromtimestamp(ms / 1000, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _kind(alert: Alert) -> str:
    return str(alert.kind).replace("_", " ")


def _alert_json(alert: Alert, server_url: str) -> dict[str, JsonValue]:
    causes: list[JsonValue] = [
        {"feature": cause.feature, "kind": cause.kind, "score": cause.score, "text": cause.text}
        for cause in alert.causes
    ]
    return {
        "id": alert.id,
        "kind": str(alert.kind),
        "state": str(alert.state),
        "monitor": alert.monitor,
        "endpoint": alert.endpoint,
        "model": alert.model,
        "version": alert.version,
        "window_start_ms": alert.start_ms,
        "window_end_ms": alert.end_ms,
        "fired_ms": alert.created_ms,
        "updated_ms": alert.updated_ms,
        "note": alert.note,
        "report": str(alert.report_digest),
        "causes": causes,
        "link": link_to(alert, server_url),
    }
