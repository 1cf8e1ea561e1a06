"""Where alerts go, joined: the outbox that rooms announce to, the silences, the sinks, and who delivers."""

from __future__ import annotations

import os
from dataclasses import dataclass

from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.egress import Egress
from flyball.kernel.events import EventLog
from flyball.kernel.secrets import Secrets
from flyball.kernel.settings import Settings
from flyball.monitoring.alerts.silences import Silences
from flyball.monitoring.alerts.sql import SqlSilenceStore
from flyball.monitoring.retention import DAY_MS
from flyball.monitoring.sinks.delivery import Deliverer
from flyball.monitoring.sinks.management import Sinks
from flyball.monitoring.sinks.outbox import Outbox, Routing
from flyball.monitoring.sinks.ports import Outside
from flyball.monitoring.sinks.pruning import Pruning
from flyball.monitoring.sinks.sql import SqlDeliveryStore, SqlDocumentStore
from flyball.monitoring.sql import SqlAlertStore


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRoom:
    """Everything between an alert and whoever hears of it."""

    outbox: Outbox
    silences: Silences
    sinks: Sinks
    deliverer: Deliverer
    pruning: Pruning


def open_alerts(settings: Settings, database: Database, *, egress: Egress, events: EventLog, clock: Clock) -> AlertRoom:
    """Join them over a database."""
    documents, deliveries = SqlDocumentStore(database), SqlDeliveryStore(database)
    outside = Outside(egress=egress, secrets=Secrets(os.environ, settings.secrets_folder), clock=clock)
    routing, url = Routing(documents), settings.resolved_server_url
    silences = Silences(SqlSilenceStore(database), release=deliveries, events=events, clock=clock, database=database)
    deliverer = Deliverer(
        routing,
        deliveries,
        alerts=SqlAlertStore(database),
        silences=silences,
        outside=outside,
        events=events,
        clock=clock,
        database=database,
        attempts=settings.webhook_attempts,
        server_url=url,
    )
    return AlertRoom(
        outbox=Outbox(routing, deliveries, deliveries, clock=clock),
        silences=silences,
        sinks=Sinks(
            documents, deliveries, outside=outside, events=events, clock=clock, database=database, server_url=url
        ),
        deliverer=deliverer,
        pruning=Pruning(
            deliveries,
            keep_ms=settings.alert_delivery_keep_days * DAY_MS,
            events=events,
            clock=clock,
            database=database,
        ),
    )
