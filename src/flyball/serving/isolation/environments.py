"""Environments of models, made once and kept by the digest of what they are made from.

    <home>/environments/<digest>/         a finished environment, with `environment.json` in it
    <home>/environments/<digest>.making/  one in work, or what is left of one
    <home>/environments/<digest>.lock     locked by `flock`: shared while used, exclusively while made or removed

A lock ends with the processes that hold it, so nothing has to be swept after a crash: whoever makes an environment finds what is
left of the last attempt under the exclusive lock, and begins anew. The folder appears under its name by one rename. The time
of last use is the modification time of the lock file.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import msgspec

from flyball.kernel.canonical import digest_json
from flyball.kernel.clock import Clock
from flyball.kernel.errors import FlyballError, NotFound, StoreFull, Unavailable
from flyball.kernel.logs import get_logger
from flyball.serving.isolation.frames import PROTOCOL
from flyball.serving.isolation.requirements import HERE, ModelLock

FOLDER = "environments"
_DESCRIBED = "environment.json"
_LOCK = ".lock"
_MAKING = ".making"
_DISK_IS_FULL = frozenset({28, 122})
_BLOCK_BYTES = 512

_log = get_logger("isolation")


class MakesEnvironments(Protocol):
    """What fills a folder with an environment; see `making.Maker`."""

    def make(self, folder: Path, lock: ModelLock, *, keep_open: int) -> list[str]:
        """Fill a folder that does not exist yet, and return what is installed in it."""
        ...


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What an environment says of itself. `installed` are all its packages, also those that the lock did not name."""

    digest: str
    python: str
    requirements: list[str]
    installed: list[str]
    made_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEnvironment:
    """An environment on this machine. `size_bytes` counts a file that several of them share in each."""

    description: Description
    size_bytes: int
    used_ms: int
    in_use: bool


class HeldEnvironment:
    """An environment that is not removed while this is held. The operating system lets go when the process ends."""

    def __init__(self, folder: Path, *, lock_fd: int) -> None:
        self.folder = folder
        self._lock_fd = lock_fd

    @property
    def digest(self) -> str:
        """The digest of what it was made from."""
        return self.folder.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def release(self) -> None:
        """Let go; more than once does no harm."""
        fd, self._lock_fd = self._lock_fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Environments:
    """The environments of a home. Any number of threads and processes may use it at once."""

    def __init__(self, folder: Path, *, maker: MakesEnvironments, clock: Clock) -> None:
        self._folder = folder
        self._maker = maker
        self._clock = clock

    def hold(self, lock: ModelLock) -> HeldEnvironment:
        """Return the environment of a lock; make it first, or wait for who makes it, if there is none.

        Raises:
            FlyballError: as `Maker.make`; nothing is left behind.
            StoreFull: the disk is full.
        """
        digest = digest_of(lock)
        with _disk_faults():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            while True:
                fd = self._locked(digest, fcntl.LOCK_SH)
                if _is_whole(self._folder / digest):
                    now_ns = self._clock.now_ms() * 1_000_000
                    os.utime(fd, ns=(now_ns, now_ns))
                    return HeldEnvironment(self._folder / digest, lock_fd=fd)
                os.close(fd)
                # The loop, because between the two locks another process may remove what was just made.
                self._ensure(digest, lock)

    def kept(self) -> list[KeptEnvironment]:
        """Return every finished environment, the one used last first."""
        found = []
        for path in self._folder.glob(f"*{_LOCK}"):
            described = _description(path.with_suffix(""))
            if described is None:
                continue
            with self._without_waiting(path.stem) as free:
                in_use = not free
            size_bytes = _size_bytes(path.with_suffix(""))
            found.append(
                KeptEnvironment(description=described, size_bytes=size_bytes, used_ms=_used_ms(path), in_use=in_use)
            )
        return sorted(found, key=lambda one: one.used_ms, reverse=True)

    def prune(self, *, unused_ms: int) -> list[str]:
        """Remove environments that nobody uses and nobody has used for so long, and what broken attempts left; name them."""
        removed = []
        before_ms = self._clock.now_ms() - unused_ms
        for path in sorted(self._folder.glob(f"*{_LOCK}")):
            if _used_ms(path) > before_ms:
                continue
            with self._without_waiting(path.stem) as free:
                if free:
                    self._remove(path.stem)
                    removed.append(path.stem)
        return removed

    def remove(self, digest: str) -> None:
        """Remove an environment, by its digest or the beginning of it.

        Raises:
            NotFound: there is none, or several begin like this.
            Unavailable: it is in use.
        """
        found = [path.stem for path in self._folder.glob(f"*{_LOCK}") if path.stem.startswith(digest)]
        if len(found) != 1 or not digest:
            raise NotFound(f"{len(found)} environments begin with '{digest}'; 'flyball environment list' shows them")
        with self._without_waiting(found[0]) as free:
            if not free:
                raise Unavailable(f"environment {found[0][:12]} is in use by a running model; unload it first")
            self._remove(found[0])

    def _ensure(self, digest: str, lock: ModelLock) -> None:
        folder, making = self._folder / digest, self._folder / f"{digest}{_MAKING}"
        fd = self._locked_to_make(digest, broken=folder.exists() and not _is_whole(folder))
        try:
            if _is_whole(folder):
                return
            _log.info(
                "environment_making", digest=digest[:12], python=lock.python or HERE, requirements=len(lock.pinned)
            )
            self._discard(digest)
            try:
                installed = self._maker.make(making, lock, keep_open=fd)
                self._describe(making, digest, lock, installed)
                making.rename(folder)
            except BaseException:
                shutil.rmtree(making, ignore_errors=True)
                raise
            _log.info("environment_made", digest=digest[:12], packages=len(installed))
        finally:
            os.close(fd)

    def _locked_to_make(self, digest: str, *, broken: bool) -> int:
        """Wait for whoever makes it; but not for models that go on in an environment whose interpreter was taken away."""
        try:
            return self._locked(digest, fcntl.LOCK_EX | fcntl.LOCK_NB if broken else fcntl.LOCK_EX)
        except BlockingIOError as error:
            raise Unavailable(
                f"environment {digest[:12]} has lost its interpreter, and models run in it still; once they are unloaded it is "
                "made anew"
            ) from error

    def _describe(self, folder: Path, digest: str, lock: ModelLock, installed: list[str]) -> None:
        described = Description(
            digest=digest,
            python=lock.python or HERE,
            requirements=list(lock.lines),
            installed=installed,
            made_ms=self._clock.now_ms(),
        )
        (folder / _DESCRIBED).write_bytes(msgspec.json.encode(described))

    def _locked(self, digest: str, kind: int) -> int:
        """Lock, and return the descriptor that holds the lock. A lock file that was removed meanwhile locks nothing."""
        path = self._folder / f"{digest}{_LOCK}"
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, kind)
                if _is_still(path, fd):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    @contextmanager
    def _without_waiting(self, digest: str) -> Iterator[bool]:
        """Hold the exclusive lock if it is free; yield False where it is not."""
        try:
            fd = self._locked(digest, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            os.close(fd)

    def _remove(self, digest: str) -> None:
        """Remove all of an environment; the lock file last, and only while its lock is held."""
        self._discard(digest)
        (self._folder / f"{digest}{_LOCK}").unlink()

    def _discard(self, digest: str) -> None:
        """Remove the files of an environment. It is taken out of its place first, so that nobody sees half of one there."""
        folder, making = self._folder / digest, self._folder / f"{digest}{_MAKING}"
        if making.exists():
            shutil.rmtree(making)
        if folder.exists():
            folder.rename(making)
            shutil.rmtree(making)


def digest_of(lock: ModelLock) -> str:
    """Return the digest of everything that an environment depends on: the lock, Python, the machine, our protocol."""
    return digest_json(
        {
            "protocol": PROTOCOL,
            "python": lock.python or HERE,
            "machine": sysconfig.get_platform(),
            "requirements": list(lock.lines),
        }
    )


def _is_still(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _is_whole(folder: Path) -> bool:
    """Tell whether an environment is there, and so is the interpreter that it stands on, which is not part of it."""
    return (folder / _DESCRIBED).is_file() and (folder / "bin" / "python").exists()


def _description(folder: Path) -> Description | None:
    try:
        return msgspec.json.decode((folder / _DESCRIBED).read_bytes(), type=Description)
    except (OSError, msgspec.MsgspecError):
        return None


def _used_ms(path: Path) -> int:
    return path.stat().st_mtime_ns // 1_000_000


def _size_bytes(folder: Path) -> int:
    """Return what the files of a folder take on the disk."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(place) / name).lstat().st_blocks * _BLOCK_BYTES
    return total


@contextmanager
def _disk_faults() -> Iterator[None]:
    try:
        yield
    except FlyballError:
        raise
    except OSError as error:
        if error.errno in _DISK_IS_FULL:
            raise StoreFull(f"the disk is full: an environment could not be made in {error.filename}") from error
        raise Unavailable(f"an environment could not be made: {error.strerror} ({error.filename})") from error
