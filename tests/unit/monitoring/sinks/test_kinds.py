"""What each kind of sink says, word for word where a machine reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.mail_server import PASSWORD, USER, mailbox
from tests.receiver import Receiver, receiving

from flyball.kernel.clock import ManualClock
from flyball.kernel.egress import Egress, parse_destinations
from flyball.kernel.errors import PermissionDenied, Unavailable
from flyball.kernel.secrets import Secrets
from flyball.monitoring.alerts.ports import Occasion
from flyball.monitoring.entities import AlertState
from flyball.monitoring.sinks.alertmanager import AlertmanagerOptions, AlertmanagerSink
from flyball.monitoring.sinks.conformance import a_notice, an_alert
from flyball.monitoring.sinks.email import EmailOptions, EmailSink, Security
from flyball.monitoring.sinks.ports import Outside
from flyball.monitoring.sinks.slack import SlackOptions, SlackSink

LOOPBACK = "http://127.0.0.1, localhost"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def outside(folder: Path, allowed: str = LOOPBACK, **environ: str) -> Outside:
    egress = Egress(parse_destinations(allowed, field="f"), timeout_s=60, resolve=lambda _host, _port: ["127.0.0.1"])
    return Outside(egress=egress, secrets=Secrets(environ, folder), clock=ManualClock(1_700_000_000_000))


def test_alertmanager_gets_what_its_api_takes(receiver: Receiver, tmp_path: Path) -> None:
    options = AlertmanagerOptions(url=receiver.url + "/", labels={"team": "grid", "nobody": " "}, hold="2h")
    alert = an_alert("price")
    AlertmanagerSink(options, outside(tmp_path)).send(a_notice(alert))
    (one,) = receiver.received
    assert one.path == "/api/v2/alerts"
    lines = [
        "data fault: endpoint live, model model, version 3, monitor watch",
        "window 1970-01-01T00:00:00.000Z to 1970-01-02T00:00:00.000Z",
        "likely cause 1: price: 60% of <the> values & more are missing",
    ]
    assert json.loads(one.body) == [
        {
            "labels": {
                "alertname": "FlyballDataFault",
                "team": "grid",
                "monitor": "watch",
                "endpoint": "live",
                "model": "model",
                "kind": "data_fault",
                "feature": "price",
            },
            "annotations": {"summary": lines[0], "description": "\n".join(lines), "alert": alert.id},
            "startsAt": "2023-11-14T22:13:20.000Z",
            "endsAt": "2023-11-15T00:13:20.000Z",
            "generatorURL": f"http://flyball.example/#alert-{alert.id}",
        }
    ]


def test_alertmanager_is_told_when_it_ended(receiver: Receiver, tmp_path: Path) -> None:
    ended = an_alert(state=AlertState.RESOLVED, updated_ms=1_700_000_060_000)
    AlertmanagerSink(AlertmanagerOptions(url=receiver.url), outside(tmp_path)).send(
        a_notice(ended, occasion=Occasion.RESOLVED)
    )
    assert json.loads(receiver.received[0].body)[0]["endsAt"] == "2023-11-14T22:14:20.000Z"


def test_slack_calls_nobody_because_a_name_says_so(receiver: Receiver, tmp_path: Path) -> None:
    sink = SlackSink(SlackOptions(url_from="file:url"), outside(tmp_path))
    (tmp_path / "url").write_text(receiver.url + "/services/T/B/x\n")
    sink.send(a_notice(an_alert("<!channel> & co")))
    (one,) = receiver.received
    assert one.path == "/services/T/B/x"
    text = json.loads(one.body)["text"]
    assert "&lt;!channel&gt; &amp; co" in text
    assert "<!channel>" not in text
    assert text.startswith("*Flyball alert: data fault at live*")


def _mail(port: int, **options: object) -> EmailOptions:
    given = {"host": "localhost", "sender": "flyball@example.com", "to": ("a@example.com", "b@example.com")}
    return EmailOptions(**{**given, "port": port, "ca_from": "file:ca", **options})  # type: ignore[arg-type]


def test_a_mail_is_encrypted_signed_in_and_says_that_nobody_wrote_it(tmp_path: Path) -> None:
    with mailbox(password=True) as box:
        (tmp_path / "ca").write_text(box.certificate)
        options = _mail(box.port, user=USER, password_from="env:FLYBALL_SECRET_MAIL")
        sink = EmailSink(options, outside(tmp_path, FLYBALL_SECRET_MAIL=PASSWORD))
        sink.send(a_notice(an_alert("price"), key="k7"))
        (mail,) = box.mails
        assert (box.secured, box.senders) == ([True], [USER])
        assert mail["Subject"] == "Flyball alert: data fault at live"
        assert mail["To"] == "a@example.com, b@example.com"
        assert mail["Message-ID"] == "<k7@example.com>"
        assert mail["Auto-Submitted"] == "auto-generated"
        assert "likely cause 1: price: 60% of <the> values & more are missing" in mail.get_content()


def test_a_wrong_password_is_an_error_that_does_not_show_it(tmp_path: Path) -> None:
    with mailbox(password=True) as box:
        (tmp_path / "ca").write_text(box.certificate)
        options = _mail(box.port, user=USER, password_from="env:FLYBALL_SECRET_MAIL")
        sink = EmailSink(options, outside(tmp_path, FLYBALL_SECRET_MAIL="guessed"))
        with pytest.raises(Unavailable, match="535") as refused:
            sink.send(a_notice())
        assert "guessed" not in refused.value.message
        assert box.mails == []


def test_a_server_that_nobody_vouches_for_gets_no_mail(tmp_path: Path) -> None:
    with mailbox() as box:
        sink = EmailSink(_mail(box.port, ca_from=""), outside(tmp_path))
        with pytest.raises(Unavailable, match="certificate"):
            sink.send(a_notice())
        assert box.mails == []


def test_a_server_without_encryption_gets_no_mail_when_it_is_asked_for(tmp_path: Path) -> None:
    with mailbox(secure=False) as box:
        sink = EmailSink(_mail(box.port, ca_from=""), outside(tmp_path))
        with pytest.raises(Unavailable, match="STARTTLS"):
            sink.send(a_notice())
        assert box.mails == []


def test_a_mail_in_plain_needs_a_host_that_the_operator_allows_in_plain(tmp_path: Path) -> None:
    with mailbox(secure=False) as box:
        options = _mail(box.port, ca_from="", security=Security.NONE)
        with pytest.raises(PermissionDenied, match="FLYBALL_EGRESS_HOSTS"):
            EmailSink(options, outside(tmp_path)).send(a_notice())
        EmailSink(options, outside(tmp_path, "http://localhost")).send(a_notice())
        assert box.secured == [False]


def test_a_mail_goes_to_no_private_host_that_is_not_named(tmp_path: Path) -> None:
    sink = EmailSink(_mail(25, ca_from=""), outside(tmp_path, "*"))
    with pytest.raises(PermissionDenied, match="not a public one"):
        sink.send(a_notice())
