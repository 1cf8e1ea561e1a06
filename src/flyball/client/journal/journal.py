"""One process's journal: written first, shipped in the background, given up empty at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from flyball.client.client import Client
from flyball.client.journal.courier import Courier
from flyball.client.journal.files import Files
from flyball.client.journal.folder import JournalFolder, Lock, Made, recall, remember
from flyball.client.journal.reader import Reader
from flyball.client.journal.shipper import Shipper
from flyball.client.journal.writer import Writer, tell_on_stderr
from flyball.kernel.errors import Unavailable
from flyball.wire.v1 import journals as shapes

_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much the journals may hold, and how often a group is brought to the disk."""

    max_bytes: int
    sync_ms: int


class Journal:
    """Write what a process logs. Every method may be called from any thread; a forked child must `abandon` it."""

    def __init__(self, folder: JournalFolder, locks: tuple[Lock, ...], writer: Writer) -> None:
        self.folder = folder
        self._locks = locks
        self._writer = writer
        self._files = Files(folder.files, writer)
        self._courier: Courier | None = None

    @classmethod
    def start(
        cls,
        root: Path,
        *,
        server: str,
        limits: Limits,
        connect: Callable[[], Client] | None,
        tell: Callable[[str], None] = tell_on_stderr,
        resolved: Callable[[str, shapes.Resolved], None] = lambda _key, _found: None,
    ) -> Journal:
        """Make a journal; with `connect` it is shipped while it is written, without one it waits for `flyball sync`."""
        folder, locks = JournalFolder.create(root, server=server, ships=connect is not None)
        writer = Writer(folder, max_bytes=limits.max_bytes, sync_ms=limits.sync_ms, tell=tell)
        made = cls(folder, locks, writer)
        if connect is not None:

            def shipper(client: Client) -> Shipper:
                reader = Reader(folder, lambda: writer.position)
                return Shipper(
                    folder, reader, client, tell=tell, resolved=resolved, file_done=made._files.free
                )  # fmt: skip

            made._courier = Courier(folder, writer, connect=connect, shipper=shipper, tell=tell)
        return made

    def write(self, record: msgspec.Struct, *, vital: bool = False) -> None:
        """Write a record.

        Raises:
            StoreFull: there is no room; nothing was written.
        """
        self._writer.append(_encode(record), vital=vital)
        if self._courier is not None:
            self._courier.wake()

    def announce(self, key: str, made: Made) -> None:
        """Tell the other processes of the machine what is made here, and ship it soon."""
        remember(self.folder.root, key, made)
        self.hurry()

    def hurry(self) -> None:
        """Ship at once what is written, in the background."""
        if self._courier is not None:
            self._courier.hurry()

    def recall(self, key: str) -> Made | None:
        """Return what any journal of the machine makes under an id and has not shipped yet."""
        return recall(self.folder.root, key)

    def keep_file(self, owner: Literal["run", "model"], owner_id: str, path: str, source: Path | bytes) -> shapes.File:
        """Copy a file into the journal and write its record.

        Raises:
            StoreFull: there is no room; nothing was kept.
        """
        keep = self._files.keep_bytes(source) if isinstance(source, bytes) else self._files.keep(source)
        record = shapes.File(owner, owner_id, path, *keep)
        try:
            self.write(record)
        except BaseException:
            self._files.free(record.sha256)
            raise
        return record

    @property
    def unshipped(self) -> int:
        """How many records the server is not known to have."""
        return self._writer.position.sequence - (self._courier.applied if self._courier else 0)

    def flush(self, timeout_s: float) -> None:
        """Wait until all that is written by now is shipped; where nothing ships, until it is on the disk.

        Raises:
            Unavailable: the server is away, or it takes longer.
        """
        if self._courier is None:
            self._writer.sync()
            return
        self._courier.flush(timeout_s)

    def close(self, timeout_s: float) -> int:
        """Ship what can be shipped in the time, bring the rest to the disk, and return how many records are left."""
        if self._courier is not None:
            with contextlib.suppress(Unavailable):
                self._courier.flush(timeout_s)
            self._courier.stop()
        self._writer.close()
        left = self.unshipped
        if not left:
            self.folder.discard()
        self._release()
        return left

    def abandon(self) -> None:
        """Let go in a forked child; the parent keeps its journal."""
        self._writer.abandon()
        self._release()

    def _release(self) -> None:
        for lock in self._locks:
            lock.release()
