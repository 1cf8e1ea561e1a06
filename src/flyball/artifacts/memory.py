"""Blobs and names in memory: the specification, and the double for tests."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flyball.artifacts.entities import Blob, Entry
from flyball.artifacts.paths import direct_children, file_and_folder, folders_of
from flyball.artifacts.streams import checked, missing_blob
from flyball.kernel.canonical import Digest, digest_bytes, parse_digest


class MemoryBlobStore:
    """A dictionary from digest to bytes."""

    def __init__(self) -> None:
        self._blobs: dict[Digest, bytes] = {}

    def put(self, chunks: Iterable[bytes]) -> Blob:
        data = b"".join(chunks)
        blob = Blob(digest=digest_bytes(data), size_bytes=len(data))
        self._blobs[blob.digest] = data
        return blob

    def open(self, digest: Digest) -> Iterator[bytes]:
        return checked([self._get(digest)], digest)

    def has(self, digest: Digest) -> bool:
        return parse_digest(digest) in self._blobs

    def size(self, digest: Digest) -> int:
        return len(self._get(digest))

    def delete(self, digest: Digest) -> None:
        self._blobs.pop(parse_digest(digest), None)

    def digests(self) -> Iterator[Digest]:
        return iter(list(self._blobs))

    @contextmanager
    def fetch(self, digest: Digest) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / digest
            path.write_bytes(b"".join(self.open(digest)))
            yield path

    def sweep_temporary(self) -> int:
        return 0

    def _get(self, digest: Digest) -> bytes:
        data = self._blobs.get(parse_digest(digest))
        if data is None:
            raise missing_blob(digest)
        return data


class MemoryNameStore:
    """A dictionary from (root, path) to entry, under a lock."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}
        self._lock = threading.RLock()

    def bind(self, root: str, path: str, *, blob: Blob) -> Entry:
        with self._lock:
            clash = self._clash(root, path)
            if clash is not None:
                raise file_and_folder(path, clash=clash)
            entry = self._entries[root, path] = Entry.of_file(path, blob)
            return entry

    def find(self, root: str, path: str) -> Entry | None:
        return self._entries.get((root, path))

    def walk(self, root: str, folder: str) -> list[Entry]:
        prefix = f"{folder}/" if folder else ""
        with self._lock:
            files = [entry for (owner, path), entry in self._entries.items() if owner == root]
        return sorted((file for file in files if file.path.startswith(prefix)), key=lambda entry: entry.path)

    def remove(self, root: str, path: str) -> int:
        with self._lock:
            doomed = [entry.path for entry in self.walk(root, path)]
            doomed += [path] if self.find(root, path) else []
            for name in doomed:
                del self._entries[root, name]
            return len(doomed)

    def list(self, root: str, folder: str) -> list[Entry]:
        return direct_children(self.walk(root, folder), folder=folder)

    def _clash(self, root: str, path: str) -> str | None:
        files_as_folders = [folder for folder in folders_of(path) if (root, folder) in self._entries]
        return next(iter(files_as_folders + [entry.path for entry in self.walk(root, path)]), None)
