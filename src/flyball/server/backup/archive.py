"""A backup as one file: a plain tar archive, the manifest first, so that any tool can look into it."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flyball.artifacts.entities import Blob
from flyball.artifacts.ports import BlobStore
from flyball.artifacts.scratch import disk_faults
from flyball.artifacts.streams import CHUNK_BYTES, checked, missing_blob
from flyball.kernel.canonical import Digest, parse_digest
from flyball.kernel.errors import Conflict, Corrupted, NotFound
from flyball.server.backup.entities import Manifest
from flyball.server.backup.manifest import read_manifest, write_manifest
from flyball.server.backup.ports import ARTIFACTS, DATABASE, MANIFEST, Draft, StoredBackup
from flyball.server.home import PRIVATE_FILE, sync_folder

SUFFIX = ".tar"
PARTIAL = ".partial"


class ArchivePlace:
    """One file that holds one backup."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()

    @property
    def scratch(self) -> Path:
        return self._path.parent

    @contextmanager
    def draft(self, backup_id: str) -> Iterator[Draft]:
        if self._path.exists():
            raise Conflict(f"{self._path} is there already; a backup overwrites nothing", field="path")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f"{self._path.name}.{backup_id}{PARTIAL}")
        try:
            yield _ArchiveDraft(self._path, partial)
        finally:
            partial.unlink(missing_ok=True)

    def backups(self) -> list[str]:
        with self._opened() as backup:
            return [backup.manifest.id]

    @contextmanager
    def open(self, backup_id: str) -> Iterator[StoredBackup]:
        with self._opened() as backup:
            if backup.manifest.id != backup_id:
                raise NotFound(f"there is no backup '{backup_id}' in {self._path}", field="backup")
            yield backup

    @contextmanager
    def _opened(self) -> Iterator[_ArchiveBackup]:
        with _open_archive(self._path) as archive:
            yield _ArchiveBackup(self._path, archive)


def _open_archive(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, "r:")
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", field="path") from error
    except (tarfile.TarError, OSError, EOFError) as error:
        raise Corrupted(f"{path} is damaged, or no archive of a backup: {error}") from error


class _ArchiveDraft:
    """Notes the artifacts while they are named, and writes all at the end, when the manifest is known."""

    def __init__(self, path: Path, partial: Path) -> None:
        self._path = path
        self._partial = partial
        self._blobs: dict[Digest, BlobStore] = {}

    def add_blob(self, digest: Digest, store: BlobStore) -> Blob:
        size_bytes = store.size(digest)
        for _chunk in store.open(digest):
            pass  # read for its digest now, so that a damaged one is named and left out
        self._blobs[digest] = store
        return Blob(digest=digest, size_bytes=size_bytes)

    def commit(self, manifest: Manifest, *, database: Path, artifacts: Path | None) -> None:
        with disk_faults():
            with self._partial.open("xb") as file:
                os.fchmod(file.fileno(), PRIVATE_FILE)
                with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                    self._fill(archive, manifest, database=database, artifacts=artifacts)
                file.flush()
                os.fsync(file.fileno())
            os.link(
                self._partial, self._path
            )  # unlike a rename, it never takes the place of a file that came meanwhile
        sync_folder(self._path.parent)

    def _fill(self, archive: tarfile.TarFile, manifest: Manifest, *, database: Path, artifacts: Path | None) -> None:
        data = write_manifest(manifest)
        archive.addfile(_member(MANIFEST, len(data), manifest), io.BytesIO(data))
        for name, path in ((DATABASE, database), (ARTIFACTS, artifacts)):
            if path is not None:
                with path.open("rb") as file:
                    archive.addfile(_member(name, path.stat().st_size, manifest), file)
        for digest, store in self._blobs.items():
            with store.fetch(digest) as path, path.open("rb") as file:
                archive.addfile(_member(_blob_name(digest), path.stat().st_size, manifest), file)


class _ArchiveBackup:
    def __init__(self, path: Path, archive: tarfile.TarFile) -> None:
        self._path = path
        self._archive = archive
        self._members = _members(path, archive)
        self.manifest = read_manifest(b"".join(self.read(MANIFEST)), name=path.name)

    def read(self, name: str) -> Iterator[bytes]:
        try:
            file = self._archive.extractfile(self._members[name])
            assert file is not None, "every member is a plain file"
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
        except (KeyError, tarfile.TarError, OSError) as error:
            raise Corrupted(f"{self._path} has no whole '{name}': {error}") from error

    def read_blob(self, digest: Digest) -> Iterator[bytes]:
        name = _blob_name(digest)
        if name not in self._members:
            raise missing_blob(digest)
        return checked(self.read(name), digest)


def _members(path: Path, archive: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    try:
        return {member.name: member for member in archive.getmembers() if member.isreg()}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise Corrupted(f"{path} is damaged: {error}") from error


def _blob_name(digest: Digest) -> str:
    name = parse_digest(digest)
    return f"blobs/sha256/{name[:2]}/{name}"


def _member(name: str, size_bytes: int, manifest: Manifest) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size_bytes, PRIVATE_FILE, manifest.created_ms // 1000
    return member
