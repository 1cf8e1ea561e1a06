"""Alerts that fire into a real outbox, and a deliverer that a test moves on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.receiver import Receiver, receiving

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.egress import Egress, parse_destinations
from flyball.kernel.events import Event, EventLog
from flyball.kernel.events.sql import SqlEventStore
from flyball.kernel.secrets import Secrets
from flyball.monitoring.alerts.life import AlertLife
from flyball.monitoring.alerts.ports import Occasion
from flyball.monitoring.alerts.silences import Silences
from flyball.monitoring.alerts.sql import SqlSilenceStore
from flyball.monitoring.entities import Alert
from flyball.monitoring.sinks.conformance import an_alert
from flyball.monitoring.sinks.delivery import Deliverer
from flyball.monitoring.sinks.entities import Delivery
from flyball.monitoring.sinks.management import Sinks
from flyball.monitoring.sinks.outbox import Outbox, Routing
from flyball.monitoring.sinks.ports import Outside
from flyball.monitoring.sinks.sql import SqlDeliveryStore, SqlDocumentStore
from flyball.monitoring.sql import SqlAlertStore

OWNER = "user:owner"
ATTEMPTS = 3
MINUTE = 60_000
SECRET = "wine-dark-sea"


@dataclass
class Telling:
    """Everything between an alert and its receiver."""

    database: Database
    clock: ManualClock
    events: EventLog
    store: SqlAlertStore
    deliveries: SqlDeliveryStore
    outbox: Outbox
    life: AlertLife
    silences: Silences
    sinks: Sinks
    deliverer: Deliverer

    def set_sinks(self, *names: str, url: str, more: str = "", routes: str = "") -> None:
        """Declare signed webhooks to one address, each told of everything."""
        entries = "".join(
            f"- {{name: {name}, kind: webhook, {more} options: {{url: '{url}/{name}', secret_from: 'env:FLYBALL_SECRET_HOOK'}}}}\n"
            for name in names
        )
        told = routes or f"- {{sinks: [{', '.join(names)}]}}"
        self.sinks.put(f"sinks:\n{entries}routes:\n{told}\n", actor=OWNER)

    def fire(self, feature: str = "x", **changes: object) -> Alert:
        """Fire an alert, as a monitor does."""
        alert = an_alert(feature, **changes)
        with self.database.transaction():
            self.outbox.announce(alert, Occasion.FIRING)
            self.store.add(alert)
        return alert

    def wait(self, ms: int = MINUTE) -> None:
        """Let time pass, and deliver what is due then."""
        self.clock.advance(ms)
        for sink in self.deliverer.waiting():
            self.deliverer.deliver(sink, fence=lambda: None)

    def told(self, alert: Alert) -> list[Delivery]:
        """Return the deliveries of an alert, oldest first."""
        return self.deliveries.of_alerts([alert.id]).get(alert.id, [])

    def recorded(self, kind: str) -> list[Event]:
        """Return the events of a kind."""
        return [event for event in self.events.all() if event.kind == kind]


def build_telling(database: Database, clock: ManualClock, folder: Path) -> Telling:
    """Join everything over a database."""
    events = EventLog(SqlEventStore(database), clock)
    egress = Egress(parse_destinations("*, http://127.0.0.1", field="f"), timeout_s=60)
    outside = Outside(egress=egress, secrets=Secrets({"FLYBALL_SECRET_HOOK": SECRET}, folder), clock=clock)
    documents, deliveries, store = SqlDocumentStore(database), SqlDeliveryStore(database), SqlAlertStore(database)
    routing = Routing(documents)
    outbox = Outbox(routing, deliveries, deliveries, clock=clock)
    silences = Silences(SqlSilenceStore(database), release=deliveries, events=events, clock=clock, database=database)
    url = "http://flyball.example"
    return Telling(
        database=database,
        clock=clock,
        events=events,
        store=store,
        deliveries=deliveries,
        outbox=outbox,
        life=AlertLife(store, outbox, events=events, clock=clock, database=database),
        silences=silences,
        sinks=Sinks(
            documents, deliveries, outside=outside, events=events, clock=clock, database=database, server_url=url
        ),
        deliverer=Deliverer(
            routing,
            deliveries,
            alerts=store,
            silences=silences,
            outside=outside,
            events=events,
            clock=clock,
            database=database,
            attempts=ATTEMPTS,
            server_url=url,
        ),
    )


@pytest.fixture
def telling(sqlite: Database, clock: ManualClock, tmp_path: Path) -> Telling:
    """Return it over SQLite."""
    return build_telling(sqlite, clock, tmp_path)


@pytest.fixture
def everywhere(database: Database, clock: ManualClock, tmp_path: Path) -> Telling:
    """Return it over each kind of database."""
    return build_telling(database, clock, tmp_path)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Listen."""
    with receiving() as made:
        yield made
