"""Webhooks: told in the transaction of the change, signed, tried again, given up; the secret shown to nobody."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest
from tests.receiver import Receiver, receiving

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.egress import Egress, parse_destinations
from flyball.kernel.errors import Conflict, InvalidInput, LeaseLost, LimitExceeded, NotFound, PermissionDenied
from flyball.kernel.events import EventLog
from flyball.registry import Registry
from flyball.registry.sources import digest_in
from flyball.registry.sql import open_stores
from flyball.registry.webhooks import Occasion, Webhooks, WebhookStatus
from flyball.registry.webhooks.announcing import Outbox
from flyball.registry.webhooks.delivery import Deliverer
from flyball.registry.webhooks.management import WebhookStores
from flyball.registry.webhooks.sql import SqlDeliveryStore, SqlWebhookStore

OWNER = "user:owner"
ATTEMPTS = 3
ALL = tuple(Occasion)
SECRET = "wine-dark-sea"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def hooks(room_database: Database) -> WebhookStores:
    return WebhookStores(webhooks=SqlWebhookStore(room_database), deliveries=SqlDeliveryStore(room_database))


@pytest.fixture
def egress() -> Egress:
    return Egress(parse_destinations("*, http://127.0.0.1", field="f"), timeout_s=2)


@pytest.fixture
def webhooks(
    hooks: WebhookStores, egress: Egress, events: EventLog, clock: ManualClock, room_database: Database
) -> Webhooks:
    return Webhooks(hooks, egress=egress, events=events, clock=clock, database=room_database)


@pytest.fixture
def deliverer(
    hooks: WebhookStores,
    webhooks: Webhooks,
    egress: Egress,
    events: EventLog,
    clock: ManualClock,
    room_database: Database,
) -> Deliverer:
    return Deliverer(
        hooks, webhooks, egress=egress, events=events, clock=clock, database=room_database, attempts=ATTEMPTS
    )


@pytest.fixture
def registry(
    hooks: WebhookStores, artifacts: object, events: EventLog, clock: ManualClock, room_database: Database
) -> Registry:
    return Registry(
        open_stores(room_database),
        digest_of=digest_in(artifacts),  # type: ignore[arg-type]
        events=events,
        clock=clock,
        database=room_database,
        announcer=Outbox(hooks.webhooks, hooks.deliveries, clock=clock),
    )


def deliver_all(deliverer: Deliverer) -> None:
    for webhook_id in deliverer.waiting():
        deliverer.deliver(webhook_id, fence=lambda: None)


def told(receiver: Receiver) -> list[tuple[str, dict[str, object]]]:
    bodies = [json.loads(each.body) for each in receiver.received]
    return [(f"{body['entity']}.{body['action']}", body["data"]) for body in bodies]


def test_every_occasion_of_a_model_is_told_with_its_data(
    registry: Registry, webhooks: Webhooks, deliverer: Deliverer, receiver: Receiver, source: str
) -> None:
    webhooks.create("all", url=receiver.url, occasions=ALL, actor=OWNER)
    registry.create_model("elec", description="d", tags={"team": "grid"}, actor=OWNER)
    registry.set_model_tag("elec", "quiet", value="1", actor=OWNER)
    registry.create_version("elec", source="s3://b/m", run_id="r", tags={"t": "1"}, actor=OWNER)
    registry.set_version_tag("elec", 1, key="k", value="v", actor=OWNER)
    registry.delete_version_tag("elec", 1, key="k", actor=OWNER)
    registry.set_alias("elec", "champion", 1, expected=None, actor=OWNER)
    registry.remove_alias("elec", "champion", actor=OWNER)
    deliver_all(deliverer)
    assert told(receiver) == [
        ("registered_model.created", {"name": "elec", "tags": {"team": "grid"}, "description": "d"}),
        (
            "model_version.created",
            {
                "name": "elec",
                "version": "1",
                "source": "s3://b/m",
                "run_id": "r",
                "tags": {"t": "1"},
                "description": None,
            },
        ),
        ("model_version_tag.set", {"name": "elec", "version": "1", "key": "k", "value": "v"}),
        ("model_version_tag.deleted", {"name": "elec", "version": "1", "key": "k"}),
        ("model_version_alias.created", {"name": "elec", "alias": "champion", "version": "1"}),
        ("model_version_alias.deleted", {"name": "elec", "alias": "champion"}),
    ]


def test_every_occasion_of_a_prompt_is_told_apart(
    registry: Registry, webhooks: Webhooks, deliverer: Deliverer, receiver: Receiver
) -> None:
    webhooks.create("all", url=receiver.url, occasions=ALL, actor=OWNER)
    tags = {"mlflow.prompt.is_prompt": "true", "_mlflow_prompt_type": "text", "own": "1"}
    registry.create_model("hello", tags=tags, actor=OWNER)
    registry.create_version(
        "hello", source="dummy-source", tags={**tags, "mlflow.prompt.text": "Hi {{x}}"}, actor=OWNER
    )
    registry.set_model_tag("hello", "k", value="v", actor=OWNER)
    registry.delete_model_tag("hello", "k", actor=OWNER)
    registry.set_version_tag("hello", 1, key="k", value="v", actor=OWNER)
    registry.delete_version_tag("hello", 1, key="k", actor=OWNER)
    registry.set_alias("hello", "live", 1, expected=None, actor=OWNER)
    registry.remove_alias("hello", "live", actor=OWNER)
    deliver_all(deliverer)
    assert told(receiver) == [
        ("prompt.created", {"name": "hello", "tags": {"own": "1"}, "description": ""}),
        (
            "prompt_version.created",
            {"name": "hello", "version": "1", "template": "Hi {{x}}", "tags": {"own": "1"}, "description": None},
        ),
        ("prompt_tag.set", {"name": "hello", "key": "k", "value": "v"}),
        ("prompt_tag.deleted", {"name": "hello", "key": "k"}),
        ("prompt_version_tag.set", {"name": "hello", "version": "1", "key": "k", "value": "v"}),
        ("prompt_version_tag.deleted", {"name": "hello", "version": "1", "key": "k"}),
        ("prompt_alias.created", {"name": "hello", "alias": "live", "version": "1"}),
        ("prompt_alias.deleted", {"name": "hello", "alias": "live"}),
    ]


def test_a_delivery_is_signed_over_its_id_its_time_and_its_body(
    registry: Registry, webhooks: Webhooks, deliverer: Deliverer, receiver: Receiver, clock: ManualClock
) -> None:
    webhooks.create("signed", url=receiver.url + "/in", occasions=ALL, secret=SECRET, actor=OWNER)
    registry.create_model("elec", actor=OWNER)
    deliver_all(deliverer)
    (received,) = receiver.received
    delivery_id, moment = received.headers["x-mlflow-delivery-id"], received.headers["x-mlflow-timestamp"]
    assert (received.path, moment) == ("/in", str(clock.now_ms() // 1000))
    content = f"{delivery_id}.{moment}.{received.body}".encode()
    expected = base64.b64encode(hmac.new(SECRET.encode(), content, hashlib.sha256).digest()).decode()
    assert received.headers["x-mlflow-signature"] == f"v1,{expected}"
    assert set(json.loads(received.body)) == {"entity", "action", "timestamp", "data"}


def test_what_is_undone_is_not_told(
    registry: Registry, webhooks: Webhooks, deliverer: Deliverer, receiver: Receiver, room_database: Database
) -> None:
    webhooks.create("all", url=receiver.url, occasions=ALL, actor=OWNER)

    def undone() -> None:
        with room_database.transaction():
            registry.create_model("elec", actor=OWNER)
            raise RuntimeError("undo")

    with pytest.raises(RuntimeError, match="undo"):
        undone()
    assert deliverer.waiting() == []


def test_a_receiver_that_fails_is_tried_again_after_growing_pauses_and_given_up_with_an_event(
    registry: Registry,
    webhooks: Webhooks,
    deliverer: Deliverer,
    receiver: Receiver,
    clock: ManualClock,
    events: EventLog,
) -> None:
    made = webhooks.create("down", url=receiver.url, occasions=ALL, secret=SECRET, actor=OWNER)
    registry.create_model("elec", actor=OWNER)
    receiver.answers = [500, 302, 404]
    for pause_ms in (1_000, 4_000):
        deliver_all(deliverer)
        clock.advance(pause_ms - 1)
        assert deliverer.waiting() == []
        clock.advance(1)
    deliver_all(deliverer)
    assert deliverer.waiting() == []
    assert len({each.headers["x-mlflow-delivery-id"] for each in receiver.received}) == 1
    assert len({each.body for each in receiver.received}) == 1
    assert len({each.headers["x-mlflow-signature"] for each in receiver.received}) == 3
    assert [each.path for each in receiver.received] == ["/"] * 3
    last = events.history(made.ref)[-1]
    assert (last.kind, last.actor) == ("webhook.given_up", "service:webhooks")
    assert last.payload == {
        "delivery": receiver.received[0].headers["x-mlflow-delivery-id"],
        "occasion": "registered_model.created",
        "attempts": 3,
        "reason": "the receiver answered 404",
    }


def test_a_receiver_that_hangs_is_tried_again(
    registry: Registry, webhooks: Webhooks, deliverer: Deliverer, receiver: Receiver, clock: ManualClock
) -> None:
    webhooks.create("slow", url=receiver.url, occasions=ALL, actor=OWNER)
    registry.create_model("elec", actor=OWNER)
    receiver.answers = [0, 200]
    deliver_all(deliverer)
    clock.advance(1_000)
    deliver_all(deliverer)
    assert len(receiver.received) == 2
    clock.advance(1_000_000)
    assert deliverer.waiting() == []


def test_who_lost_the_lease_records_nothing(
    registry: Registry, webhooks: Webhooks, deliverer: Deliverer, receiver: Receiver
) -> None:
    made = webhooks.create("all", url=receiver.url, occasions=ALL, actor=OWNER)
    registry.create_model("elec", actor=OWNER)

    def lost() -> None:
        raise LeaseLost("too late")

    with pytest.raises(Conflict, match="too late"):
        deliverer.deliver(made.id, fence=lost)
    assert deliverer.waiting() == [made.id]


def test_a_webhook_is_told_only_what_it_asked_for_and_nothing_while_it_is_disabled(
    registry: Registry, webhooks: Webhooks, deliverer: Deliverer, events: EventLog
) -> None:
    made = webhooks.create("tags", url="https://e.com", occasions=[Occasion.MODEL_VERSION_TAG_SET], actor=OWNER)
    registry.create_model("elec", actor=OWNER)
    registry.create_version("elec", source="s3://b/m", actor=OWNER)
    assert deliverer.waiting() == []
    registry.set_version_tag("elec", 1, key="k", value="v", actor=OWNER)
    assert deliverer.waiting() == [made.id]
    webhooks.update(made.id, status=WebhookStatus.DISABLED, actor=OWNER)
    registry.set_version_tag("elec", 1, key="k", value="w", actor=OWNER)
    assert deliverer.waiting() == []
    assert events.history(made.ref)[-1].payload["dropped"] == 1


def test_neither_secret_nor_url_is_in_the_record_or_in_a_log(webhooks: Webhooks, events: EventLog) -> None:
    made = webhooks.create("s", url=f"https://u:{SECRET}@e.com/{SECRET}", occasions=ALL, secret=SECRET, actor=OWNER)
    webhooks.update(made.id, secret=SECRET + "2", url=f"https://e.com/{SECRET}3", actor=OWNER)
    webhooks.delete(made.id, actor=OWNER)
    assert SECRET not in repr(made)
    assert [event.kind for event in events.history(made.ref)] == [
        "webhook.created",
        "webhook.updated",
        "webhook.deleted",
    ]
    assert all(SECRET not in json.dumps(dict(event.payload)) for event in events.all())
    assert events.history(made.ref)[0].payload["host"] == "e.com"


def test_a_webhook_is_changed_by_what_is_given(webhooks: Webhooks) -> None:
    made = webhooks.create("one", url="https://e.com/1", occasions=ALL, description="d", secret="s", actor=OWNER)
    changed = webhooks.update(made.id, name="two", actor=OWNER)
    assert (changed.name, changed.url, changed.description, changed.secret) == ("two", made.url, "d", "s")
    assert changed.updated_ms > made.updated_ms
    emptied = webhooks.update(made.id, description="", secret="", actor=OWNER)
    assert (emptied.description, emptied.secret) == ("", "")
    assert webhooks.get(made.id) == emptied


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"name": ""}, InvalidInput),
        ({"name": "a b"}, InvalidInput),
        ({"name": "-a"}, InvalidInput),
        ({"name": "a" * 64}, InvalidInput),
        ({"url": "  "}, InvalidInput),
        ({"url": "ftp://e.com"}, InvalidInput),
        ({"url": "http://e.com"}, PermissionDenied),
        ({"url": "https://10.0.0.1"}, PermissionDenied),
        ({"occasions": []}, InvalidInput),
        ({"description": "x" * 1_001}, LimitExceeded),
        ({"secret": "x" * 4_001}, LimitExceeded),
        ({"secret": "\x00"}, InvalidInput),
    ],
)
def test_what_cannot_be_makes_no_webhook_and_changes_none(
    webhooks: Webhooks, given: dict[str, object], error: type[Exception]
) -> None:
    asked: dict[str, object] = {"name": "n", "url": "https://e.com", "occasions": ALL, "actor": OWNER, **given}
    with pytest.raises(error):
        webhooks.create(str(asked.pop("name")), **asked)  # type: ignore[arg-type]
    assert webhooks.list().items == ()
    made = webhooks.create("n", url="https://e.com", occasions=ALL, actor=OWNER)
    with pytest.raises(error):
        webhooks.update(made.id, actor=OWNER, **given)  # type: ignore[arg-type]
    assert webhooks.get(made.id) == made


def test_webhooks_are_listed_in_pages_and_absent_ones_not_found(webhooks: Webhooks, clock: ManualClock) -> None:
    for number in range(5):
        clock.advance(1)
        webhooks.create(f"w{number}", url="https://e.com", occasions=ALL, actor=OWNER)
    first = webhooks.list(limit=2)
    second = webhooks.list(limit=3, page_token=first.next_token or "")
    assert [each.name for each in (*first.items, *second.items)] == ["w4", "w3", "w2", "w1", "w0"]
    assert second.next_token is None
    for limit in (-1, 1_001):
        with pytest.raises(InvalidInput, match="between 1 and 1000"):
            webhooks.list(limit=limit)
    for verb in (
        webhooks.get,
        lambda name: webhooks.update(name, actor=OWNER),
        lambda name: webhooks.delete(name, actor=OWNER),
    ):
        for name in ("absent", "a\x00"):
            with pytest.raises(NotFound, match="Webhook with ID"):
                verb(name)


@pytest.mark.parametrize("occasion", ALL)
def test_a_webhook_is_tried_out_with_every_occasion(
    webhooks: Webhooks, deliverer: Deliverer, receiver: Receiver, occasion: Occasion
) -> None:
    made = webhooks.create("t", url=receiver.url, occasions=[Occasion.PROMPT_CREATED], secret=SECRET, actor=OWNER)
    trial = deliverer.try_out(made.id, occasion)
    assert (trial.success, trial.status, trial.body) == (True, 200, "thanks")
    ((kind, data),) = told(receiver)
    assert kind == occasion.value
    assert data
    assert "x-mlflow-signature" in receiver.received[0].headers


def test_a_trial_tells_what_went_wrong(webhooks: Webhooks, deliverer: Deliverer, receiver: Receiver) -> None:
    made = webhooks.create("t", url=receiver.url, occasions=[Occasion.PROMPT_CREATED], actor=OWNER)
    receiver.answers = [500, 0]
    assert (deliverer.try_out(made.id).success, told(receiver)[0][0]) == (False, "prompt.created")
    trial = deliverer.try_out(made.id)
    assert (trial.success, trial.status) == (False, None)
    assert "did not answer" in str(trial.error)
    with pytest.raises(NotFound):
        deliverer.try_out("absent")
