"""Occupancy of a SQLite database: a lock on a file beside it."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flyball.kernel.errors import Conflict

SUFFIX = ".use"
PRIVATE_FILE = 0o600
# More lines than processes that ever share one SQLite file; whoever is first empties the file again.
MOST_BYTES = 16_384


class FileLock:
    """The lock file of a database file. It holds the names of those who took it; the lock itself says whether they still have it."""

    def __init__(self, database: Path, name: str) -> None:
        self._path = database
        self._name = name

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._opened() as descriptor:
            if _try(descriptor, fcntl.LOCK_EX):
                os.ftruncate(descriptor, 0)  # nobody is here: their names are old
            if not _try(descriptor, fcntl.LOCK_SH):
                raise Conflict(
                    f"{self._path} is in other hands: {self._holders(descriptor)}; wait until that has ended",
                    field="database_url",
                )
            self._sign(descriptor)
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._opened() as descriptor:
            if not _try(descriptor, fcntl.LOCK_EX):
                raise Conflict(
                    f"{self._path} must be held still, and is in use by {self._holders(descriptor)}: stop that first",
                    field="database_url",
                )
            os.ftruncate(descriptor, 0)
            self._sign(descriptor)
            yield

    @contextmanager
    def _opened(self) -> Iterator[int]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        path = self._path.with_name(self._path.name + SUFFIX)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _sign(self, descriptor: int) -> None:
        os.write(descriptor, f"{self._name}\n".encode())  # one write: lines of several processes do not mix

    def _holders(self, descriptor: int) -> str:
        lines = os.pread(descriptor, MOST_BYTES, 0).decode(errors="replace").splitlines()
        return ", ".join(line for line in lines if _lives(line)) or "a process that did not say its name"


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(line: str) -> bool:
    found = re.search(r"\(process (\d+)\)$", line)
    if found is None:
        return False
    with suppress(ProcessLookupError, OverflowError):
        try:
            os.kill(int(found[1]), 0)
        except PermissionError:
            return True
        return True
    return False
