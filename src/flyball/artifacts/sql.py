"""Names on a database."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, or_, select, text
from sqlalchemy.dialects import postgresql, sqlite

from flyball.artifacts.entities import Blob, Entry
from flyball.artifacts.paths import direct_children, file_and_folder, folders_of
from flyball.artifacts.tables import artifact_names as names
from flyball.kernel.canonical import Digest
from flyball.kernel.db import Database

# First half of PostgreSQL's two-part advisory lock; the second half is the hash of the root.
NAMES_LOCK = 7_235
# The code point after '/': what lies below a folder is the range from 'folder/' to 'folder0'.
AFTER_SLASH = chr(ord("/") + 1)


class SqlNameStore:
    """One row a file; a folder is a range of paths."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def bind(self, root: str, path: str, *, blob: Blob) -> Entry:
        with self._database.transaction() as connection:
            self._lock_root(connection, root)
            clash = connection.execute(select(names.c.path).where(_clashes(root, path)).limit(1)).scalar()
            if clash is not None:
                raise file_and_folder(path, clash=clash)
            self._upsert(connection, {"root": root, "path": path, "digest": blob.digest, "size_bytes": blob.size_bytes})
        return Entry.of_file(path, blob)

    def find(self, root: str, path: str) -> Entry | None:
        with self._database.read() as connection:
            row = connection.execute(select(names).where(_is(root, path))).first()
        return _entry(row) if row else None

    def walk(self, root: str, folder: str) -> list[Entry]:
        query = select(names).where(_below(root, folder)).order_by(names.c.path)
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def remove(self, root: str, path: str) -> int:
        with self._database.transaction() as connection:
            done = connection.execute(delete(names).where(or_(_is(root, path), _below(root, path))))
            return done.rowcount

    def list(self, root: str, folder: str) -> list[Entry]:
        return direct_children(self.walk(root, folder), folder=folder)

    def _lock_root(self, connection: Connection, root: str) -> None:
        # Two writers could otherwise make 'a' a file and a folder at once. SQLite has one writer at a time anyway.
        if self._database.dialect == "postgresql":
            statement = text("SELECT pg_advisory_xact_lock(:space, hashtext(:root))")
            connection.execute(statement, {"space": NAMES_LOCK, "root": root})

    def _upsert(self, connection: Connection, row: dict[str, object]) -> None:
        insert = postgresql.insert if self._database.dialect == "postgresql" else sqlite.insert
        statement = insert(names).values(row)
        new = {"digest": statement.excluded.digest, "size_bytes": statement.excluded.size_bytes}
        connection.execute(statement.on_conflict_do_update(index_elements=["root", "path"], set_=new))


def _is(root: str, path: str) -> ColumnElement[bool]:
    return and_(names.c.root == root, names.c.path == path)


def _below(root: str, folder: str) -> ColumnElement[bool]:
    if not folder:
        return names.c.root == root
    return and_(names.c.root == root, names.c.path > f"{folder}/", names.c.path < f"{folder}{AFTER_SLASH}")


def _clashes(root: str, path: str) -> ColumnElement[bool]:
    is_a_folder_of_it = and_(names.c.root == root, names.c.path.in_(folders_of(path)))
    return or_(is_a_folder_of_it, _below(root, path))


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    return Entry.of_file(row.path, Blob(digest=Digest(row.digest), size_bytes=row.size_bytes))
