"""Remove whole files of the prediction log that are past their age, with the labels of their predictions; never what is in use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from flyball.artifacts.service import Artifacts
from flyball.kernel.canonical import Digest
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.events import EventLog, ref
from flyball.monitoring.compaction import Fence, merged_name
from flyball.monitoring.entities import MonitoringEvent, Segment

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What of an endpoint's log may not go: everything, event time from a moment on, spans (start, end), files or batches by digest."""

    everything: bool = False
    from_ms: int | None = None
    spans: tuple[tuple[int, int], ...] = ()
    digests: frozenset[Digest] = frozenset()

    def keeps(self, file: Sequence[Segment]) -> bool:
        """Tell whether a file has to stay."""
        first_ms, last_ms = min(one.min_ms for one in file), max(one.max_ms for one in file)
        return (
            self.everything
            or (self.from_ms is not None and last_ms >= self.from_ms)
            or any(first_ms < end_ms and last_ms >= start_ms for start_ms, end_ms in self.spans)
            or any({one.digest, one.identity} & self.digests for one in file)
        )


Holds = Callable[[str], Hold]
"""Return what of an endpoint's log may not go at present."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """A file whose rows are gone."""

    endpoint: str
    digest: Digest
    predictions: int
    labels: int


class RetentionStore(Protocol):
    """Find what is old, and remove it. Each verb joins the transaction of its thread."""

    def endpoints(self, *, before_ms: int) -> list[str]:
        """Return the endpoints with a file that `old` or `emptied` would return."""
        ...

    def old(self, endpoint: str, *, before_ms: int) -> list[Segment]:
        """Return the segments of merged files all of whose rows came, and are of event time, before a moment; in order of arrival."""
        ...

    def expire(self, endpoint: str, arrivals: Collection[int]) -> tuple[int, int]:
        """Remove the predictions of some arrivals from the index, and their labels; return how many of each."""
        ...

    def emptied(self, endpoint: str) -> list[Segment]:
        """Return the segments of merged files none of whose predictions is in the index any more."""
        ...

    def forget(self, endpoint: str, arrivals: Collection[int]) -> None:
        """Remove segments."""
        ...

    def is_named(self, digest: Digest) -> bool:
        """Tell whether a name, or a segment that is not emptied, still points at a file."""
        ...


class Retention:
    """Expire and sweep, an endpoint at a time; one process an endpoint (a lease, given as the fence).

    In one transaction a file's predictions, labels and name go, and the event is written: from then on nobody is led to it. Its bytes
    go at a later turn, because who reads a window has listed its files before. A crash between the two leaves the bytes for the next
    sweep.
    """

    def __init__(
        self,
        store: RetentionStore,
        *,
        keep_ms: int,
        holds: Holds,
        artifacts: Artifacts,
        events: EventLog,
        clock: Clock,
        database: Database,
    ) -> None:
        self._store = store
        self._keep_ms = keep_ms
        self._holds = holds
        self._artifacts = artifacts
        self._events = events
        self._clock = clock
        self._database = database

    def due(self) -> list[str]:
        """Return the endpoints that have something to remove; none where everything is kept."""
        return self._store.endpoints(before_ms=self._before_ms) if self._keep_ms else []

    def expire(self, endpoint: str, *, actor: str, fence: Fence) -> list[Expired]:
        """Remove what is past its age and not held; return which files that were."""
        if not self._keep_ms:
            return []
        files: dict[Digest, list[Segment]] = {}
        for segment in self._store.old(endpoint, before_ms=self._before_ms):
            files.setdefault(segment.digest, []).append(segment)
        hold = self._holds(endpoint) if files else Hold()
        return [
            self._expire(endpoint, digest, file, actor=actor, fence=fence)
            for digest, file in files.items()
            if not hold.keeps(file)
        ]

    def sweep(self, endpoint: str, *, fence: Fence) -> int:
        """Remove the bytes of files that nobody is led to any more; return how many files that were.

        The caller holds the lease of whoever deletes blobs.
        """
        if not self._keep_ms:
            return 0
        files: dict[Digest, list[int]] = {}
        for segment in self._store.emptied(endpoint):
            files.setdefault(segment.digest, []).append(segment.arrival)
        for digest, arrivals in files.items():
            if not self._store.is_named(digest):
                self._artifacts.blobs.delete(digest)
            with self._database.transaction():
                fence()
                self._store.forget(endpoint, arrivals)
        return len(files)

    @property
    def _before_ms(self) -> int:
        return self._clock.now_ms() - self._keep_ms

    def _expire(self, endpoint: str, digest: Digest, file: list[Segment], *, actor: str, fence: Fence) -> Expired:
        with self._database.transaction():
            fence()
            predictions, labels = self._store.expire(endpoint, [one.arrival for one in file])
            self._artifacts.remove(f"predictions/{endpoint}", merged_name(file))
            self._events.record(
                MonitoringEvent.PREDICTIONS_EXPIRED,
                actor=actor,
                subject=ref("endpoint", endpoint),
                payload={
                    "endpoint": endpoint,
                    "digest": digest,
                    "first_arrival": file[0].arrival,
                    "last_arrival": file[-1].arrival,
                    "predictions": predictions,
                    "labels": labels,
                    "min_ms": min(one.min_ms for one in file),
                    "max_ms": max(one.max_ms for one in file),
                    "keep_days": self._keep_ms // DAY_MS,
                },
            )
        return Expired(endpoint=endpoint, digest=digest, predictions=predictions, labels=labels)
