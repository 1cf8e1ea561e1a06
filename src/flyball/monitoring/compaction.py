"""Merge the small segments of an hour into one Parquet file, and free what they were once nobody can be reading it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flyball.artifacts.service import Artifacts
from flyball.kernel.canonical import Digest, digest_json
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.events import EventLog, ref
from flyball.monitoring.entities import MonitoringEvent, Segment
from flyball.monitoring.ports import SegmentStore

HOUR_MS = 3_600_000
# A batch of an hour may still be on its way when the hour is over.
SETTLED_MS = 10 * 60_000
# Who reads a window has listed its segments before; an hour is far longer than any reading takes.
FREED_AFTER_MS = HOUR_MS
# One file: about a gigabyte of thirty features, which a laptop still reads.
MOST_ROWS = 2_000_000
ROW_GROUP_ROWS = 65_536
_CHUNK = 1 << 20

Fence = Callable[[], None]
"""Raises, inside the transaction that is about to write, when the caller may not write any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A file that was made of segments."""

    endpoint: str
    digest: Digest
    segment_count: int
    row_count: int


class Compaction:
    """Merge and free, an endpoint at a time; one process an endpoint (a lease, given as the fence).

    The order is: bytes, then in one transaction name, segments and event, then (an hour later) the bytes that were merged. A crash
    between any two leaves a log that reads as before.
    """

    def __init__(
        self, segments: SegmentStore, *, artifacts: Artifacts, events: EventLog, clock: Clock, database: Database
    ) -> None:
        self._segments = segments
        self._artifacts = artifacts
        self._events = events
        self._clock = clock
        self._database = database

    def due(self) -> list[str]:
        """Return the endpoints that have segments to merge or bytes to free."""
        now_ms = self._clock.now_ms()
        return self._segments.endpoints(loose_before_ms=_settled(now_ms), merged_before_ms=now_ms - FREED_AFTER_MS)

    def merge(self, endpoint: str, *, actor: str, fence: Fence) -> list[Merged]:
        """Merge what lies in hours that are over; return the files that were made."""
        loose = self._segments.loose(endpoint, before_ms=_settled(self._clock.now_ms()))
        return [
            self._merge(group, actor=actor, fence=fence) for group in _groups(loose) for group in self._alike(group)
        ]

    def free(self, endpoint: str, *, fence: Fence) -> int:
        """Remove bytes that were merged an hour ago and that nothing else names; return how many files that were.

        The caller holds the lease of whoever deletes blobs.
        """
        now_ms, freed = self._clock.now_ms(), 0
        for segment in self._segments.merged(endpoint, before_ms=now_ms - FREED_AFTER_MS):
            if not self._segments.is_named(segment.identity):
                self._artifacts.blobs.delete(segment.identity)
                freed += 1
            with self._database.transaction():
                fence()
                self._segments.free(endpoint, segment.arrival, now_ms=now_ms)
        return freed

    def _alike(self, group: Sequence[Segment]) -> Iterator[list[Segment]]:
        """Split where the columns change: a file has one schema, and no value is converted to fit it."""
        held: list[Segment] = []
        known: pa.Schema | None = None
        for segment in group:
            with self._artifacts.blobs.fetch(segment.digest) as path:
                schema = pq.read_schema(path)
            if held and schema != known:
                yield held
                held = []
            held.append(segment)
            known = schema
        if held:
            yield held

    def _merge(self, group: Sequence[Segment], *, actor: str, fence: Fence) -> Merged:
        endpoint, first, last = group[0].endpoint, group[0].arrival, group[-1].arrival
        root, now_ms = f"predictions/{endpoint}", self._clock.now_ms()
        rows = sum(segment.row_count for segment in group)
        with tempfile.TemporaryDirectory(prefix="flyball-merge-") as folder:
            path = Path(folder) / "merged.parquet"
            self._write(group, path)
            blob = self._artifacts.blobs.put(_chunks(path))
        with self._database.transaction():
            fence()
            for segment in group:
                self._artifacts.remove(root, f"{segment.arrival:012d}.parquet")
            self._artifacts.bind(root, merged_name(group), blob=blob)
            self._segments.merge(endpoint, [segment.arrival for segment in group], digest=blob.digest, now_ms=now_ms)
            self._events.record(
                MonitoringEvent.PREDICTIONS_MERGED,
                actor=actor,
                subject=ref("endpoint", endpoint),
                payload={
                    "endpoint": endpoint,
                    "first_arrival": first,
                    "last_arrival": last,
                    "segments": len(group),
                    "rows": rows,
                    "digest": blob.digest,
                    "sources": digest_json([segment.digest for segment in group]),
                },
            )
        return Merged(endpoint=endpoint, digest=blob.digest, segment_count=len(group), row_count=rows)

    def _write(self, group: Sequence[Segment], path: Path) -> None:
        with self._artifacts.blobs.fetch(group[0].digest) as first:
            schema = pq.read_schema(first)
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            held: list[pa.Table] = []
            for segment in group:
                with self._artifacts.blobs.fetch(segment.digest) as source:
                    held.append(pq.read_table(source, partitioning=None))
                if sum(table.num_rows for table in held) >= ROW_GROUP_ROWS:
                    writer.write_table(pa.concat_tables(held))
                    held = []
            if held:
                writer.write_table(pa.concat_tables(held))


def _settled(now_ms: int) -> int:
    """Return the end of the newest hour whose segments are all there."""
    return (now_ms - SETTLED_MS) // HOUR_MS * HOUR_MS


def _groups(loose: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Put neighbours of one hour together, as many as one file may hold."""
    held: list[Segment] = []
    rows = 0
    for segment in loose:
        new_hour = held and segment.created_ms // HOUR_MS != held[-1].created_ms // HOUR_MS
        if held and (new_hour or rows + segment.row_count > MOST_ROWS):
            yield held
            held, rows = [], 0
        held.append(segment)
        rows += segment.row_count
    if held:
        yield held


def merged_name(group: Sequence[Segment]) -> str:
    """Return the name of the file that holds the rows of segments, in order of arrival."""
    return f"{_day(group[0])}/{group[0].arrival:012d}-{group[-1].arrival:012d}.parquet"


def _day(segment: Segment) -> str:
    return datetime.fromtimestamp(segment.created_ms / 1_000, tz=UTC).strftime("%Y-%m-%d")


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
