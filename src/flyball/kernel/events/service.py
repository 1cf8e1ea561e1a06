"""Record what happened, and prove afterwards that the record is whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from flyball.kernel.canonical import Digest, JsonValue, canonical_json, digest_json, parse_json
from flyball.kernel.clock import Clock
from flyball.kernel.errors import InvalidInput
from flyball.kernel.events.entities import GENESIS, Draft, Edge, Event, EventKind, Ref, Verification
from flyball.kernel.events.ports import EventStore

DEFAULT_PROJECT = "default"
PAGE = 1_000
# Below every sequence number that a column can hold: an event forged at 0 or under it must be looked at too.
BEFORE_ALL = -(2**63)
EDGES_CHANGED = "its lineage edges were changed"


class EventLog:
    """The log as the rooms use it."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    @property
    def store(self) -> EventStore:
        """The store, for questions of lineage."""
        return self._store

    def record(
        self,
        kind: EventKind,
        *,
        actor: str,
        subject: Ref,
        payload: Mapping[str, JsonValue],
        edges: Iterable[Edge] = (),
        project: str = DEFAULT_PROJECT,
    ) -> Event:
        """Append an event inside the caller's transaction.

        Raises:
            InvalidInput: the payload has no canonical JSON form.
        """
        draft = Draft(
            time_ms=self._clock.now_ms(),
            actor=actor,
            kind=kind,
            project=project,
            subject=subject,
            payload=payload,
            edges=tuple(edges),
        )
        return self._store.append(draft)

    def history(self, subject: Ref) -> list[Event]:
        """Return all that happened to a thing, oldest first."""
        return list(self._pages(subject))

    def all(self) -> Iterator[Event]:
        """Walk the whole chain, a page at a time."""
        return self._pages(None)

    def verify(self, *, witness: Digest | None = None) -> Verification:
        """Check the chain, and that the edges kept for walking are those of the events.

        `witness` is the digest of an event that was written down elsewhere: when the tail was cut off, or the whole chain
        was written anew, it is not there any more.
        """
        found = verify_chain(self.all(), witness=witness)
        return self._verify_edges(found) if found.intact else found

    def _pages(self, subject: Ref | None) -> Iterator[Event]:
        after = BEFORE_ALL
        while page := self._store.read(after=after, limit=PAGE, subject=subject):
            yield from page
            after = page[-1].seq

    def _verify_edges(self, found: Verification) -> Verification:
        after = BEFORE_ALL
        while page := self._store.read(after=after, limit=PAGE):
            kept: dict[int, list[Edge]] = {}
            for seq, edge in self._store.all_edges(after=after, limit=PAGE):
                kept.setdefault(seq, []).append(edge)
            for event in page:
                if tuple(kept.get(event.seq, [])) != event.edges:
                    return _broken(found.count, found.head, event.seq, EDGES_CHANGED)
            after = page[-1].seq
        stray = self._store.find_stray_edge()
        return found if stray is None else _broken(found.count, found.head, stray, EDGES_CHANGED)


def verify_chain(events: Iterable[Event], *, witness: Digest | None = None) -> Verification:
    """Check a chain from its first event, offline, and name the first bad entry.

    `witness` is a digest written down earlier that the chain must still hold: only that shows that no tail was cut off.
    """
    previous, count, witnessed = GENESIS, 0, witness in {None, GENESIS}
    for event in events:
        reason = _fault(event, expected_seq=count + 1, previous=previous)
        if reason:
            return _broken(count, previous, min(event.seq, count + 1), reason)
        previous, count = event.digest, count + 1
        witnessed = witnessed or event.digest == witness
    if not witnessed:
        return _broken(
            count, previous, count + 1, f"no entry has the digest {witness}: the chain was cut or written anew"
        )
    return Verification(intact=True, count=count, head=previous)


def _fault(event: Event, *, expected_seq: int, previous: Digest) -> str:
    if event.seq != expected_seq:
        return f"entry {expected_seq} is missing or out of order"
    try:
        expected = digest_json(event.content())
    except InvalidInput:
        return "its content has no canonical form any more"
    if event.digest != expected:
        return "its content was changed"
    return "" if event.previous == previous else "it does not follow the entry before it"


def _broken(count: int, head: Digest, seq: int, reason: str) -> Verification:
    return Verification(intact=False, count=count, head=head, first_bad=seq, reason=reason)


def export_events(events: Iterable[Event]) -> Iterator[bytes]:
    """Write events as lines of canonical JSON, each with its digest."""
    for event in events:
        yield canonical_json({**event.content(), "digest": event.digest}) + b"\n"


def parse_export(lines: Iterable[bytes]) -> Iterator[Event]:
    """Read an export back; a line must be, to the byte, what `export_events` wrote.

    Raises:
        InvalidInput: a line that is no event; the message gives its number.
    """
    for number, line in enumerate(lines, start=1):
        try:
            event = _parse(cast("dict[str, object]", parse_json(line)))
            exact = line.removesuffix(b"\n") == next(export_events([event])).removesuffix(b"\n")
        except (InvalidInput, ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"line {number} of the export is no event: {error}", field=f"line {number}") from error
        if not exact:
            raise InvalidInput(f"line {number} of the export was changed", field=f"line {number}")
        yield event


def _parse(row: dict[str, object]) -> Event:
    edges = cast("list[tuple[str, str, str]]", row["edges"])
    return Event(
        seq=cast("int", row["seq"]),
        time_ms=cast("int", row["time_ms"]),
        actor=cast("str", row["actor"]),
        kind=cast("str", row["kind"]),
        project=cast("str", row["project"]),
        subject=Ref(cast("str", row["subject"])),
        payload=cast("dict[str, JsonValue]", row["payload"]),
        edges=tuple(Edge(subject=Ref(s), relation=r, object=Ref(o)) for s, r, o in edges),
        previous=Digest(cast("str", row["previous"])),
        digest=Digest(cast("str", row["digest"])),
    )
