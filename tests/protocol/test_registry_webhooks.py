"""Webhooks through the official MLflow client, a real worker and a real receiver."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent, WebhookStatus
from mlflow.exceptions import MlflowException
from tests.protocol.serving import TrackingServer, serve
from tests.receiver import Receiver, receiving

from flyball.governance.permissions import Role
from flyball.kernel.db import open_database
from flyball.kernel.settings import Settings, load_settings
from flyball.server.migrations import upgrade
from flyball.server.platform import open_platform
from flyball.server.worker import Worker

API = "/api/2.0/mlflow/webhooks"
MADE = WebhookEvent(WebhookEntity.MODEL_VERSION, WebhookAction.CREATED)
SECRET = "wine-dark-sea"
LEASE_MS = 1_000


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    with contextlib.closing(open_database(database_url)) as database:
        upgrade(database)
    return load_settings(
        {
            "FLYBALL_HOME": str(tmp_path / "home"),
            "FLYBALL_DATABASE_URL": database_url,
            "FLYBALL_EGRESS_HOSTS": "*, http://127.0.0.1",
            "FLYBALL_EGRESS_TIMEOUT_S": "1",
            "FLYBALL_WEBHOOK_ATTEMPTS": "2",
            "FLYBALL_WORKER_POLL_MS": "20",
            "FLYBALL_LEASE_TTL_MS": str(LEASE_MS),
        }
    )


@pytest.fixture
def server(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrackingServer]:
    with contextlib.closing(open_platform(settings)) as platform, serve(platform) as url:
        server = TrackingServer(url=url, token=platform.access.bootstrap_owner(), platform=platform)
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", server.token)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        mlflow.set_tracking_uri(url)
        yield server


@pytest.fixture
def client(server: TrackingServer) -> MlflowClient:
    return MlflowClient(server.url)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@contextlib.contextmanager
def working(settings: Settings) -> Iterator[None]:
    """Run a worker in a thread."""
    with contextlib.closing(open_platform(settings)) as platform:
        worker = Worker(platform)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield
        finally:
            worker.stop()
            thread.join()


def test_webhooks_are_made_read_changed_and_removed(client: MlflowClient, server: TrackingServer) -> None:
    made = client.create_webhook("chat", "https://e.com/h", [MADE], description="d", secret=SECRET)
    assert (made.name, made.url, made.description, made.status) == (
        "chat",
        "https://e.com/h",
        "d",
        WebhookStatus.ACTIVE,
    )
    assert (made.events, made.secret) == ([MADE], None)
    both = [MADE, WebhookEvent(WebhookEntity.REGISTERED_MODEL, WebhookAction.CREATED)]
    changed = client.update_webhook(made.webhook_id, name="two", events=both, status="DISABLED")
    assert (changed.name, changed.events, changed.status) == ("two", both, WebhookStatus.DISABLED)
    assert changed.last_updated_timestamp > made.last_updated_timestamp
    assert client.get_webhook(made.webhook_id).description == "d"
    assert SECRET not in server.request("GET", API).data.decode()
    for number in range(4):
        client.create_webhook(f"w{number}", "https://e.com", [MADE])
    first = client.list_webhooks(max_results=3)
    rest = client.list_webhooks(max_results=3, page_token=first.token)
    assert [each.name for each in (*first, *rest)] == ["w3", "w2", "w1", "w0", "two"]
    assert not rest.token
    client.delete_webhook(made.webhook_id)
    for verb in (client.get_webhook, client.delete_webhook, client.test_webhook, client.update_webhook):
        with pytest.raises(MlflowException, match=r"Webhook with ID .+ not found") as caught:
            verb(made.webhook_id)
        assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert server.platform.events.verify().intact


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": "   "}, "Webhook URL cannot be empty or just whitespace"),
        ({"url": "ftp://example.com"}, "Invalid webhook URL scheme"),
        ({"url": "http://[invalid"}, "Invalid webhook URL"),
        ({"name": "a b"}, "Webhook name 'a b' is invalid"),
    ],
)
def test_what_cannot_be_is_refused_in_the_words_of_the_original(
    client: MlflowClient, change: dict[str, str], message: str
) -> None:
    made = client.create_webhook("chat", "https://e.com/h", [MADE])
    with pytest.raises(MlflowException, match=message) as caught:
        client.update_webhook(made.webhook_id, **change)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"events": [{"entity": "MODEL_VERSION", "action": "SET"}]}, 400),
        ({"events": [{"entity": "FOO", "action": "SET"}]}, 400),
        ({"events": [{}]}, 400),
        ({"events": []}, 400),
        ({"status": "bad"}, 400),
        ({"url": "https://10.0.0.1/x"}, 403),
        ({"events": [{"entity": 2, "action": "1"}], "status": 2}, 200),
        ({"status": ""}, 200),
    ],
)
def test_requests_are_read_as_the_protocol_reads_them(
    server: TrackingServer, body: dict[str, object], status: int
) -> None:
    asked = {
        "name": "n",
        "url": "https://e.com",
        "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}],
        **body,
    }
    assert server.request("POST", API, json=asked).status == status


def test_who_only_looks_does_not_see_webhooks(server: TrackingServer) -> None:
    access = server.platform.access
    access.create_identity("user:viewer", Role.VIEWER, actor="user:owner")
    _, token = access.issue("user:viewer", expires_in_s=60, label="t", actor="user:owner")
    assert server.request("GET", API, token=token).status == 403


def test_a_change_is_told_signed_by_the_worker(client: MlflowClient, settings: Settings, receiver: Receiver) -> None:
    client.create_webhook("chat", receiver.url, [MADE], secret=SECRET)
    trial = client.test_webhook(client.list_webhooks()[0].webhook_id)
    assert (trial.success, trial.response_status, trial.response_body) == (True, 200, "thanks")
    client.create_registered_model("elec")
    client.create_model_version("elec", "s3://b/m", run_id="r", tags={"a": "b"})
    with working(settings):
        received = receiver.wait_for(2)[1]
    body = json.loads(received.body)
    assert (body["entity"], body["action"]) == ("model_version", "created")
    assert body["data"] == {
        "name": "elec",
        "version": "1",
        "source": "s3://b/m",
        "run_id": "r",
        "tags": {"a": "b"},
        "description": None,
    }
    headers = received.headers
    content = f"{headers['x-mlflow-delivery-id']}.{headers['x-mlflow-timestamp']}.{received.body}".encode()
    expected = base64.b64encode(hmac.new(SECRET.encode(), content, hashlib.sha256).digest()).decode()
    assert headers["x-mlflow-signature"] == f"v1,{expected}"


def test_a_receiver_that_hangs_or_fails_keeps_no_other_waiting_and_is_given_up(
    client: MlflowClient, settings: Settings, server: TrackingServer, receiver: Receiver
) -> None:
    with receiving() as bad:
        bad.answers = [0, 503]
        failing = client.create_webhook("bad", bad.url, [MADE])
        client.create_webhook("good", receiver.url, [MADE])
        client.create_registered_model("elec")
        client.create_model_version("elec", "s3://b/m")
        with working(settings):
            receiver.wait_for(1)
            assert len(bad.received) <= 1
            bad.wait_for(2)
            subject = server.platform.webhooks.get(failing.webhook_id).ref
            deadline = time.monotonic() + 60
            # What was answered is recorded a moment later.
            while (last := server.platform.events.history(subject)[-1]).kind != "webhook.given_up":
                assert time.monotonic() < deadline, last
                time.sleep(0.05)
    assert (last.kind, last.payload["attempts"], last.payload["reason"]) == (
        "webhook.given_up",
        2,
        "the receiver answered 503",
    )
    assert server.platform.deliverer.waiting() == []


def test_a_worker_killed_between_delivery_and_record_delivers_again_under_the_same_id(
    client: MlflowClient, settings: Settings, server: TrackingServer, receiver: Receiver
) -> None:
    client.create_webhook("chat", receiver.url, [MADE])
    client.create_registered_model("elec")
    client.create_model_version("elec", "s3://b/m")
    environment = os.environ | {
        "FLYBALL_HOME": str(settings.home),
        "FLYBALL_DATABASE_URL": settings.database_url,
        "FLYBALL_EGRESS_HOSTS": settings.egress_hosts,
        "FLYBALL_LEASE_TTL_MS": str(LEASE_MS),
        "FLYBALL_WORKER_POLL_MS": "20",
    }
    program = (
        "from flyball.kernel.settings import load_settings; from flyball.server.serve import run_worker; "
        "run_worker(load_settings(), supervised=False)"
    )
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as worker:
        receiver.before_answer = lambda: os.kill(worker.pid, signal.SIGKILL)
        receiver.wait_for(1)
        assert worker.wait(120) == -signal.SIGKILL
    receiver.before_answer = lambda: None
    assert server.platform.deliverer.waiting() != []
    with working(settings):
        first, second = receiver.wait_for(2)
    assert first.headers["x-mlflow-delivery-id"] == second.headers["x-mlflow-delivery-id"]
    assert first.body == second.body
    assert server.platform.deliverer.waiting() == []
    assert len(receiver.received) == 2
