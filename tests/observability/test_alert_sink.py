"""The sink of alerts, taken by the distribution's Alertmanager, which hands them to a webhook and takes them back."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from tests.observability.conftest import WAIT_S, free_port, program, until
from tests.receiver import Receiver, receiving

from flyball.kernel.clock import SystemClock
from flyball.kernel.egress import Egress, parse_destinations
from flyball.kernel.secrets import Secrets
from flyball.monitoring.alerts.ports import Occasion
from flyball.monitoring.entities import AlertState
from flyball.monitoring.sinks.alertmanager import AlertmanagerOptions, AlertmanagerSink
from flyball.monitoring.sinks.conformance import a_notice, an_alert
from flyball.monitoring.sinks.ports import Outside

CONFIG = """
route: {{receiver: hook, group_wait: 0s, group_interval: 1s, group_by: [alertname, monitor]}}
receivers: [{{name: hook, webhook_configs: [{{url: "{url}/hook", send_resolved: true}}]}}]
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def alertmanager(tmp_path: Path, receiver: Receiver) -> Iterator[str]:
    """Run Alertmanager, and return its URL."""
    (tmp_path / "alertmanager.yml").write_text(CONFIG.format(url=receiver.url))
    url = f"http://127.0.0.1:{free_port()}"
    address = url.removeprefix("http://")
    flags = [f"--web.listen-address={address}", f"--storage.path={tmp_path / 'kept'}", "--cluster.listen-address="]
    command = ["prometheus-alertmanager", f"--config.file={tmp_path / 'alertmanager.yml'}", *flags]
    with program(*command, folder=tmp_path, ready=f"{url}/-/ready"):
        yield url


def active(url: str) -> list[dict[str, Any]]:
    answer = urllib3.request("GET", f"{url}/api/v2/alerts?active=true", timeout=WAIT_S)
    found: list[dict[str, Any]] = answer.json()
    return found


def states(receiver: Receiver) -> list[tuple[str, str]]:
    told = [alert for each in list(receiver.received) for alert in json.loads(each.body)["alerts"]]
    return [(alert["labels"]["feature"], alert["status"]) for alert in told]


def test_an_alert_fires_there_stays_one_when_it_is_told_again_and_ends(
    alertmanager: str, receiver: Receiver, tmp_path: Path
) -> None:
    egress = Egress(parse_destinations("http://127.0.0.1", field="f"), timeout_s=WAIT_S)
    outside = Outside(egress=egress, secrets=Secrets({}, tmp_path), clock=SystemClock())
    sink = AlertmanagerSink(AlertmanagerOptions(url=alertmanager, labels={"team": "grid"}), outside)
    now_ms = time.time_ns() // 1_000_000
    alert = an_alert("price", created_ms=now_ms, updated_ms=now_ms)
    sink.send(a_notice(alert))
    sink.send(a_notice(alert, key="k1.1"))
    until(lambda: ("price", "firing") in states(receiver), "the alert arrives at the webhook behind Alertmanager")
    (one,) = active(alertmanager)
    assert one["labels"] == {
        "alertname": "FlyballDataFault",
        "endpoint": "live",
        "feature": "price",
        "kind": "data_fault",
        "model": "model",
        "monitor": "watch",
        "team": "grid",
    }
    assert one["generatorURL"] == f"http://flyball.example/#alert-{alert.id}"
    assert one["annotations"]["alert"] == alert.id
    ended = dataclasses.replace(alert, state=AlertState.RESOLVED, updated_ms=time.time_ns() // 1_000_000)
    sink.send(a_notice(ended, occasion=Occasion.RESOLVED))
    until(lambda: ("price", "resolved") in states(receiver), "its end arrives at the webhook behind Alertmanager")
    until(lambda: not active(alertmanager), "it is active no more")
