"""The bytes of artifacts in a journal, by digest, until they are shipped.

They are copied, not linked: a training script that writes its checkpoint again in place would change a linked one as well.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from flyball.client.journal.writer import Writer
from flyball.kernel.ids import new_id

_CHUNK = 1 << 20


class Files:
    """Files of one journal. Every method may be called from any thread."""

    def __init__(self, folder: Path, writer: Writer) -> None:
        self._folder = folder
        self._writer = writer
        self._lock = threading.Lock()
        self._used: Counter[str] = Counter()

    def keep(self, source: Path) -> tuple[str, int]:
        """Copy a file, and return its digest and size.

        Raises:
            StoreFull: the limit of the journals is reached.
            Unavailable: the journal is closed.
        """
        with source.open("rb") as content:
            return self._keep(content, os.fstat(content.fileno()).st_size)

    def keep_bytes(self, content: bytes) -> tuple[str, int]:
        """Keep bytes as a file."""
        return self._keep(io.BytesIO(content), len(content))

    def free(self, sha256: str) -> None:
        """Forget one use of a file, and its bytes with the last one."""
        with self._lock:
            self._used[sha256] -= 1
            if self._used[sha256] <= 0:
                del self._used[sha256]
                (self._folder / sha256).unlink(missing_ok=True)

    def _keep(self, content: BinaryIO, size_bytes: int) -> tuple[str, int]:
        self._writer.hold_room(size_bytes)
        draft = self._folder / f".{new_id()}"
        try:
            sha256, size = _copy(content, draft)
            with self._lock:
                kept = self._folder / sha256
                if not self._used[sha256]:
                    draft.replace(kept)
                self._used[sha256] += 1
        except FileNotFoundError:
            self._writer.require_open()  # closed and shipped meanwhile, the journal took its folder along
            raise
        finally:
            draft.unlink(missing_ok=True)
        self._writer.sync_with_next_group(kept)
        return sha256, size


def _copy(content: BinaryIO, into: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with into.open("xb") as copy:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            copy.write(chunk)
            size += len(chunk)
    return digest.hexdigest(), size
