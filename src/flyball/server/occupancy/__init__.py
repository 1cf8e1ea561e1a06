"""Who works on a database: processes share it, and whoever moves, restores or upgrades it has it alone.

This is a lease that nobody has to wait out: the operating system (SQLite: a lock on a file) or PostgreSQL (an advisory lock of a
session) takes it back at the moment its holder ends, however that ends.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

from flyball.kernel.db import database_file
from flyball.server.occupancy.files import FileLock
from flyball.server.occupancy.sql import SessionLock

__all__ = ["claim_database", "share_database"]


def share_database(url: str, *, process: str) -> AbstractContextManager[None]:
    """Work on a database beside others, under a name that those are told who want it alone.

    Raises:
        Conflict: somebody has it alone; the message says who.
    """
    return _lock(url, process).shared()


def claim_database(url: str, *, process: str) -> AbstractContextManager[None]:
    """Have a database alone.

    Raises:
        Conflict: others work on it; the message names them.
    """
    return _lock(url, process).alone()


def _lock(url: str, process: str) -> FileLock | SessionLock:
    name = f"{process} (process {os.getpid()})"
    file = database_file(url)
    return SessionLock(url, name) if file is None else FileLock(file, name)
