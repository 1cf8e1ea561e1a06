"""Where backups lie: what a place for them must do, to be written to and to be read from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from flyball.artifacts.entities import Blob
from flyball.artifacts.ports import BlobStore
from flyball.kernel.canonical import Digest
from flyball.server.backup.entities import Manifest

DATABASE = "database.sqlite"
ARTIFACTS = "artifacts.txt"
MANIFEST = "manifest.json"


class StoredBackup(Protocol):
    """One backup that is there whole. Reading checks nothing but digests of blobs; who reads compares with the manifest."""

    @property
    def manifest(self) -> Manifest:
        """What the backup consists of."""
        ...

    def read(self, name: str) -> Iterator[bytes]:
        """Stream a file of the backup.

        Raises:
            Corrupted: it is not there, or cannot be read.
        """
        ...

    def read_blob(self, digest: Digest) -> Iterator[bytes]:
        """Stream an artifact, checked on the way.

        Raises:
            NotFound: it is not there.
            Corrupted: its bytes do not match the digest.
        """
        ...


class Draft(Protocol):
    """A backup that is being written; nobody takes it for one before `commit`, and without that it goes away."""

    def add_blob(self, digest: Digest, store: BlobStore) -> Blob:
        """Take an artifact over from a store.

        Raises:
            NotFound: the store does not have it.
            Corrupted: its bytes do not match the digest.
            StoreFull: the place is full.
        """
        ...

    def commit(self, manifest: Manifest, *, database: Path, artifacts: Path | None) -> None:
        """Take the database and the list of artifacts over, then the manifest; on return all of it is on disk."""
        ...


class Place(Protocol):
    """A place that backups are written to and read from."""

    @property
    def scratch(self) -> Path:
        """A folder for temporary files, on the file system of the place; there while a draft is open."""
        ...

    def draft(self, backup_id: str) -> AbstractContextManager[Draft]:
        """Begin a backup.

        Raises:
            Conflict: another one is being written there, or something else lies there.
        """
        ...

    def backups(self) -> list[str]:
        """Return the ids of all whole backups, oldest first."""
        ...

    def open(self, backup_id: str) -> AbstractContextManager[StoredBackup]:
        """Open a backup.

        Raises:
            NotFound: there is none of that id.
            Corrupted: its manifest was changed.
        """
        ...
