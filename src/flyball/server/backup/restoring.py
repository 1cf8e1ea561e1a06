"""Restore a backup: beside what is there, checked, and put in its place in one step."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from flyball.artifacts.opening import open_blob_store
from flyball.artifacts.ports import BlobStore
from flyball.governance.access import OWNER
from flyball.kernel.canonical import Digest
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database, database_file, open_database
from flyball.kernel.errors import Conflict, Corrupted, FlyballError, NotFound
from flyball.kernel.events import EventLog, ref
from flyball.kernel.events.sql import SqlEventStore
from flyball.kernel.settings import Settings
from flyball.server import migrations
from flyball.server.backup.entities import BackupEvent, Manifest
from flyball.server.backup.manifest import seal
from flyball.server.backup.ports import DATABASE, Place, StoredBackup
from flyball.server.backup.sql.restoring import fill_postgres, has_tables
from flyball.server.backup.switching import switch_in
from flyball.server.backup.verifying import copy_out, damage_of, listed_artifacts
from flyball.server.home import prepare_home
from flyball.server.occupancy import claim_database

Tell = Callable[[str], None]


def restore_backup(
    settings: Settings, place: Place, backup_id: str, *, replace: bool, damaged: bool, clock: Clock, tell: Tell
) -> Manifest:
    """Put a backup into this installation, which must be empty unless it is to be replaced.

    Artifacts come first; nothing names them until the database is switched in, which is one step. `damaged` lets through what
    is missing or broken in the backup itself; everything else must be whole.

    Raises:
        Conflict: a process works on the installation, it is not empty, or the backup is of a later release.
        Corrupted: the backup is damaged; nothing was switched in.
        StoreFull: there is no room; nothing was switched in.
    """
    prepare_home(settings)
    url = settings.resolved_database_url
    with claim_database(url, process="flyball backup restore"), place.open(backup_id) as backup:
        _refuse_unknown_revision(backup.manifest)
        if not replace:
            _refuse_full(url)
        with _scratch(url) as scratch:
            database = scratch / DATABASE
            copy_out(backup, DATABASE, backup.manifest.database, database)
            _weigh(list(_faults(database, backup.manifest, clock)), damaged=damaged)
            _weigh(_put_artifacts(backup, open_blob_store(settings)), damaged=damaged)
            tell("switching in")
            _switch(url, database, backup.manifest, clock, replace=replace, tell=tell)
    return backup.manifest


def _refuse_unknown_revision(manifest: Manifest) -> None:
    if manifest.revision not in migrations.revisions():
        raise Conflict(
            f"the backup's schema ({manifest.revision}) is newer than this release: install flyball {manifest.release} or later"
        )


def _refuse_full(url: str) -> None:
    file = database_file(url)
    if (file is None or file.exists()) and has_tables(url):
        raise Conflict(
            "there is a database already; to put the backup in its place, say --replace (what was there is kept beside it "
            "on SQLite, and lost on PostgreSQL)",
            field="replace",
        )


@contextmanager
def _scratch(url: str) -> Iterator[Path]:
    """Lend a folder on the file system of the database file, so that the switch is a rename."""
    file = database_file(url)
    if file is None:
        with TemporaryDirectory(prefix="flyball-restore-") as folder:
            yield Path(folder)
        return
    prefix = f".{file.name}.restoring-"
    for left in file.parent.glob(f"{prefix}*"):
        shutil.rmtree(left)  # of a restore that was killed; the database is ours alone
    with TemporaryDirectory(prefix=prefix, dir=file.parent) as folder:
        yield Path(folder)


def _faults(database: Path, manifest: Manifest, clock: Clock) -> Iterator[str]:
    yield from damage_of(database, manifest, clock)
    if manifest.artifacts is not None:
        yield from (f"artifact {digest} was missing when the backup was made" for digest in manifest.artifacts.missing)


def _weigh(faults: list[str], *, damaged: bool) -> None:
    if faults and not damaged:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""  # noqa: PLR2004 -- as many as are shown
        raise Corrupted(
            f"the backup is damaged: {'; '.join(faults[:3])}{more}. Restore another one, or take this one as it is with --damaged"
        )


def _put_artifacts(backup: StoredBackup, store: BlobStore) -> list[str]:
    """Put every artifact into the store, where it is not there whole; return those that the backup has not whole either."""
    faults = []
    for digest, _size_bytes in listed_artifacts(backup):
        if not _has_whole(store, digest):
            try:
                store.put(backup.read_blob(digest))
            except (Corrupted, NotFound):
                faults.append(f"artifact {digest} is damaged or missing")
    return faults


def _has_whole(store: BlobStore, digest: Digest) -> bool:
    try:
        for _chunk in store.open(digest):
            pass
    except FlyballError:
        return False
    return True


def _switch(url: str, snapshot: Path, manifest: Manifest, clock: Clock, *, replace: bool, tell: Tell) -> None:
    def record(database: Database) -> None:
        _record(database, manifest, clock)

    file = database_file(url)
    if file is None:
        with closing(open_database(url)) as target:
            fill_postgres(target, snapshot, manifest, replace=replace, finish=record)
        return
    with closing(open_database(f"sqlite:///{snapshot}")) as restored:
        record(restored)
    kept = switch_in(snapshot, file, now_ms=clock.now_ms())
    if kept is not None:
        tell(f"what was there before is kept as {kept}")


def _record(database: Database, manifest: Manifest, clock: Clock) -> None:
    EventLog(SqlEventStore(database), clock).record(
        BackupEvent.DATABASE_RESTORED,
        actor=OWNER,
        subject=ref("database", "main"),
        payload={
            "backup": manifest.id,
            "created_ms": manifest.created_ms,
            "revision": manifest.revision,
            "events": manifest.chain.count,
            "head": manifest.chain.head,
            "manifest": seal(manifest),
        },
    )
