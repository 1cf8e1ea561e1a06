"""The record of imports on a database, and the few rows that no verb of the other rooms writes."""

from __future__ import annotations

from sqlalchemy import and_, delete, exists, func, insert, select, text, update

from flyball.kernel.db import Database
from flyball.registry.tables import version_counters
from flyball.tracking.tables import experiments
from flyball.transfer.entities import Imported, Kind
from flyball.transfer.tables import imported_things as things


class SqlImportStore:
    """One row a thing and source."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, source: str, kind: Kind, source_key: str) -> Imported | None:
        mine = and_(things.c.source == source, things.c.kind == kind, things.c.source_key == source_key)
        with self._database.read() as connection:
            row = connection.execute(select(things).where(mine)).first()
        if row is None:
            return None
        return Imported(
            source=row.source,
            kind=Kind(row.kind),
            source_key=row.source_key,
            target_key=row.target_key,
            digest=row.digest,
            complete=row.complete,
        )

    def same(self, kind: Kind, target_key: str, digest: str) -> bool:
        like = and_(things.c.kind == kind, things.c.target_key == target_key, things.c.digest == digest)
        with self._database.read() as connection:
            return bool(connection.execute(select(exists().where(like, things.c.complete))).scalar())

    def put(self, imported: Imported) -> None:
        mine = and_(
            things.c.source == imported.source,
            things.c.kind == imported.kind,
            things.c.source_key == imported.source_key,
        )
        row = {
            "source": imported.source,
            "kind": imported.kind,
            "source_key": imported.source_key,
            "target_key": imported.target_key,
            "digest": imported.digest,
            "complete": imported.complete,
        }
        with self._database.transaction() as connection:
            connection.execute(delete(things).where(mine))
            connection.execute(insert(things), row)


class SqlFinish:
    """What an import adjusts after the stores of the rooms have written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve_numbers(self, name: str, last: int) -> None:
        """See to it that no version number up to `last` is given out again."""
        mine = and_(version_counters.c.name == name, version_counters.c.last < last)
        with self._database.transaction() as connection:
            connection.execute(update(version_counters).where(mine).values(last=last))

    def move_experiment_counter(self) -> None:
        """Let PostgreSQL count on from the highest id; SQLite does so by itself."""
        if self._database.dialect != "postgresql":
            return
        with self._database.transaction() as connection:
            highest = connection.execute(select(func.max(experiments.c.experiment_id))).scalar() or 0
            sequence = text("SELECT setval(pg_get_serial_sequence('experiments', 'experiment_id'), :last)")
            connection.execute(sequence, {"last": max(1, int(highest))})
