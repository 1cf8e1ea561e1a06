"""The port of dataset versions."""

from __future__ import annotations

from typing import Protocol

from flyball.datasets.entities import DatasetVersion
from flyball.kernel.canonical import Digest


class DatasetStore(Protocol):
    """Keep dataset versions; they never change and are never numbered twice.

    Threads and processes: any number. Atomicity: verbs join the transaction that the calling thread is in. Copies: what is
    returned is immutable.
    """

    def next_version(self, name: str) -> int:
        """Return the number that comes after the newest version, 1 at first.

        The name is held until the calling thread's transaction ends, so nobody else is given the same number.
        """
        ...

    def insert(self, version: DatasetVersion) -> None:
        """Add a version under the number that `next_version` gave in this transaction."""
        ...

    def find(self, name: str, version: int) -> DatasetVersion | None:
        """Return a version, None when there is none."""
        ...

    def find_latest(self, name: str) -> DatasetVersion | None:
        """Return the version with the highest number, None when there is none of that name."""
        ...

    def find_digest(self, digest: Digest, *, name: str | None = None) -> DatasetVersion | None:
        """Return the first version that was added with this content (of that name, if given), None when there is none."""
        ...

    def list(self, name: str | None = None) -> list[DatasetVersion]:
        """Return the versions of a dataset, or of all, sorted by name and number."""
        ...
