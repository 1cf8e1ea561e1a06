"""Prometheus' Alertmanager: alerts by `POST /api/v2/alerts`, told again for as long as they are active."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from flyball.kernel.canonical import JsonValue
from flyball.kernel.durations import parse_duration_ms
from flyball.kernel.errors import InvalidInput
from flyball.monitoring.alerts.ports import Occasion
from flyball.monitoring.entities import Alert
from flyball.monitoring.sinks.entities import Notice
from flyball.monitoring.sinks.ports import Outside
from flyball.monitoring.sinks.posting import JSON, Address
from flyball.monitoring.sinks.rendering import lines_of, link_to, moment_text

PATH = "/api/v2/alerts"
SHORTEST_HOLD_MS = 60_000
LONGEST_HOLD_MS = 7 * 86_400_000
OURS = ("alertname", "monitor", "endpoint", "model", "kind", "feature")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class AlertmanagerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`url` is Alertmanager's own, without the path of its API. `labels` are added to every alert.

    `hold`: how long Alertmanager takes an alert for firing without hearing of it again. It is told again four times within,
    so an alert stays active there while a restart here lasts, and ends by itself when Flyball is gone for good.
    """

    url: str = ""
    url_from: str = ""
    hold: str = "1h"
    labels: dict[str, str] = {}


class AlertmanagerSink:
    """Post alerts as Alertmanager takes them."""

    options: ClassVar[type[msgspec.Struct]] = AlertmanagerOptions

    def __init__(self, options: AlertmanagerOptions, outside: Outside) -> None:
        self._address = Address(options.url, options.url_from, outside, path=PATH)
        self.hold_ms = parse_duration_ms(options.hold, field="hold")
        if not SHORTEST_HOLD_MS <= self.hold_ms <= LONGEST_HOLD_MS:
            raise InvalidInput("'hold' must lie between a minute and a week", field="hold")
        for name in options.labels:
            if not _LABEL.fullmatch(name) or name in OURS:
                raise InvalidInput(f"'{name[:80]}' cannot be a label of yours", field="labels")
        self._labels = options.labels
        self._outside = outside

    def send(self, notice: Notice) -> str:
        """Post them; the same alert again changes only when it ends."""
        until_ms = self._outside.clock.now_ms() + self.hold_ms
        alerts = [
            self._alert(alert, notice, ends_ms=alert.updated_ms if notice.occasion is Occasion.RESOLVED else until_ms)
            for alert in notice.alerts
        ]
        return self._address.post(json.dumps(alerts).encode(), JSON)

    def _alert(self, alert: Alert, notice: Notice, *, ends_ms: int) -> Mapping[str, JsonValue]:
        first = next((cause.feature for cause in alert.causes if cause.feature), "")
        labels = {
            **self._labels,
            "alertname": "Flyball" + "".join(word.capitalize() for word in str(alert.kind).split("_")),
            "monitor": alert.monitor,
            "endpoint": alert.endpoint,
            "model": alert.model,
            "kind": str(alert.kind),
            "feature": first,
        }
        lines = [line for line in lines_of(alert) if line]
        return {
            # An empty label is no label there, and a line break would be kept in the name of a notification.
            "labels": {name: " ".join(value.split()) for name, value in labels.items() if value.strip()},
            "annotations": {"summary": lines[0], "description": "\n".join(lines), "alert": alert.id},
            "startsAt": moment_text(alert.created_ms),
            "endsAt": moment_text(max(ends_ms, alert.created_ms)),
            "generatorURL": link_to(alert, notice.server_url),
        }
