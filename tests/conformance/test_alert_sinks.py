"""Every kind of sink keeps the port's promises against a real receiver; the stores do on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.mail_server import Mailbox, mailbox
from tests.receiver import Receiver, receiving

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.egress import Egress, parse_destinations
from flyball.kernel.secrets import Secrets
from flyball.monitoring.sinks.alertmanager import AlertmanagerOptions, AlertmanagerSink
from flyball.monitoring.sinks.conformance import DeliveryStoreConformance, Heard, SinkConformance
from flyball.monitoring.sinks.email import EmailOptions, EmailSink, Security
from flyball.monitoring.sinks.ports import Outside
from flyball.monitoring.sinks.slack import SlackOptions, SlackSink
from flyball.monitoring.sinks.sql import SqlDeliveryStore
from flyball.monitoring.sinks.webhook import WebhookOptions, WebhookSink


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def outside(tmp_path: Path, **environ: str) -> Outside:
    allowed = parse_destinations("http://127.0.0.1, localhost", field="f")
    egress = Egress(allowed, timeout_s=60, resolve=lambda _host, _port: ["127.0.0.1"])
    return Outside(egress=egress, secrets=Secrets(environ, tmp_path), clock=ManualClock())


class _OverHttp(SinkConformance):
    @pytest.fixture
    def heard(self, receiver: Receiver) -> Heard:
        def texts() -> list[str]:
            return [each.body for each in receiver.received if receiver.answers == [200]]

        def refuse() -> None:
            receiver.answers[:] = [503]

        return Heard(texts=texts, refuse=refuse)


class TestWebhookSink(_OverHttp):
    @pytest.fixture
    def sink(self, receiver: Receiver, tmp_path: Path) -> WebhookSink:
        options = WebhookOptions(url=receiver.url, secret_from="env:FLYBALL_SECRET_HOOK")
        return WebhookSink(options, outside(tmp_path, FLYBALL_SECRET_HOOK="s"))


class TestSlackSink(_OverHttp):
    @pytest.fixture
    def sink(self, receiver: Receiver, tmp_path: Path) -> SlackSink:
        return SlackSink(
            SlackOptions(url_from="env:FLYBALL_SECRET_URL"), outside(tmp_path, FLYBALL_SECRET_URL=receiver.url)
        )


class TestAlertmanagerSink(_OverHttp):
    @pytest.fixture
    def sink(self, receiver: Receiver, tmp_path: Path) -> AlertmanagerSink:
        return AlertmanagerSink(AlertmanagerOptions(url=receiver.url), outside(tmp_path))


class TestEmailSink(SinkConformance):
    @pytest.fixture
    def box(self) -> Iterator[Mailbox]:
        with mailbox() as made:
            yield made

    @pytest.fixture
    def heard(self, box: Mailbox) -> Heard:
        def refuse() -> None:
            box.refusal = "451 come back later"

        return Heard(texts=lambda: [mail.as_string() for mail in box.mails], refuse=refuse)

    @pytest.fixture
    def sink(self, box: Mailbox, tmp_path: Path) -> EmailSink:
        (tmp_path / "ca").write_text(box.certificate)
        options = EmailOptions(
            host="localhost",
            port=box.port,
            sender="flyball@example.com",
            to=("oncall@example.com",),
            security=Security.STARTTLS,
            ca_from="file:ca",
        )
        return EmailSink(options, outside(tmp_path))


class TestSqlDeliveryStore(DeliveryStoreConformance):
    @pytest.fixture
    def store(self, database: Database) -> SqlDeliveryStore:
        return SqlDeliveryStore(database)
