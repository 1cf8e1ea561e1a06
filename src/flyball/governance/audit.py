"""The audit: check the chain of events, write it to a file, and check that file where no platform is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from flyball.kernel.canonical import Digest
from flyball.kernel.errors import InvalidInput
from flyball.kernel.events import (
    GENESIS,
    Event,
    EventLog,
    Ref,
    Verification,
    export_events,
    parse_export,
    verify_chain,
)


class Audit:
    """The record of every change, for those who check it."""

    def __init__(self, events: EventLog) -> None:
        self._events = events

    def verify(self, *, witness: Digest | None = None) -> Verification:
        """Check the whole chain, and that a digest written down earlier (`witness`) is still in it."""
        return self._events.verify(witness=witness)

    def export(self) -> Iterator[bytes]:
        """Write the whole chain, one line of canonical JSON an event."""
        return export_events(self._events.all())

    def page(
        self, *, after: int = 0, limit: int = 100, subject: Ref | None = None, kind: str | None = None
    ) -> list[Event]:
        """Return events after a sequence number, oldest first."""
        return self._events.store.read(after=after, limit=limit, subject=subject, kind=kind)


def verify_export(lines: Iterable[bytes], *, witness: Digest | None = None) -> Verification:
    """Check an export, offline: every byte of it counts. The first bad entry is named by its place in the export."""
    intact: list[int] = []

    def counted() -> Iterator[Event]:
        for event in parse_export(lines):
            yield event
            intact.append(event.seq)

    try:
        return verify_chain(counted(), witness=witness)
    except InvalidInput as error:
        return Verification(
            intact=False, count=len(intact), head=GENESIS, first_bad=len(intact) + 1, reason=error.message
        )


def verify_export_file(path: Path, *, witness: Digest | None = None) -> Verification:
    """Check an export in a file, as `verify_export`.

    Raises:
        InvalidInput: the file cannot be read.
    """
    try:
        with path.open("rb") as lines:
            return verify_export(lines, witness=witness)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", field="path") from error
