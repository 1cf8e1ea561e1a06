"""Backups in a folder: each with its own database, all sharing the artifacts, so that the next one copies what is new.

<folder>/backups/<id>/manifest.json, database.sqlite, artifacts.txt
<folder>/blobs/sha256/<first two digits>/<digest>
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flyball.artifacts.entities import Blob
from flyball.artifacts.folder import FolderBlobStore
from flyball.artifacts.ports import BlobStore
from flyball.artifacts.scratch import disk_faults
from flyball.artifacts.streams import read_chunks
from flyball.kernel.canonical import Digest
from flyball.kernel.errors import Conflict, Corrupted, NotFound
from flyball.server.backup.entities import Manifest
from flyball.server.backup.manifest import read_manifest, write_manifest
from flyball.server.backup.ports import ARTIFACTS, DATABASE, MANIFEST, Draft, StoredBackup
from flyball.server.home import PRIVATE_FILE, PRIVATE_FOLDER, sync_folder

LOCK = "backup.lock"
PARTIAL = ".partial"
_ID = re.compile(r"[0-9A-Za-z.-]+")


class FolderPlace:
    """A folder of backups. One is written at a time; any number are read meanwhile."""

    def __init__(self, root: Path, *, link: bool = True) -> None:
        self._root = root
        self._backups = root / "backups"
        self._blobs = FolderBlobStore(root / "blobs")
        self._link = link

    @property
    def scratch(self) -> Path:
        return self._root / "temporary"

    @contextmanager
    def draft(self, backup_id: str) -> Iterator[Draft]:
        self._make()
        with _locked(self._root / LOCK):
            self._sweep()
            folder = self._backups / (backup_id + PARTIAL)
            folder.mkdir(mode=PRIVATE_FOLDER)
            try:
                yield _FolderDraft(folder, self._blobs, link=self._link)
            finally:
                shutil.rmtree(folder, ignore_errors=True)  # moved away where it was committed

    def backups(self) -> list[str]:
        if not self._backups.is_dir():
            raise NotFound(f"{self._root} is no folder of backups", field="path")
        return sorted(path.name for path in self._backups.iterdir() if path.is_dir() and path.suffix != PARTIAL)

    @contextmanager
    def open(self, backup_id: str) -> Iterator[StoredBackup]:
        if not _ID.fullmatch(backup_id) or backup_id not in self.backups():
            raise NotFound(f"there is no backup '{backup_id}' in {self._root}", field="backup")
        yield _FolderBackup(self._backups / backup_id, self._blobs)

    def _make(self) -> None:
        if self._root.is_dir() and not self._backups.is_dir() and any(self._root.iterdir()):
            raise Conflict(
                f"{self._root} holds other things than backups; name an empty folder or a new one", field="path"
            )
        self._root.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        self._backups.mkdir(exist_ok=True, mode=PRIVATE_FOLDER)
        self.scratch.mkdir(exist_ok=True, mode=PRIVATE_FOLDER)

    def _sweep(self) -> None:
        """Remove what a backup left that was broken off; the lock says that none is being written."""
        for left in (*self._backups.glob("*" + PARTIAL), *self.scratch.iterdir()):
            shutil.rmtree(left)
        self._blobs.sweep_temporary()


class _FolderDraft:
    def __init__(self, folder: Path, blobs: FolderBlobStore, *, link: bool) -> None:
        self._folder = folder
        self._blobs = blobs
        self._link = link

    def add_blob(self, digest: Digest, store: BlobStore) -> Blob:
        if not self._blobs.has(digest) and not self._linked(digest, store):
            self._blobs.put(store.open(digest))
        return Blob(digest=digest, size_bytes=self._blobs.size(digest))

    def _linked(self, digest: Digest, store: BlobStore) -> bool:
        return self._link and isinstance(store, FolderBlobStore) and self._blobs.link_from(store, digest)

    def commit(self, manifest: Manifest, *, database: Path, artifacts: Path | None) -> None:
        for name, path in ((DATABASE, database), (ARTIFACTS, artifacts)):
            if path is not None:
                _take(path, self._folder / name)
        _write(self._folder / MANIFEST, write_manifest(manifest))
        sync_folder(self._folder)
        self._folder.rename(self._folder.with_name(manifest.id))
        sync_folder(self._folder.parent)


class _FolderBackup:
    def __init__(self, folder: Path, blobs: FolderBlobStore) -> None:
        self._folder = folder
        self._blobs = blobs
        self.manifest = read_manifest(b"".join(self.read(MANIFEST)), name=folder.name)

    def read(self, name: str) -> Iterator[bytes]:
        path = self._folder / name
        try:
            with path.open("rb") as file:
                yield from read_chunks(file)
        except OSError as error:
            raise Corrupted(f"{path} cannot be read: {error.strerror}") from error

    def read_blob(self, digest: Digest) -> Iterator[bytes]:
        return self._blobs.open(digest)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(f"another backup is being written to {path.parent}; wait for it", field="path") from error
        yield
    finally:
        os.close(descriptor)


def _take(source: Path, target: Path) -> None:
    """Move a file over, from another file system too, durably."""
    with disk_faults(), suppress(FileNotFoundError):
        target.unlink()
    with disk_faults(), source.open("rb") as given, target.open("xb") as taken:
        os.fchmod(taken.fileno(), PRIVATE_FILE)
        for chunk in read_chunks(given):
            taken.write(chunk)
        taken.flush()
        os.fsync(taken.fileno())
    source.unlink()


def _write(path: Path, data: bytes) -> None:
    with disk_faults(), path.open("xb") as file:
        os.fchmod(file.fileno(), PRIVATE_FILE)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
