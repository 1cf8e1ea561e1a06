"""The writer of a journal: each record goes to the system at once, and to the disk in groups.

A record is written before `append` returns, so a killed process loses none; what a loss of power can take is what was
written within the last `sync_ms`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flyball.client.journal.folder import JournalFolder, size_of, sync_folder
from flyball.client.journal.segments import HEAD_BYTES, Segment, start_segment
from flyball.kernel.errors import LimitExceeded, StoreFull, Unavailable
from flyball.wire.v1.frames import HEAD, MAX_RECORD_BYTES

SEGMENT_BYTES = 32 << 20
"""Small enough that shipped records soon free their space, large enough that files are few."""
RESERVE_BYTES = 64 << 20
"""Room beyond the limit for the few records that say how a run begins and ends."""
COUNT_EVERY_S = 1.0
GRANT_BYTES = 1 << 20
"""How much is written between two looks at the limit."""
_frame_head = HEAD.pack


def tell_on_stderr(text: str) -> None:
    """Say something to whoever runs the training, in one line."""
    sys.stderr.write(f"flyball: {text}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The end of what is written: the sequence of the last record, and where it ends."""

    sequence: int
    segment: Segment
    offset: int


class Writer:
    """Append records to a journal. Every method may be called from any thread."""

    def __init__(
        self, folder: JournalFolder, *, max_bytes: int, sync_ms: int, tell: Callable[[str], None] = tell_on_stderr
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._tell = tell
        self._sync_s = sync_ms / 1000
        self._lock = threading.Lock()
        self._dirty = threading.Event()
        self._stopped = threading.Event()
        self._unsynced: list[Path] = []
        self._filled: list[int] = []
        self._sequence = 0
        self._counted_s = time.monotonic()
        self._used_bytes = size_of(folder.root)
        self._segment, self._descriptor = start_segment(folder.path, 1)
        self._offset = HEAD_BYTES
        self._granted = self._room = 0
        self._make_room(0, vital=True)
        self._synced = threading.Thread(target=self._keep_synced, name="flyball-journal-sync", daemon=True)
        self._synced.start()

    def append(self, record: bytes, *, vital: bool = False) -> int:
        """Write a record and return its sequence. A `vital` one may use the reserve.

        Raises:
            StoreFull: the limit is reached, or the disk is full; nothing was written.
        """
        framed = _frame_head(len(record), zlib.crc32(record)) + record
        size = len(framed)
        with self._lock:
            if self._room < size:
                self._make_room(size, vital=vital)
            self._write(framed)
            self._room -= size
            self._offset += size
            self._sequence += 1
            sequence = self._sequence
        if not self._dirty.is_set():
            self._dirty.set()
        return sequence

    @property
    def position(self) -> Position:
        """The end of what is written."""
        with self._lock:
            return Position(sequence=self._sequence, segment=self._segment, offset=self._offset)

    def require_open(self) -> None:
        """Refuse a closed journal.

        Raises:
            Unavailable: it is.
        """
        if self._descriptor < 0:
            raise Unavailable("the journal is closed")

    def hold_room(self, size_bytes: int) -> None:
        """Count bytes that a file of the journal will take.

        Raises:
            StoreFull: the limit is reached.
            Unavailable: the journal is closed.
        """
        with self._lock:
            self.require_open()
            self._settle()
            if self._used_bytes + size_bytes > self._max_bytes:
                self._count()
            if self._used_bytes + size_bytes > self._max_bytes:
                raise self._full(size_bytes)
            self._used_bytes += size_bytes

    def sync_with_next_group(self, file: Path) -> None:
        """See to it that a file reaches the disk before the records that name it."""
        with self._lock:
            self._unsynced.append(file)

    def sync(self) -> None:
        """Bring what is written to the disk, now."""
        with self._lock:
            files, self._unsynced = self._unsynced, []
            filled, self._filled = self._filled, []
            descriptor = os.dup(self._descriptor) if self._descriptor >= 0 else -1
        for file in files:  # before the records that name them
            with contextlib.suppress(FileNotFoundError):
                sync_file(file)
        for old in filled:
            os.fdatasync(old)
            os.close(old)
        if descriptor >= 0:
            os.fdatasync(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        """Bring everything to the disk and stop. Writing again is an error."""
        self._stopped.set()
        self._dirty.set()
        with self._lock:
            if self._descriptor >= 0:
                self._filled.append(self._descriptor)
            self._descriptor, self._granted, self._room = -1, 0, 0
        self.sync()

    def abandon(self) -> None:
        """Let go in a forked child, where the parent goes on writing; the lock may be held by a thread that is not here."""
        self._lock = threading.Lock()
        self._stopped.set()
        for descriptor in (self._descriptor, *self._filled):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor, self._filled, self._granted, self._room = -1, [], 0, 0

    def _write(self, framed: bytes) -> None:
        try:
            written = os.write(self._descriptor, framed)
        except OSError as error:
            raise StoreFull(f"the journal {self._folder.path} cannot be written: {error.strerror}") from error
        if written != len(framed):
            os.truncate(self._segment.path, self._offset)
            raise StoreFull(f"the disk of the journal {self._folder.path} is full")

    def _make_room(self, size: int, *, vital: bool) -> None:
        self.require_open()
        if size > MAX_RECORD_BYTES:
            raise LimitExceeded(f"a record of {size} bytes is larger than the limit of {MAX_RECORD_BYTES}")
        limit = self._max_bytes + (RESERVE_BYTES if vital else 0)
        self._settle()
        self._count(force=self._offset + size > SEGMENT_BYTES)
        if self._used_bytes + size > limit:
            raise self._full(size)
        if self._offset + size > SEGMENT_BYTES and self._offset > HEAD_BYTES:
            self._rotate()
        # A record larger than a segment gets one of its own; one from the reserve leaves no room for others.
        left = min(GRANT_BYTES, SEGMENT_BYTES - self._offset, self._max_bytes - self._used_bytes)
        self._granted = self._room = max(size, left)

    def _settle(self) -> None:
        """Count what was written since the last look as used, and grant nothing more."""
        self._used_bytes += self._granted - self._room
        self._granted = self._room = 0

    def _count(self, *, force: bool = False) -> None:
        """Count again what the journals hold, for shipping frees space; not at every call while there is none."""
        now = time.monotonic()
        if force or now - self._counted_s >= COUNT_EVERY_S:
            self._counted_s = now
            self._used_bytes = size_of(self._folder.root)

    def _rotate(self) -> None:
        self._filled.append(self._descriptor)
        self._segment, self._descriptor = start_segment(self._folder.path, self._sequence + 1)
        self._offset = HEAD_BYTES
        sync_folder(self._folder.path)

    def _full(self, size: int) -> StoreFull:
        return StoreFull(
            f"the journals in {self._folder.root} hold {self._used_bytes} bytes, and {size} more would pass the limit of "
            f"{self._max_bytes}; ship them with 'flyball sync', or raise FLYBALL_JOURNAL_MAX_BYTES"
        )

    def _keep_synced(self) -> None:
        while not self._stopped.is_set():
            self._dirty.wait()
            if self._stopped.wait(self._sync_s):
                return
            self._dirty.clear()
            try:
                self.sync()
            except OSError as error:  # what was written is in the system's memory still, and shipped from there
                self._tell(
                    f"the disk under {self._folder.path} fails ({error.strerror}): a loss of power would lose records"
                )


def sync_file(path: Path) -> None:
    """Bring a file to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
