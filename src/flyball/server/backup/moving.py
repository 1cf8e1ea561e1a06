"""Move a whole database into another one, of another kind or not: resumed after a crash, and proved equal at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

from flyball.governance.access import OWNER
from flyball.kernel.canonical import JsonValue, digest_json
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database, database_file, open_database
from flyball.kernel.errors import Conflict, Corrupted, InvalidInput, NotFound
from flyball.kernel.events import EventLog, ref
from flyball.kernel.events.sql import SqlEventStore
from flyball.server import migrations
from flyball.server.backup.checksums import TableSum, sum_rows
from flyball.server.backup.copying import copy_rows_in_steps, refuse_rows
from flyball.server.backup.entities import BackupEvent
from flyball.server.backup.sql.progress import Progress, end_move
from flyball.server.backup.sql.side import Side, describe_url, open_side
from flyball.server.occupancy import claim_database

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What was moved, and proved to be the same on both sides."""

    tables: Mapping[str, TableSum]
    events: int

    @property
    def rows(self) -> int:
        """The rows of all tables."""
        return sum(each.rows for each in self.tables.values())


def move_database(source_url: str, target_url: str, *, clock: Clock, tell: Tell) -> Moved:
    """Copy every table under the same ids, compare both sides, check the chain of events, and only then let the target be used.

    Both databases are held alone, so that the source stands still. The source is left as it was. A move that was broken
    off goes on where it was when it is called again.

    Raises:
        Conflict: a process works on one of them, the target is not empty, or the source is of another release.
        Corrupted: the sides differ, or the chain is broken; the target stays unfinished.
        NotFound: there is no source.
    """
    origin = describe_url(source_url)
    if origin == describe_url(target_url):
        raise InvalidInput("the source and the target are the same database", field="to")
    with (
        claim_database(_existing(source_url), process="flyball db move"),
        claim_database(target_url, process="flyball db move"),
    ):
        with closing(open_database(source_url)) as database:
            migrations.require_newest(database)
        with closing(open_database(target_url)) as target:
            _prepare(target)
            moved = _move(source_url, target_url, origin, tell)
            return _finish(target, moved, clock, origin=origin)


def _existing(url: str) -> str:
    file = database_file(url)
    if file is not None and not file.is_file():
        raise NotFound(f"there is no database {file}", field="from")
    return url


def _prepare(target: Database) -> None:
    if migrations.current(target) is None:
        migrations.upgrade(target)
    elif migrations.current(target) != migrations.newest():
        raise Conflict("the target has the schema of another release; name an empty database", field="to")


def _move(source_url: str, target_url: str, origin: str, tell: Tell) -> Mapping[str, TableSum]:
    with open_side(source_url) as source, open_side(target_url) as target:
        progress = Progress(target)
        with target.transaction():
            resumed = progress.exists()
            if resumed:
                progress.resume(origin)
            else:
                refuse_rows(target)
                progress.begin(origin)
        tell("going on where an interrupted move ended" if resumed else "copying")
        with source.snapshot():
            copy_rows_in_steps(source, target, progress)
            tell("comparing")
            return _compare(source, target)


def _compare(source: Side, target: Side) -> Mapping[str, TableSum]:
    found: dict[str, TableSum] = {}
    theirs = {table.name: table for table in target.tables()}
    for table in source.tables():
        found[table.name] = sum_rows(source.blocks(table))
        with target.snapshot():
            kept = sum_rows(target.blocks(theirs[table.name]))
        if kept != found[table.name]:
            raise Corrupted(
                f"table '{table.name}' differs: {found[table.name].rows} rows with checksum {found[table.name].digest} in the "
                f"source, {kept.rows} with {kept.digest} in the target. The source was changed while the move was interrupted, "
                "or the target by somebody else: empty the target and move again"
            )
    return found


def _finish(target: Database, tables: Mapping[str, TableSum], clock: Clock, *, origin: str) -> Moved:
    events = EventLog(SqlEventStore(target), clock)
    checked = events.verify()
    if not checked.intact:
        raise Corrupted(
            f"the chain of events is broken at entry {checked.first_bad}, in the source as well: {checked.reason}; "
            "the target stays unfinished: restore the source from a backup, then move"
        )
    moved = Moved(tables=tables, events=checked.count)
    sums: dict[str, JsonValue] = {name: [each.rows, each.digest] for name, each in tables.items()}
    with target.transaction() as connection:
        end_move(connection)
        events.record(
            BackupEvent.DATABASE_MOVED,
            actor=OWNER,
            subject=ref("database", "main"),
            payload={
                "from": origin,
                "to": target.dialect,
                "tables": len(tables),
                "rows": moved.rows,
                "digest": digest_json(sums),
            },
        )
    return moved
