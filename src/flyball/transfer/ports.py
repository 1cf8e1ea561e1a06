"""The ports of transfer: a source to read from, the files of a source, the record of imports, and who watches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from flyball.tracking.entities import Experiment, LoggedModel
from flyball.transfer.entities import (
    Census,
    FoundModel,
    FoundRun,
    Imported,
    Kind,
    Place,
    SourceDescription,
    SourceFile,
)


class FileSource(Protocol):
    """Read the files of runs and logged models."""

    def walk(self, place: Place) -> Iterator[SourceFile]:
        """Yield every file below a place, in any order.

        Raises:
            FlyballError: the place cannot be read; the message says why and what to do.
        """
        ...

    def open(self, place: Place, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file.

        Raises:
            FlyballError: the file cannot be read.
        """
        ...


class Source(Protocol):
    """Read everything of one source, each kind in a stable order, in memory that does not grow with the source.

    One thread reads at a time. What is yielded carries the source's own ids and places.
    """

    @property
    def description(self) -> SourceDescription:
        """What this source is."""
        ...

    @property
    def files(self) -> FileSource:
        """The files of its runs and logged models."""
        ...

    def census(self) -> Census:
        """Count what is there."""
        ...

    def experiments(self) -> Iterator[Experiment]:
        """Yield every experiment, deleted ones too."""
        ...

    def runs(self, experiment_id: str) -> Iterator[FoundRun]:
        """Yield every run of an experiment, deleted ones too; its batches are read before the next run is asked for."""
        ...

    def logged_models(self, experiment_id: str) -> Iterator[LoggedModel]:
        """Yield every logged model of an experiment, deleted ones too where the source shows them."""
        ...

    def registered_models(self) -> Iterator[FoundModel]:
        """Yield every registered model with its versions; the digest of a version is left empty."""
        ...

    def not_taken(self) -> Mapping[str, int]:
        """Count what the source holds and an import does not take, by name."""
        ...

    def damaged(self) -> Sequence[str]:
        """Return, after everything was read, what could not be read, a sentence each."""
        ...

    def close(self) -> None:
        """Let go of the source."""
        ...


class ImportStore(Protocol):
    """Keep the record of what was imported. Writes join the transaction that the calling thread is in."""

    def find(self, source: str, kind: Kind, source_key: str) -> Imported | None:
        """Return the record of a thing of a source."""
        ...

    def same(self, kind: Kind, target_key: str, digest: str) -> bool:
        """Tell whether a thing here came, whole, from any source with this content."""
        ...

    def put(self, imported: Imported) -> None:
        """Keep a record, over an older one of the same thing."""
        ...


class Progress(Protocol):
    """Who watches an import or an export."""

    def begin(self, what: str, *, total: int | None) -> None:
        """A kind of things comes next; the total may be unknown."""
        ...

    def advance(self, count: int = 1) -> None:
        """So many of them are done."""
        ...
