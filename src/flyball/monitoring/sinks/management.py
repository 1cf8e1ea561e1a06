"""The verbs of sinks: set the document, see how each one fares, and try one out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from flyball.kernel.canonical import Digest, JsonValue, digest_json
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import FlyballError, NotFound
from flyball.kernel.events import EventLog, ref
from flyball.kernel.ids import new_id
from flyball.monitoring.alerts.ports import Occasion
from flyball.monitoring.entities import Alert, AlertKind, AlertState, Cause, MonitoringEvent
from flyball.monitoring.sinks.document import SinkDocument, SinkEntry, open_sink, parse_sinks
from flyball.monitoring.sinks.entities import Delivery, Notice
from flyball.monitoring.sinks.outbox import Routing
from flyball.monitoring.sinks.ports import DeliveryRecord, DocumentStore, Outside

ANSWER_CHARACTERS = 500
NEWEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of trying a sink out: what the receiver answered, or why it did not arrive."""

    arrived: bool
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkState:
    """A sink and its newest deliveries, newest first."""

    entry: SinkEntry
    deliveries: Sequence[Delivery]


class Sinks:
    """Sinks and routes, by people who may manage them."""

    def __init__(
        self,
        store: DocumentStore,
        record: DeliveryRecord,
        *,
        outside: Outside,
        events: EventLog,
        clock: Clock,
        database: Database,
        server_url: str,
    ) -> None:
        self._store = store
        self._routing = Routing(store)
        self._record = record
        self._outside = outside
        self._events = events
        self._clock = clock
        self._database = database
        self._server_url = server_url

    def put(self, text: str, *, actor: str) -> SinkDocument:
        """Set all sinks and routes from YAML text. What waits for a sink that is gone is told to nobody any more.

        Raises:
            UnknownKey: a key that nobody knows.
            InvalidInput: a missing key, a wrong type, or a value out of its range.
            PermissionDenied: requests to a sink's address are not allowed.
        """
        document = parse_sinks(text, self._outside)
        names = [entry.name for entry in document.sinks]
        with self._database.transaction():
            now_ms = self._clock.now_ms()
            self._store.put(msgspec.json.encode(document).decode(), now_ms=now_ms)
            dropped = self._record.forsake(kept=names, reason="the sink was taken out of the document", now_ms=now_ms)
            self._events.record(
                MonitoringEvent.ALERT_SINKS_SET,
                actor=actor,
                subject=ref("alert-sinks", "all"),
                payload={**_shown(document), "dropped": dropped},
            )
        return document

    def get(self) -> SinkDocument:
        """Return the document in force."""
        return self._routing.read()

    def states(self) -> list[SinkState]:
        """Return every sink with its newest deliveries."""
        return [
            SinkState(entry=entry, deliveries=self._record.newest(entry.name, limit=NEWEST))
            for entry in self.get().sinks
        ]

    def deliveries(self, alerts: Collection[str]) -> Mapping[str, Sequence[Delivery]]:
        """Return the deliveries of each alert that has any, oldest first."""
        return self._record.of_alerts(alerts)

    def try_out(self, name: str) -> Trial:
        """Send a made-up alert now, and tell what became of it.

        Raises:
            NotFound: there is no such sink.
        """
        document = self.get()
        entry = document.find(name)
        if entry is None:
            known = ", ".join(sink.name for sink in document.sinks) or "none"
            raise NotFound(f"there is no sink '{name[:80]}'; known: {known}", field="sink")
        notice = Notice(
            key=new_id(),
            occasion=Occasion.FIRING,
            alerts=(example_alert(self._clock.now_ms()),),
            server_url=self._server_url,
        )
        try:
            said = open_sink(entry, self._outside).sink.send(notice)
        except FlyballError as error:
            return Trial(arrived=False, said=error.message)
        return Trial(arrived=True, said=said[:ANSWER_CHARACTERS])


def example_alert(now_ms: int) -> Alert:
    """Make an alert that nobody takes for a real one."""
    causes = (Cause(feature="example_feature", kind="missing", score=1.0, detail="this is a test of the sink"),)
    return Alert(
        id=new_id(),
        monitor="test",
        endpoint="test",
        model="test",
        version=None,
        kind=AlertKind.DATA_FAULT,
        state=AlertState.FIRING,
        start_ms=now_ms,
        end_ms=now_ms,
        causes=causes,
        report_digest=Digest("0" * 64),
        created_ms=now_ms,
        updated_ms=now_ms,
        note="test",
    )


def _shown(document: SinkDocument) -> dict[str, JsonValue]:
    """Write what the record may show: names and kinds, and of the rest the digest; an address may be a secret."""
    sinks: list[JsonValue] = [{"name": entry.name, "kind": entry.kind} for entry in document.sinks]
    return {"sinks": sinks, "routes": len(document.routes), "digest": digest_json(msgspec.to_builtins(document))}
