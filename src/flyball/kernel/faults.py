"""Faults of the database drivers, told apart and said in our words; the one place that knows their codes."""

from __future__ import annotations

import sqlite3

from flyball.kernel.errors import Corrupted, FlyballError, StoreFull, Unavailable

# A file that cannot grow: the write itself, the sync that finds no block for it, and the index of the write-ahead log.
_SQLITE_FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_SHMSIZE")
_SQLITE_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")
_SQLITE_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_SQLITE_UNREACHABLE = ("SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_PERM")
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRES_FULL = ("53100",)
# Of what keeps a table from growing, the server knows ENOSPC by a code; a quota or a limit of a file is an internal error to
# it. Its messages are translated, the names of its functions are not.
_POSTGRES_GROWING = ("XX000", ("mdextend", "mdextendv", "mdzeroextend"))
_POSTGRES_BUSY = ("40001", "40P01", "55P03")
_POSTGRES_DAMAGED = ("XX001", "XX002")
_POSTGRES_UNREACHABLE = ("08", "57P", "53300", "58030")


def fault_of(error: BaseException | None) -> FlyballError | None:
    """Return a new error of ours for a driver's error, None where it is no fault of the store (a broken constraint, ...).

    SQLAlchemy wraps a driver's error, and keeps it as `orig`.
    """
    driver_error = getattr(error, "orig", None) or error
    if isinstance(driver_error, sqlite3.Error):
        return _sqlite_fault(driver_error)
    if isinstance(driver_error, Exception) and hasattr(driver_error, "sqlstate"):
        return _postgres_fault(driver_error)
    return None


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether another connection holds a lock on the SQLite file."""
    return (getattr(error, "sqlite_errorname", "") or "").startswith(_SQLITE_BUSY)


def _sqlite_fault(error: sqlite3.Error) -> FlyballError | None:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(_SQLITE_FULL):
        return _full()
    if is_busy(error):
        return _busy()
    if name.startswith(_SQLITE_DAMAGED):
        return _damaged(error)
    if name.startswith(_SQLITE_UNREACHABLE):
        return _unreachable(error)
    return None


def _postgres_fault(error: BaseException) -> FlyballError | None:
    state = getattr(error, "sqlstate", None)
    if state is None:  # said by the client library, not by the server: the connection could not be made, or broke
        return _unreachable(error) if type(error).__name__ == "OperationalError" else None
    if state.startswith(_POSTGRES_FULL) or _cannot_grow(error, state):
        return _full()
    if state.startswith(_POSTGRES_BUSY):
        return _busy()
    if state.startswith(_POSTGRES_DAMAGED):
        return _damaged(error)
    return _unreachable(error) if state.startswith(_POSTGRES_UNREACHABLE) else None


def _cannot_grow(error: BaseException, state: str) -> bool:
    internal, growing = _POSTGRES_GROWING
    return state == internal and getattr(getattr(error, "diag", None), "source_function", None) in growing


def _full() -> FlyballError:
    return StoreFull("the database's disk is full or fails; nothing of this change was kept: free space and repeat it")


def _busy() -> FlyballError:
    return Unavailable("the database is locked by another change; nothing of this one was kept: repeat the call")


def _damaged(error: BaseException) -> FlyballError:
    return Corrupted(f"the database is damaged ({error}); restore it from a backup")


def _unreachable(error: BaseException) -> FlyballError:
    reason = str(error).strip().splitlines()
    return Unavailable(
        f"the database is out of reach ({reason[0] if reason else error!r}); look after it, then repeat the call"
    )
