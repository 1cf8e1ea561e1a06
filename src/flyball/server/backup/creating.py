"""Make a backup: one state of the database and every artifact it can need, while the installation works on."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import flyball
from flyball.artifacts.opening import open_blob_store
from flyball.artifacts.ports import DELETION, BlobStore
from flyball.artifacts.scratch import disk_faults
from flyball.artifacts.streams import read_chunks
from flyball.governance.access import OWNER
from flyball.kernel.canonical import Digest
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database, open_database
from flyball.kernel.errors import Conflict, Corrupted, LeaseLost, NotFound
from flyball.kernel.events import EventLog, ref
from flyball.kernel.events.sql import SqlEventStore
from flyball.kernel.leases import Lease
from flyball.kernel.leases.holding import Holdings
from flyball.kernel.leases.sql import SqlLeaseStore
from flyball.kernel.settings import Settings
from flyball.server import migrations
from flyball.server.backup.checksums import TableSum, sum_tables
from flyball.server.backup.entities import FORMAT, ArtifactSum, BackupEvent, ChainSum, FileSum, Manifest
from flyball.server.backup.manifest import seal
from flyball.server.backup.ports import ARTIFACTS, DATABASE, Draft, Place
from flyball.server.backup.sql.names import named_digests
from flyball.server.backup.sql.snapshot import open_frozen, open_frozen_side, take_snapshot

# Renewed all the time; short, because the lease of a backup that was killed keeps the next one waiting.
HOLD_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a snapshot says of itself."""

    revision: str
    tables: Mapping[str, TableSum]
    chain: ChainSum
    named: frozenset[Digest]


def create_backup(settings: Settings, place: Place, *, clock: Clock) -> Manifest:
    """Back up database and artifacts as one point. What was acknowledged before the call is in it, and nothing half-done.

    Artifacts are written before the rows that name them and never change, so all that the snapshot names is in the store
    when it has been taken; while they are copied, nothing may be deleted.

    Raises:
        Conflict: another backup is being written there, or artifacts are being deleted at this moment.
        StoreFull: the place is full; nothing is left there that could be taken for a backup.
    """
    with closing(open_database(settings.resolved_database_url)) as database:
        migrations.require_newest(database)
        with _no_deletion(database, clock) as still_held:
            manifest = _create(settings, place, open_blob_store(settings), clock, finish=still_held)
        _record(database, manifest, clock)
    return manifest


def back_up_database(settings: Settings, place: Place, *, clock: Clock) -> Manifest:
    """Back up the database alone, at whatever revision it is; its artifacts stay where they are."""
    return _create(settings, place, None, clock, finish=lambda: None)


def _create(
    settings: Settings, place: Place, store: BlobStore | None, clock: Clock, *, finish: Callable[[], None]
) -> Manifest:
    created_ms = clock.now_ms()
    backup_id = _new_id(created_ms)
    # Beside the backups where there is a folder for them, so that the snapshot needs no room elsewhere.
    with place.draft(backup_id) as draft, TemporaryDirectory(prefix="flyball-backup-", dir=place.scratch) as scratch:
        database, listed = Path(scratch) / DATABASE, Path(scratch) / ARTIFACTS
        take_snapshot(settings.resolved_database_url, database)
        found = _look_into(database, clock)
        artifacts = None if store is None else _copy_artifacts(draft, store, found.named, listed)
        manifest = Manifest(
            format=FORMAT,
            id=backup_id,
            created_ms=created_ms,
            release=flyball.__version__,
            revision=found.revision,
            database=sum_file(database),
            tables=found.tables,
            chain=found.chain,
            artifacts=artifacts,
        )
        finish()
        draft.commit(manifest, database=database, artifacts=None if store is None else listed)
    return manifest


def _look_into(snapshot: Path, clock: Clock) -> _Found:
    with open_frozen_side(snapshot) as side:
        revision = side.revision()
        if revision is None:
            raise Conflict("the database has no schema of ours; there is nothing to back up", field="database")
        tables, named = sum_tables(side), frozenset(named_digests(side))
    return _Found(revision=revision, tables=tables, chain=sum_chain(snapshot, clock), named=named)


def sum_chain(snapshot: Path, clock: Clock) -> ChainSum:
    """Check the chain of events in a snapshot."""
    with open_frozen(snapshot) as database:
        checked = EventLog(SqlEventStore(database), clock).verify()
    reason = "" if checked.intact else f"entry {checked.first_bad}: {checked.reason}"
    return ChainSum(intact=checked.intact, count=checked.count, head=checked.head, reason=reason)


def _copy_artifacts(draft: Draft, store: BlobStore, named: frozenset[Digest], listed: Path) -> ArtifactSum:
    """Copy every artifact of the store, for one may name another; and say which of those named by rows are not whole."""
    missing = set(named)
    count = size_bytes = 0
    with disk_faults(), listed.open("w", encoding="ascii") as lines:
        for digest in sorted(store.digests()):
            try:
                blob = draft.add_blob(digest, store)
            except (NotFound, Corrupted):
                missing.add(digest)
                continue
            missing.discard(digest)
            lines.write(f"{digest} {blob.size_bytes}\n")
            count, size_bytes = count + 1, size_bytes + blob.size_bytes
    return ArtifactSum(list=sum_file(listed), count=count, size_bytes=size_bytes, missing=tuple(sorted(missing)))


def read_listed(lines: Iterable[bytes]) -> Iterator[tuple[Digest, int]]:
    """Read the list of artifacts: (digest, size in bytes)."""
    for line in b"".join(lines).decode("ascii").splitlines():
        digest, _, size_bytes = line.partition(" ")
        yield Digest(digest), int(size_bytes)


def sum_file(path: Path) -> FileSum:
    """Sum up a file."""
    tally = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in read_chunks(file):
            tally.update(chunk)
    return FileSum(size_bytes=path.stat().st_size, digest=Digest(tally.hexdigest()))


@contextmanager
def _no_deletion(database: Database, clock: Clock) -> Iterator[Callable[[], None]]:
    """Hold the deletion of artifacts off; lend a check that it was held off all the time."""
    holder = f"backup:{socket.gethostname()}:{os.getpid()}"
    with closing(Holdings(SqlLeaseStore(database, clock), holder=holder, ttl_ms=HOLD_MS)) as holdings:
        lease = _take(holdings)

        def still_held() -> None:
            now = holdings.take(DELETION)
            if now is None or now.token != lease.token:
                raise LeaseLost(
                    f"this process stood still for longer than {HOLD_MS} ms, and artifacts may have been deleted meanwhile: "
                    "repeat the backup",
                    field=DELETION,
                )

        yield still_held


def _take(holdings: Holdings) -> Lease:
    # As long as the lease of a backup that was killed a moment ago may live.
    deadline = time.monotonic() + 2 * HOLD_MS / 1000
    while (lease := holdings.take(DELETION)) is None:
        if time.monotonic() > deadline:
            raise Conflict(
                "artifacts are being deleted, or another backup is being made, at this moment: repeat the call",
                field=DELETION,
            )
        time.sleep(0.2)
    return lease


def _record(database: Database, manifest: Manifest, clock: Clock) -> None:
    artifacts = manifest.artifacts.count if manifest.artifacts is not None else None
    EventLog(SqlEventStore(database), clock).record(
        BackupEvent.BACKUP_CREATED,
        actor=OWNER,
        subject=ref("backup", manifest.id),
        payload={
            "revision": manifest.revision,
            "events": manifest.chain.count,
            "head": manifest.chain.head,
            "artifacts": artifacts,
            "manifest": seal(manifest),
        },
    )


def _new_id(now_ms: int) -> str:
    """Name a backup by its moment, so that names sort by time, with a few random digits behind.

    >>> _new_id(0)[:19]
    '19700101T000000.000'
    """
    moment = datetime.fromtimestamp(now_ms / 1000, tz=UTC)
    return f"{moment:%Y%m%dT%H%M%S}.{now_ms % 1000:03}Z-{secrets.token_hex(3)}"
