"""Scratch files: temporary files that are locked while their writer lives, so that a sweep finds exactly the orphans."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from flyball.kernel.errors import StoreFull
from flyball.kernel.ids import new_id

# No space, quota reached, file size limit reached.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Scratch:
    """A folder of scratch files.

    The lock (flock) belongs to the open file and ends with its process, however that ends. An age limit instead would
    either spare orphans for hours or delete the file of a slow upload.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def file(self) -> Iterator[BinaryIO]:
        """Open a new empty file for writing and reading; at the end of the block it is removed, unless moved away.

        Raises:
            StoreFull: the disk is full.
        """
        with disk_faults():
            file = self._claim()
            try:
                with file:
                    yield file
            finally:
                Path(file.name).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Remove every file whose writer is gone, and return how many those were."""
        if not self._folder.is_dir():
            return 0
        return sum(_remove_orphan(path) for path in list(self._folder.iterdir()))

    def _claim(self) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = self._folder / new_id()
            file = path.open("x+b")
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists():
                return file
            file.close()  # a sweep came between the creation and the lock


def _remove_orphan(path: Path) -> bool:
    with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
        return True
    return False


@contextmanager
def disk_faults() -> Iterator[None]:
    """Turn a full disk into our error; every other error passes through."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StoreFull(
            "the disk of the artifact store is full; nothing of this artifact was kept: free space and repeat it"
        ) from error
