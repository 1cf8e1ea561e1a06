"""Hash bytes while they flow, so that nothing is read twice or held whole."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from flyball.artifacts.entities import Blob
from flyball.kernel.canonical import Digest
from flyball.kernel.errors import Corrupted, LimitExceeded, NotFound

# Large enough that the cost of a call vanishes beside hashing, small enough that a hundred streams fit in memory.
CHUNK_BYTES = 1 << 20

# The interpreter lock is free while a large chunk is hashed, so that two cores share the work. A small blob is hashed before a
# thread would have started.
HASHED_INLINE = 4
LARGE_BYTES = 1 << 18
MOST_WAITING = 3


class Tally:
    """Count and hash the chunks that pass through."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size_bytes = 0

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass the chunks on; large ones are hashed in a thread while they are on their way."""
        waiting: deque[Future[None]] = deque()
        hasher = ThreadPoolExecutor(1, thread_name_prefix="hash")
        try:
            for at, chunk in enumerate(chunks):
                self._size_bytes += len(chunk)
                if at >= HASHED_INLINE and len(chunk) >= LARGE_BYTES:
                    if len(waiting) == MOST_WAITING:
                        waiting.popleft().result()
                    waiting.append(hasher.submit(self._hash.update, chunk))
                else:
                    _settle(waiting)
                    self._hash.update(chunk)
                yield chunk
            _settle(waiting)
        finally:
            # Never wait here: a stream that was left half-way is ended by the garbage collector, in whatever thread it happens
            # to run, also in one that is just being started and holds the lock by which threads are joined.
            hasher.shutdown(wait=False)

    @property
    def blob(self) -> Blob:
        """What has passed so far."""
        return Blob(digest=Digest(self._hash.hexdigest()), size_bytes=self._size_bytes)


def _settle(waiting: deque[Future[None]]) -> None:
    while waiting:
        waiting.popleft().result()


def checked(chunks: Iterable[bytes], digest: Digest) -> Iterator[bytes]:
    """Pass the chunks on, and raise at their end where they do not match the digest.

    Raises:
        Corrupted: they do not.
    """
    tally = Tally()
    yield from tally.through(chunks)
    if tally.blob.digest != digest:
        raise Corrupted(
            f"blob {digest} was changed in its store: its bytes now have the digest {tally.blob.digest}; "
            "restore it from a backup"
        )


def limited(chunks: Iterable[bytes], *, max_bytes: int) -> Iterator[bytes]:
    """Pass the chunks on, and raise as soon as they are more than allowed.

    Raises:
        LimitExceeded: they are.
    """
    size_bytes = 0
    for chunk in chunks:
        size_bytes += len(chunk)
        if size_bytes > max_bytes:
            raise LimitExceeded(f"the artifact is larger than {max_bytes} bytes; raise FLYBALL_MAX_ARTIFACT_BYTES")
        yield chunk


def read_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Read a file from where it stands to its end."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def missing_blob(digest: Digest) -> NotFound:
    """Say that a blob is not there."""
    return NotFound(f"there is no blob {digest} in the artifact store", field="digest")
