"""The folder of journals, and the folder of one: names, locks, and which runs their records make. No token is ever kept here."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from flyball.kernel.errors import InvalidInput
from flyball.kernel.ids import new_id

_ID = re.compile(r"[0-9a-f]{32}")
_MADE = re.compile(r"(m-)?[0-9a-f]{32}")
FORMAT = 1
PRIVATE = 0o700
ASIDE = "refused-"


class Origin(msgspec.Struct, kw_only=True):
    """What `journal.json` says: whose journal it is. `server` is empty where somebody will say later where it goes."""

    format: int
    journal: str
    server: str
    host: str
    pid: int
    created_ms: int


class Made(msgspec.Struct, kw_only=True):
    """A run or logged model that a journal makes and the server may not know yet, for the other processes of the machine."""

    journal: str
    experiment_id: str
    artifact_uri: str
    name: str
    user_id: str = ""
    start_ms: int = 0


class Lock:
    """An exclusive lock on a file, which the system gives back when its process ends, however it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Lock | None:
        """Take the lock; None when another process has it, or the journal was removed meanwhile."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        lock = cls(descriptor)
        if not path.exists():
            lock.release()
            return None
        return lock

    def release(self) -> None:
        """Give the lock back. In a forked child this only closes the child's copy."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFolder:
    """Where one journal lies."""

    path: Path
    origin: Origin

    @classmethod
    def create(cls, root: Path, *, server: str, ships: bool = False) -> tuple[JournalFolder, tuple[Lock, ...]]:
        """Make a journal in the folder of journals, readable for its account only, with the right to write, and to ship."""
        make_private(root)
        make_private(root / "made")
        origin = Origin(
            format=FORMAT,
            journal=new_id(),
            server=server,
            host=socket.gethostname(),
            pid=os.getpid(),
            created_ms=time.time_ns() // 1_000_000,
        )
        draft = cls(path=root / f".{origin.journal}", origin=origin)
        make_private(draft.path)
        make_private(draft.files)
        write_whole(draft.path / "journal.json", msgspec.json.encode(origin))
        # Before it has its name: another process would take it for one that was left behind, ship its nothing, and remove it.
        locks = (draft.own(), draft.lead() if ships else None)
        path = draft.path.rename(root / origin.journal)
        sync_folder(root)
        return cls(path=path, origin=origin), tuple(lock for lock in locks if lock is not None)

    @classmethod
    def open(cls, path: Path) -> JournalFolder:
        """Open a journal that is there.

        Raises:
            InvalidInput: it is none, or one of a newer release.
        """
        try:
            origin = msgspec.json.decode((path / "journal.json").read_bytes(), type=Origin)
        except (OSError, msgspec.DecodeError) as error:
            raise InvalidInput(f"{path} is no journal: {error}", field="folder") from error
        if origin.format != FORMAT or not _ID.fullmatch(origin.journal):
            raise InvalidInput(f"{path} is a journal of format {origin.format}; this release reads {FORMAT}")
        return cls(path=path, origin=origin)

    @property
    def root(self) -> Path:
        """The folder of journals."""
        return self.path.parent

    @property
    def files(self) -> Path:
        """Where the bytes of artifacts lie, by digest."""
        return self.path / "files"

    @property
    def refused(self) -> Path:
        """Where the records that the server refused are kept, as lines of JSON."""
        return self.path / "refused.jsonl"

    def own(self) -> Lock | None:
        """Take the right to write; None when a process has it."""
        return Lock.take(self.path / "owner.lock")

    def lead(self) -> Lock | None:
        """Take the right to ship; None when a process has it."""
        return Lock.take(self.path / "ship.lock")

    def discard(self) -> None:
        """Remove the journal, all of which is shipped. What was refused of it is set aside, with its files."""
        for key in list(made_by(self.root, self.origin.journal)):
            forget(self.root, key)
        if self.refused.exists():
            self.path.rename(self.root / f"{ASIDE}{self.origin.journal}")
            return
        shutil.rmtree(self.path, ignore_errors=True)


def set_aside_in(root: Path) -> list[Path]:
    """Return the folders of what was refused, until somebody deletes them."""
    return sorted(root.glob(f"{ASIDE}*"))


def journals_in(root: Path) -> list[JournalFolder]:
    """Return the journals of a folder, oldest first; what is none is left alone."""
    found: list[JournalFolder] = []
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if _ID.fullmatch(path.name):
            with contextlib.suppress(InvalidInput):  # removed by another process meanwhile, or of a newer release
                found.append(JournalFolder.open(path))
    return found


def remember(root: Path, key: str, made: Made) -> None:
    """Tell the other processes of the machine that a journal makes a run or logged model."""
    write_whole(_made_path(root, key), msgspec.json.encode(made))


def recall(root: Path, key: str) -> Made | None:
    """Return what a journal of the folder makes under an id and has not shipped yet."""
    if not _MADE.fullmatch(key):
        return None
    try:
        return msgspec.json.decode(_made_path(root, key).read_bytes(), type=Made)
    except (OSError, msgspec.DecodeError):
        return None


def forget(root: Path, key: str) -> None:
    """Take back what `remember` told: the server knows it now, or never will."""
    _made_path(root, key).unlink(missing_ok=True)


def made_by(root: Path, journal: str) -> Iterator[str]:
    """Yield what a journal has made and not shipped."""
    for path in list((root / "made").iterdir()):
        made = recall(root, path.name)
        if made is not None and made.journal == journal:
            yield path.name


def _made_path(root: Path, key: str) -> Path:
    assert _MADE.fullmatch(key), key
    return root / "made" / key


def make_private(path: Path) -> None:
    """Make a folder that only its account may look into."""
    path.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
    path.chmod(PRIVATE)


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)


def sync_folder(path: Path) -> None:
    """Make the names in a folder safe from a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_of(root: Path) -> int:
    """Count the bytes below a folder; what goes away meanwhile counts nothing."""
    total = 0
    for folder, _folders, names in os.walk(root):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(folder, name), follow_symlinks=False).st_size  # noqa: PTH116, PTH118 -- 3 times faster
    return total
