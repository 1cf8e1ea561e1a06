"""The event log: every change of state, chained by digest, written in the transaction of the change."""

from flyball.kernel.events.entities import GENESIS, Draft, Edge, Event, EventKind, Ref, Verification, ref
from flyball.kernel.events.ports import EventStore
from flyball.kernel.events.service import EventLog, export_events, parse_export, verify_chain

__all__ = [
    "GENESIS",
    "Draft",
    "Edge",
    "Event",
    "EventKind",
    "EventLog",
    "EventStore",
    "Ref",
    "Verification",
    "export_events",
    "parse_export",
    "ref",
    "verify_chain",
]
