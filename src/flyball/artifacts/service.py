"""The verbs of the room: put, read and list files under a root; small JSON values by digest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from flyball.artifacts.entities import Blob, Entry
from flyball.artifacts.paths import below, clean_folder, clean_path
from flyball.artifacts.ports import BlobStore, NameStore
from flyball.artifacts.scratch import disk_faults
from flyball.artifacts.streams import limited
from flyball.kernel.canonical import Digest, JsonValue, canonical_json, digest_json, parse_json
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, NotFound


class Artifacts:
    """Files under roots. Bytes are durable before their name appears, so a name never points at nothing."""

    def __init__(self, blobs: BlobStore, names: NameStore, database: Database, *, max_bytes: int | None = None) -> None:
        self._blobs = blobs
        self._names = names
        self._database = database
        self._max_bytes = max_bytes

    @property
    def blobs(self) -> BlobStore:
        """The bytes, for those who know a digest."""
        return self._blobs

    def put(self, root: str, path: str, chunks: Iterable[bytes]) -> Entry:
        """Store a file, replacing one of the same name.

        Raises:
            InvalidInput: the root or the path is not clean.
            Conflict: the path is a folder already, or one of its folders is a file.
            LimitExceeded: the file is larger than the limit.
            StoreFull: there is no room; nothing was kept.
        """
        clean_path(root, field="root")
        clean_path(path)
        allowed = chunks if self._max_bytes is None else limited(chunks, max_bytes=self._max_bytes)
        return self.bind(root, path, blob=self._blobs.put(allowed))

    def bind(self, root: str, path: str, *, blob: Blob) -> Entry:
        """Name a blob that the store holds already; inside a transaction the name appears with it.

        Raises:
            InvalidInput: the root or the path is not clean.
            Conflict: the path is a folder already, or one of its folders is a file.
        """
        clean_path(root, field="root")
        clean_path(path)
        with self._database.transaction():
            return self._names.bind(root, path, blob=blob)

    def get(self, root: str, path: str) -> Entry:
        """Return the file of a name.

        Raises:
            NotFound: there is none.
        """
        entry = self.find(root, path)
        if entry is None:
            raise NotFound(f"there is no file '{path}' under '{root}'", field="path")
        return entry

    def find(self, root: str, path: str) -> Entry | None:
        """Return the file of a name, None when there is none."""
        return self._names.find(clean_path(root, field="root"), clean_path(path))

    def open(self, root: str, path: str) -> tuple[Entry, Iterator[bytes]]:
        """Stream a file; the stream raises Corrupted at its end where the bytes are not those that were put.

        Raises:
            NotFound: there is no such file.
        """
        entry = self.get(root, path)
        return entry, self._blobs.open(_digest(entry))

    def read(self, root: str, path: str) -> bytes:
        """Return a whole file, checked; for small ones.

        Raises:
            NotFound: there is no such file.
            Corrupted: the bytes are not those that were put.
        """
        _entry, chunks = self.open(root, path)
        return b"".join(chunks)

    def walk(self, root: str, folder: str = "") -> list[Entry]:
        """Return all files below a folder, sorted by path; none when there is no such folder."""
        return self._names.walk(clean_path(root, field="root"), clean_folder(folder))

    def remove(self, root: str, path: str) -> int:
        """Remove the name of a file, or all names below a folder (empty text: the root); return how many.

        The bytes stay, for other names may point at them.
        """
        with self._database.transaction():
            return self._names.remove(clean_path(root, field="root"), clean_folder(path))

    def copy_tree(self, root: str, folder: str, *, into: Path) -> int:
        """Write all files below a folder as files below `into`, checked; return how many.

        A failure leaves the files that were written before it, so give a folder that can be thrown away.

        Raises:
            NotFound: there are no files below the folder.
            Conflict: a file of the same name is there.
            Corrupted: a file's bytes are not those that were put.
            StoreFull: the disk of `into` is full.
        """
        entries = self._tree(root, folder)
        for entry in entries:
            target = into / below(entry.path, folder)
            with disk_faults():
                target.parent.mkdir(parents=True, exist_ok=True)
                _write_new(target, self._blobs.open(_digest(entry)))
        return len(entries)

    def tree_digest(self, root: str, folder: str = "") -> Digest:
        """Return the digest of all files below a folder: of the JSON object from relative path to digest.

        Raises:
            NotFound: there are no files below the folder; nothing must not have an identity.
        """
        return digest_json({below(entry.path, folder): _digest(entry) for entry in self._tree(root, folder)})

    def put_json(self, value: JsonValue) -> Digest:
        """Store a value in its canonical form; equal values share one digest.

        Raises:
            InvalidInput: the value has no canonical form.
        """
        return self._blobs.put([canonical_json(value)]).digest

    def read_json(self, digest: Digest) -> JsonValue:
        """Return a value that was stored as JSON; it has the same canonical form again.

        Raises:
            NotFound: there is no such blob.
            Corrupted: its bytes do not match the digest.
        """
        return parse_json(b"".join(self._blobs.open(digest)))

    def list(self, root: str, folder: str = "") -> list[Entry]:
        """Return the files and folders directly in a folder, sorted by path; none when there is no such folder."""
        return self._names.list(clean_path(root, field="root"), clean_folder(folder))

    def _tree(self, root: str, folder: str) -> tuple[Entry, ...]:
        entries = self.walk(root, folder)
        if not entries:
            raise NotFound(f"there are no files below '{folder or root}'", field="path")
        return tuple(entries)


def _digest(entry: Entry) -> Digest:
    assert entry.digest is not None, "a file has a digest"
    return entry.digest


def _write_new(target: Path, chunks: Iterable[bytes]) -> None:
    try:
        with target.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
    except FileExistsError as error:
        raise Conflict(f"{target} exists; give an empty folder", field="into") from error
