"""The document of sinks is read strictly, and holds no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.receiver import Receiver
from tests.unit.monitoring.sinks.conftest import OWNER, Telling

from flyball.kernel.clock import ManualClock
from flyball.kernel.egress import Egress, parse_destinations
from flyball.kernel.errors import FlyballError, InvalidInput, NotFound, PermissionDenied, UnknownKey
from flyball.kernel.secrets import Secrets
from flyball.monitoring.sinks.document import parse_sinks
from flyball.monitoring.sinks.ports import Outside

HOOK = "{name: ops, kind: webhook, options: {url: 'https://hooks.example.com/x', secret_from: 'env:FLYBALL_SECRET_A'}}"


@pytest.fixture(scope="module")
def nowhere() -> Outside:
    egress = Egress(parse_destinations("*", field="f"), timeout_s=1)
    return Outside(egress=egress, secrets=Secrets({}, Path("/nowhere")), clock=ManualClock())


def _mail(**options: object) -> str:
    given = {"host": "smtp.example.com", "sender": "f@example.com", "to": ["a@example.com"], **options}
    return json.dumps({"sinks": [{"name": "mail", "kind": "email", "options": given}]})


def _manager(**options: object) -> str:
    given = {"url": "https://am.example.com", **options}
    return json.dumps({"sinks": [{"name": "am", "kind": "alertmanager", "options": given}]})


@pytest.mark.parametrize(
    ("text", "error", "field"),
    [
        ("sinks: {}", InvalidInput, "sinks"),
        ("sink: []", UnknownKey, "sink"),
        (f"sinks: [{HOOK}, {HOOK}]", InvalidInput, "sinks.name"),
        ("sinks: [{name: 'a b', kind: webhook}]", InvalidInput, "sinks.name"),
        ("sinks: [{name: a, kind: pigeon}]", InvalidInput, "sinks.kind"),
        (f"sinks: [{HOOK}]\nroutes: [{{sinks: [op]}}]", InvalidInput, "routes.sinks"),
        (f"sinks: [{HOOK}]\nroutes: [{{sinks: []}}]", InvalidInput, "routes.sinks"),
        (f"sinks: [{HOOK}]\nroutes: [{{match: {{kind: drift}}, sinks: [ops]}}]", InvalidInput, "routes.match.kind"),
        (
            f"sinks: [{HOOK}]\nroutes: [{{match: {{monitor: '******'}}, sinks: [ops]}}]",
            InvalidInput,
            "routes.match.monitor",
        ),
        ("group_wait: 2h", InvalidInput, "group_wait"),
        (f"sinks: [{HOOK.replace('kind', 'repeat: 5s, kind')}]", InvalidInput, "sinks.repeat"),
        (f"sinks: [{HOOK.replace('url:', 'adress:')}]", UnknownKey, "adress"),
        (f"sinks: [{HOOK.replace('https://', 'https://u:p@')}]", InvalidInput, "options.url"),
        (f"sinks: [{HOOK.replace('https://', 'http://')}]", PermissionDenied, "options.url"),
        (f"sinks: [{HOOK.replace('hooks.example.com', '10.0.0.1')}]", PermissionDenied, "options.url"),
        (f"sinks: [{HOOK.replace('env:FLYBALL_SECRET_A', 'env:HOME')}]", InvalidInput, "options.secret_from"),
        (f"sinks: [{HOOK.replace('env:FLYBALL_SECRET_A', 'file:../token')}]", InvalidInput, "options.secret_from"),
        (f"sinks: [{HOOK.replace('env:FLYBALL_SECRET_A', 'wine-dark-sea')}]", InvalidInput, "options.secret_from"),
        (
            "sinks: [{name: s, kind: slack, options: {url: 'https://hooks.slack.com/services/T/B/x'}}]",
            UnknownKey,
            "url",
        ),
        (_mail(to=[]), InvalidInput, "options.to"),
        (_mail(to=["a@example.com\nBcc: b@example.com"]), InvalidInput, "options.to"),
        (_mail(host="a b"), InvalidInput, "options.host"),
        (_mail(port=0), InvalidInput, "options.port"),
        (_mail(user="u"), InvalidInput, "options.password_from"),
        (_mail(user="u", password_from="file:p", security="none"), InvalidInput, "options.security"),
        (_manager(hold="1s"), InvalidInput, "options.hold"),
        (_manager(labels={"kind": "x"}), InvalidInput, "options.labels"),
        (_manager(labels={"a-b": "x"}), InvalidInput, "options.labels"),
        (_manager(url=""), InvalidInput, "options.url"),
    ],
)
def test_a_document_that_cannot_be_is_refused_by_name(
    nowhere: Outside, text: str, error: type[FlyballError], field: str
) -> None:
    with pytest.raises(error) as refused:
        parse_sinks(text, nowhere)
    assert refused.value.field == field


def test_a_document_that_is_refused_leaves_the_one_before(telling: Telling) -> None:
    telling.sinks.put(f"sinks: [{HOOK}]", actor=OWNER)
    with pytest.raises(InvalidInput):
        telling.sinks.put(f"sinks: [{HOOK}, {HOOK}]", actor=OWNER)
    assert [entry.name for entry in telling.sinks.get().sinks] == ["ops"]
    assert len(telling.recorded("alert-sinks.set")) == 1


def test_the_record_of_a_change_names_sinks_and_shows_no_address(telling: Telling) -> None:
    telling.sinks.put(f"sinks: [{HOOK}]", actor=OWNER)
    (event,) = telling.recorded("alert-sinks.set")
    assert event.payload["sinks"] == [{"name": "ops", "kind": "webhook"}]
    assert "hooks.example.com" not in json.dumps(dict(event.payload))


def test_a_trial_says_what_was_answered_or_why_not(telling: Telling, receiver: Receiver) -> None:
    telling.set_sinks("ops", url=receiver.url)
    trial = telling.sinks.try_out("ops")
    assert (trial.arrived, trial.said) == (True, "200 thanks")
    assert json.loads(receiver.received[0].body)["alerts"][0]["note"] == "test"
    receiver.answers[:] = [404]
    trial = telling.sinks.try_out("ops")
    assert (trial.arrived, trial.said) == (False, "the receiver answered 404: thanks")
    with pytest.raises(NotFound, match="known: ops"):
        telling.sinks.try_out("oops")
    assert telling.recorded("alert.told") == []
