"""Blobs as files in a folder: `sha256/<first two digits>/<digest>`, written beside and moved into place."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from flyball.artifacts.entities import Blob
from flyball.artifacts.scratch import Scratch
from flyball.artifacts.streams import Tally, checked, missing_blob, read_chunks
from flyball.kernel.canonical import Digest, parse_digest
from flyball.kernel.errors import InvalidInput
from flyball.kernel.filesystem import begin_writing_back
from flyball.kernel.settings import Settings

# Blobs never change: nobody may write, and only the owner's group may read.
BLOB_MODE = 0o440
# A large blob is on its way to the disk while the rest arrives, so that little is left for the fsync.
WRITTEN_BACK_BYTES = 8 << 20


class FolderBlobStore:
    """The store of a single machine. The folder may be shared by processes; it must be on one file system."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "sha256"
        self._scratch = Scratch(root / "temporary")

    def put(self, chunks: Iterable[bytes]) -> Blob:
        tally = Tally()
        with self._scratch.file() as file:
            begun = written = 0
            for chunk in tally.through(chunks):
                file.write(chunk)
                written += len(chunk)
                if written - begun >= WRITTEN_BACK_BYTES:
                    begin_writing_back(file.fileno(), start=begun, size=written - begun)
                    begun = written
            self._publish(file, digest=tally.blob.digest)
        return tally.blob

    def open(self, digest: Digest) -> Iterator[bytes]:
        path = self._existing(digest)
        return checked(_read(path, digest), digest)

    def has(self, digest: Digest) -> bool:
        return self._path(digest).is_file()

    def size(self, digest: Digest) -> int:
        return self._existing(digest).stat().st_size

    def delete(self, digest: Digest) -> None:
        path = self._path(digest)
        with suppress(FileNotFoundError):
            path.unlink()
            _sync_folder(path.parent)

    def digests(self) -> Iterator[Digest]:
        for path in self._blobs.glob("*/*"):
            with suppress(InvalidInput):  # a file that somebody else put there is no blob
                yield parse_digest(path.name)

    @contextmanager
    def fetch(self, digest: Digest) -> Iterator[Path]:
        for _chunk in self.open(digest):
            pass
        yield self._path(digest)

    def sweep_temporary(self) -> int:
        return self._scratch.sweep()

    def link_from(self, other: FolderBlobStore, digest: Digest) -> bool:
        """Take a blob over from a store on the same file system without copying it; False where that cannot be done.

        Blobs never change, so two stores may share one; its bytes are not read.

        Raises:
            NotFound: the other store does not have it.
        """
        path = self._path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(other._existing(digest), path)
        except FileExistsError:
            return True
        except OSError:  # another file system, or one without links
            return False
        for folder in (path.parent, self._blobs, self._blobs.parent):
            _sync_folder(folder)
        return True

    def _publish(self, file: BinaryIO, *, digest: Digest) -> None:
        file.flush()
        os.fchmod(file.fileno(), BLOB_MODE)
        os.fsync(file.fileno())
        path = self._path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        # A blob that is there already is replaced by its equal: that costs nothing more, and heals a damaged one.
        Path(file.name).replace(path)
        for folder in (path.parent, self._blobs, self._blobs.parent):
            _sync_folder(folder)

    def _path(self, digest: Digest) -> Path:
        name = parse_digest(digest)
        return self._blobs / name[:2] / name

    def _existing(self, digest: Digest) -> Path:
        path = self._path(digest)
        if not path.is_file():
            raise missing_blob(digest)
        return path


def _read(path: Path, digest: Digest) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from read_chunks(file)
    except FileNotFoundError as error:
        raise missing_blob(digest) from error


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; on a folder without changes this is almost free."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_folder(settings: Settings) -> FolderBlobStore:
    """Open the store at a `file://` URL.

    Raises:
        InvalidInput: the URL names another machine, or no absolute path.
    """
    parts = urlsplit(settings.resolved_artifacts_url)
    path = Path(unquote(parts.path))
    if parts.netloc not in {"", "localhost"} or not path.is_absolute():
        raise InvalidInput(
            f"'{settings.resolved_artifacts_url}' names no folder of this machine; "
            "example: file:///var/lib/flyball/artifacts",
            field="artifacts_url",
        )
    return FolderBlobStore(path)
