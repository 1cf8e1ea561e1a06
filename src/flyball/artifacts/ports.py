"""The ports of the room: where bytes live, and where their names live."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from flyball.artifacts.entities import Blob, Entry
from flyball.kernel.canonical import Digest

DELETION = "artifacts/deletion"
"""The lease of whoever deletes blobs. A backup takes it as well, so that nothing is deleted while it copies."""


class BlobStore(Protocol):
    """Keep bytes under their SHA-256.

    Threads and processes: any number may use one store; two writers of the same content both succeed and leave one blob.
    Atomicity: a blob is there whole or not at all, also after a crash; when `put` has returned, it survives a power cut.
    Memory: `put`, `open` and `fetch` hold a few chunks at a time, whatever the size (the memory store excepted).
    Every verb that takes a digest raises InvalidInput for text that is none, so no such text ever reaches a path.
    """

    def put(self, chunks: Iterable[bytes]) -> Blob:
        """Store the bytes, and return once they are durable. Storing what is there already is no error.

        An exception of the iterable passes through, and nothing is kept.

        Raises:
            StoreFull: there is no room; nothing of this blob was kept, and every earlier one is untouched.
            Unavailable: the store is out of reach.
        """
        ...

    def open(self, digest: Digest) -> Iterator[bytes]:
        """Stream a blob, and check it on the way.

        Raises:
            NotFound: there is no such blob; raised by the call itself, before the first chunk.
            Corrupted: what was read does not match the digest; raised after the last chunk.
        """
        ...

    def has(self, digest: Digest) -> bool:
        """Tell whether the blob is there."""
        ...

    def size(self, digest: Digest) -> int:
        """Return the size in bytes.

        Raises:
            NotFound: there is no such blob.
        """
        ...

    def delete(self, digest: Digest) -> None:
        """Remove a blob; without effect when it is not there. The caller holds DELETION, and no name needs the blob any more."""
        ...

    def digests(self) -> Iterator[Digest]:
        """Walk all blobs, in no promised order."""
        ...

    def fetch(self, digest: Digest) -> AbstractContextManager[Path]:
        """Lend a local file with the blob's bytes, checked; it must not be changed, and is gone after the block.

        Raises:
            NotFound: there is no such blob.
            Corrupted: the bytes do not match the digest.
        """
        ...

    def sweep_temporary(self) -> int:
        """Remove what crashed writers left behind, and return how many files that were. Living writers are spared."""
        ...


class NameStore(Protocol):
    """Keep names: under a root, a path points at a blob. Folders follow from the paths and are not kept themselves.

    Threads and processes: any number. Atomicity: each verb joins the transaction that the calling thread is in. Roots and
    paths are clean already (see `paths.py`). Order: listings are sorted by path, in the order of code points.
    """

    def bind(self, root: str, path: str, *, blob: Blob) -> Entry:
        """Let a name point at a blob, instead of what it pointed at before.

        Raises:
            Conflict: the path is a folder already, or one of its folders is a file.
        """
        ...

    def find(self, root: str, path: str) -> Entry | None:
        """Return the file of that name, None when there is none (a folder is no file)."""
        ...

    def walk(self, root: str, folder: str) -> list[Entry]:
        """Return all files below a folder (empty text: below the root); none when there is no such folder."""
        ...

    def remove(self, root: str, path: str) -> int:
        """Remove a file, or all files below a folder (empty text: below the root); return how many files that were."""
        ...

    def list(self, root: str, folder: str) -> list[Entry]:
        """Return the files and folders directly in a folder (empty text: in the root); none when there is no such folder."""
        ...
