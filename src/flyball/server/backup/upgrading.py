"""Upgrade the schema of an installation: alone on the database, with a backup taken first, in one transaction with its event."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from flyball.governance.access import OWNER
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database, open_database
from flyball.kernel.events import EventLog, ref
from flyball.kernel.events.sql import SqlEventStore
from flyball.kernel.settings import Settings
from flyball.server import migrations
from flyball.server.backup.creating import back_up_database
from flyball.server.backup.entities import BackupEvent
from flyball.server.backup.folder import FolderPlace
from flyball.server.backup.sql.snapshot import joined
from flyball.server.home import prepare_home
from flyball.server.occupancy import claim_database

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgraded:
    """From which revision to which; `backup` is empty where there was nothing to back up."""

    before: str | None
    after: str
    backup: str = ""


def upgrade_database(settings: Settings, folder: Path, *, clock: Clock, tell: Tell) -> Upgraded:
    """Bring the schema to the newest revision; make it where there is none.

    A crash leaves the old schema, or the new one: call it again.

    Raises:
        Conflict: a process works on the database, it is of a later release, or the tables are another program's.
        StoreFull: there is no room for the backup; nothing was changed.
    """
    prepare_home(settings)
    url = settings.resolved_database_url
    with claim_database(url, process="flyball db upgrade"), closing(open_database(url)) as database:
        migrations.refuse_unfinished(database)
        before, newest = migrations.current(database), migrations.newest()
        if before is None:
            migrations.upgrade(database)
            return Upgraded(before=None, after=newest)
        if before not in migrations.revisions()[:-1]:
            migrations.require_newest(database)
            return Upgraded(before=before, after=before)
        manifest = back_up_database(settings, FolderPlace(folder), clock=clock)
        tell(f"backed up as {manifest.id} in {folder}")
        done = Upgraded(before=before, after=newest, backup=manifest.id)
        migrations.upgrade(database, finish=lambda connection: _record(joined(connection), done, clock))
    return done


def _record(database: Database, done: Upgraded, clock: Clock) -> None:
    EventLog(SqlEventStore(database), clock).record(
        BackupEvent.DATABASE_UPGRADED,
        actor=OWNER,
        subject=ref("database", "main"),
        payload={"from": done.before, "to": done.after, "backup": done.backup},
    )
