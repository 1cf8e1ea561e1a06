"""Alerts, silences and sinks from the terminal, against a real server, its worker and a real receiver."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api.conftest import served, settings_for
from tests.protocol.serving import TrackingServer
from tests.receiver import Receiver, receiving

from flyball.cli.main import main
from flyball.monitoring.sinks.entities import DeliveryState
from flyball.server.worker import Worker

DOCUMENT = """
group_wait: 0s
sinks:
  - name: ops
    kind: webhook
    options: {{url: "{url}/ops", secret_from: "env:FLYBALL_SECRET_OPS"}}
  - name: chat
    kind: slack
    options: {{url_from: "file:slack-url"}}
routes:
  - sinks: [ops]
  - match: {{kind: capture_loss}}
    sinks: [ops, chat]
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrackingServer]:
    home = tmp_path / "home"
    settings = dataclasses.replace(
        settings_for(f"sqlite:///{home / 'flyball.db'}", home), egress_hosts="http://127.0.0.1", worker_poll_ms=20
    )
    monkeypatch.setenv("FLYBALL_SECRET_OPS", "wine-dark-sea")
    with served(settings) as found:
        monkeypatch.setenv("FLYBALL_HOME", str(home))
        monkeypatch.setenv("FLYBALL_SERVER_URL", found.url)
        yield found


def flyball(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(words)
    printed = capsys.readouterr()
    assert int(ended.value.code or 0) == status, printed.err
    return printed.out + printed.err


def test_an_alert_is_told_by_the_worker_and_handled_at_the_terminal(
    server: TrackingServer, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sinks.yaml").write_text(DOCUMENT.format(url=receiver.url))
    assert flyball(capsys, "alert", "sink", "set", str(tmp_path / "sinks.yaml")) == "2 sinks, 2 routes\n"
    assert flyball(capsys, "alert", "test-sink", "ops") == "arrived: 200 thanks\n"
    assert "slack-url" in flyball(capsys, "alert", "test-sink", "chat", status=3)
    server.platform.settings.secrets_folder.mkdir()
    (server.platform.settings.secrets_folder / "slack-url").write_text(receiver.url + "/chat\n")
    said = flyball(
        capsys, "alert", "silence", "add", "--endpoint", "quiet", "--for", "2h", "--reason", "it is being rebuilt"
    )
    silence = said.split()[0]
    assert "endpoint=quiet" in flyball(capsys, "alert", "silence", "list")
    losses = server.platform.losses
    loud = losses.report("live", "m", {"queue_full": 3}, actor="service:endpoint")
    quiet = losses.report("quiet", "m", {"queue_full": 3}, actor="service:endpoint")
    worker = Worker(server.platform)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        told = [(each.path, each.body) for each in receiver.wait_for(3)[1:]]
        assert sorted(path for path, _ in told) == ["/chat", "/ops"]
        assert [alert["id"] for path, body in told if path == "/ops" for alert in json.loads(body)["alerts"]] == [
            loud.id
        ]
        assert f"{quiet.id}  capture_loss  firing (silenced until" in flyball(capsys, "alert", "list")
        flyball(capsys, "alert", "silence", "end", silence)
        assert {each.path for each in receiver.wait_for(5)[3:]} == {"/chat", "/ops"}
    finally:
        worker.stop()
        thread.join(60)
    assert not thread.is_alive()
    states = {each.state for each in server.platform.alerts.sinks.deliveries([loud.id])[loud.id]}
    assert states == {DeliveryState.DELIVERED}
    assert "firing    delivered  1" in flyball(capsys, "alert", "show", loud.id)
    assert "acknowledged" in flyball(capsys, "alert", "acknowledge", loud.id, "--note", "the disk is full")
    assert "note: the disk is full" in flyball(capsys, "alert", "show", loud.id)
    assert "note=the disk is full" in flyball(capsys, "why", "alert", loud.id)
    assert "resolved" in flyball(capsys, "alert", "resolve", loud.id)
    assert "2 delivered" in flyball(capsys, "alert", "sink", "list")
    assert "resolved" in flyball(capsys, "alert", "sink", "deliveries", "ops")
    assert "over" in flyball(capsys, "alert", "silence", "list", "--all")
    assert "over already" in flyball(capsys, "alert", "silence", "end", silence, status=1)


def test_alerts_are_listed_as_they_are_asked_for(server: TrackingServer, capsys: pytest.CaptureFixture[str]) -> None:
    losses = server.platform.losses
    first = losses.report("live", "m", {"queue_full": 3}, actor="service:endpoint")
    second = losses.report("other", "m", {"queue_full": 3}, actor="service:endpoint")
    server.platform.monitors.resolve(first.id, actor="user:owner")
    page = flyball(capsys, "alert", "list", "--limit", "1")
    assert (second.id in page, f"older ones: --before {second.id}" in page, first.id in page) == (True, True, False)
    assert first.id in flyball(capsys, "alert", "list", "--limit", "1", "--before", second.id)
    of_state = flyball(capsys, "alert", "list", "--state", "firing", "--state", "acknowledged")
    assert (second.id in of_state, first.id in of_state) == (True, False)
    assert first.id in flyball(capsys, "alert", "list", "--monitor", first.monitor, "--kind", "capture_loss")
    assert flyball(capsys, "alert", "list", "--since", "2200-01-01") == "none\n"
    assert "is no kind; known: " in flyball(capsys, "alert", "list", "--kind", "fire", status=1)


def test_deliveries_of_a_sink_that_nobody_declared_are_an_error(
    server: TrackingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server.platform.alerts.sinks.states() == []
    assert "there is no sink 'chat'; known: none" in flyball(capsys, "alert", "sink", "deliveries", "chat", status=1)
