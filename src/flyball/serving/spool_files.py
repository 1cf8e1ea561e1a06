"""The folder in which captured predictions wait: whole files only, written and synced before they have their name."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from pathlib import Path
from typing import IO

import pyarrow as pa

from flyball.kernel.errors import Conflict
from flyball.kernel.ids import new_id

SUFFIX = ".arrow"
REFUSED = ".refused"
PART = ".part"


class SpoolFolder:
    """Arrow IPC files in the order of writing. One process a folder, for as long as this lives.

    Raises:
        Conflict: another process uses the folder.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock_file = _lock(path)
        for unfinished in path.glob(f"*{PART}"):
            unfinished.unlink()
        self._guard = threading.Lock()
        self._bytes = sum(file.stat().st_size for file in self.files())

    def files(self) -> list[Path]:
        """Return the files that wait, oldest first."""
        return sorted(self.path.glob(f"*{SUFFIX}"))

    @property
    def size_bytes(self) -> int:
        """The bytes of the files that wait."""
        return self._bytes

    def lag_s(self) -> float:
        """Return how long the oldest file has waited; 0 when there is none."""
        for oldest in self.files():
            with contextlib.suppress(FileNotFoundError):  # it was shipped meanwhile
                return max(0.0, time.time() - oldest.stat().st_mtime)
        return 0.0

    def write(self, table: pa.Table) -> None:
        """Write a file; when this returns, it survives a loss of power.

        Raises:
            OSError: there is no room, or the disk fails; nothing is left.
        """
        self._count(write_file(self.path / f"{new_id()}{SUFFIX}", table))

    def remove(self, path: Path) -> None:
        """Remove a file that was shipped."""
        self._count(-path.stat().st_size)
        path.unlink()

    def set_aside(self, path: Path) -> None:
        """Take a file out of the order, where an operator finds it."""
        self._count(-path.stat().st_size)
        path.rename(path.with_suffix(REFUSED))

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock_file.close()

    def _count(self, size_bytes: int) -> None:
        with self._guard:  # one thread writes, another removes
            self._bytes += size_bytes


def read_file(path: Path) -> pa.Table:
    """Read a file of the folder. Its columns are views into it, and go on being so when the file is removed."""
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def write_file(path: Path, table: pa.Table) -> int:
    """Write a file whole or not at all, sync it and its name, and return its size in bytes."""
    part = path.with_suffix(PART)
    try:
        with part.open("wb") as file:
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
            file.flush()
            os.fsync(file.fileno())
            size_bytes = file.tell()
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return size_bytes


def _lock(folder: Path) -> IO[str]:
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise Conflict(f"another process captures predictions in {folder}; wait for its end", field="folder") from error
    return file


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
