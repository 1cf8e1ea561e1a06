"""Occupancy of a PostgreSQL database: an advisory lock that a session of its own holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from flyball.kernel.db import open_database, translate_faults
from flyball.kernel.errors import Conflict
from flyball.kernel.logs import get_logger

# Any constant serves, as long as nobody else in this database takes the same advisory lock.
USE_LOCK = 7_235_002
# A restarted PostgreSQL has forgotten its sessions; a process that shares a database comes back within this time.
LOOK_EVERY_S = 5.0
_HOLDERS = text(
    "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.classid = 0 AND l.objid = :key "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.pid <> pg_backend_pid()"
)
_log = get_logger("occupancy")


class SessionLock:
    """The advisory lock of a database. The name of a holder is that of its session."""

    def __init__(self, url: str, name: str) -> None:
        self._engine = open_database(url).engine.execution_options(isolation_level="AUTOCOMMIT")
        self._name = name

    @contextmanager
    def shared(self) -> Iterator[None]:
        ended = threading.Event()
        session = self._take("pg_try_advisory_lock_shared")
        if isinstance(session, str):
            raise Conflict(
                f"the database is in other hands: {session}; wait until that has ended", field="database_url"
            )
        keeper = threading.Thread(target=self._keep, args=(session, ended), name="occupancy", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()

    @contextmanager
    def alone(self) -> Iterator[None]:
        session = self._take("pg_try_advisory_lock")
        if isinstance(session, str):
            raise Conflict(
                f"the database must be held still, and is in use by {session}: stop that first", field="database_url"
            )
        try:
            yield
        finally:
            _close(session)

    def _take(self, function: str) -> Connection | str:
        """Return the session that holds the lock, or the names of those who hold it."""
        with translate_faults():
            session = self._engine.connect()
            session.detach()  # not the pool's any more: what is closed is closed, and its lock given back
            session.execute(text("SELECT set_config('application_name', :name, false)"), {"name": self._name[:63]})
            if session.execute(text(f"SELECT {function}(:key)"), {"key": USE_LOCK}).scalar():
                return session
            holders = [str(name) for (name,) in session.execute(_HOLDERS, {"key": USE_LOCK})]
            session.close()
        return ", ".join(holders) or "a session that ended a moment ago"

    def _keep(self, session: Connection, ended: threading.Event) -> None:
        """Hold the lock until the end; take it again when its session was broken off."""
        kept: Connection | None = session
        while not ended.wait(LOOK_EVERY_S):
            kept = kept if kept is not None and _answers(kept) else self._retake()
        if kept is not None:
            _close(kept)

    def _retake(self) -> Connection | None:
        try:
            session = self._take("pg_try_advisory_lock_shared")
        except Exception as error:  # noqa: BLE001 -- out of reach still: the process goes on and looks again
            _log.debug("occupancy_out_of_reach", error=str(error))
            return None
        if isinstance(session, str):
            _log.error("database_in_other_hands", holder=session, hint="stop this process")
            return None
        return session


def _answers(session: Connection) -> bool:
    try:
        session.execute(text("SELECT 1"))
    except DBAPIError:
        _close(session)
        return False
    return True


def _close(session: Connection) -> None:
    with suppress(DBAPIError):
        session.close()
