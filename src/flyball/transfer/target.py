"""Where an import writes: the stores of this installation, which share one database and its transactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flyball.artifacts import Artifacts
from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.events import Edge, EventLog, Ref
from flyball.registry import RegistryStores
from flyball.tracking.ports import TrackingStores
from flyball.transfer.events import TransferEvent
from flyball.transfer.ports import ImportStore
from flyball.transfer.sql.imports import SqlFinish


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The stores, and in whose name they are written."""

    database: Database
    tracking: TrackingStores
    registry: RegistryStores
    artifacts: Artifacts
    events: EventLog
    imports: ImportStore
    finish: SqlFinish
    clock: Clock
    actor: str

    def record(
        self, kind: TransferEvent, subject: Ref, payload: Mapping[str, JsonValue], *, edges: Iterable[Edge] = ()
    ) -> None:
        """Append an event in the transaction of the change."""
        self.events.record(kind, actor=self.actor, subject=subject, payload=payload, edges=edges)
