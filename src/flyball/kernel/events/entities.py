"""Events, the edges of lineage that they carry, and what a verification says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType, cast

from flyball.kernel.canonical import Digest, JsonValue, canonical_json, digest_json, parse_json
from flyball.kernel.errors import InvalidInput

GENESIS = Digest("0" * 64)
"""What stands in the place of a previous digest before the first event."""

Ref = NewType("Ref", str)
"""A thing anywhere in the platform, as `<kind>:<key>`; for example `run:0190...` or `model-version:elec2/3`."""


def ref(kind: str, key: str) -> Ref:
    """Name a thing.

    >>> ref("model-version", "elec2/3")
    'model-version:elec2/3'
    """
    return Ref(f"{kind}:{key}")


class EventKind(StrEnum):
    """What happened. Each room derives one enumeration; every member is documented in `docs/reference/events.md`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One step of lineage: `subject` stands in `relation` to `object`, e.g. run *used* dataset version."""

    subject: Ref
    relation: str
    object: Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event before it has its place in the chain."""

    time_ms: int
    actor: str
    kind: str
    project: str
    subject: Ref
    payload: Mapping[str, JsonValue]
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An entry of the chain. `digest` is the SHA-256 of the canonical JSON of all the other fields."""

    seq: int
    time_ms: int
    actor: str
    kind: str
    project: str
    subject: Ref
    payload: Mapping[str, JsonValue]
    edges: tuple[Edge, ...]
    previous: Digest
    digest: Digest

    def content(self) -> dict[str, JsonValue]:
        """Return what the digest covers."""
        return {
            "seq": self.seq,
            "time_ms": self.time_ms,
            "actor": self.actor,
            "kind": self.kind,
            "project": self.project,
            "subject": self.subject,
            "payload": dict(self.payload),
            "edges": [[edge.subject, edge.relation, edge.object] for edge in self.edges],
            "previous": self.previous,
        }


def chain(draft: Draft, *, seq: int, previous: Digest) -> Event:
    """Give a draft its place behind the event whose digest is `previous`.

    Raises:
        InvalidInput: the payload has no canonical JSON form, or a name holds a NUL, which PostgreSQL cannot keep.
    """
    _refuse_nul(draft)
    unsealed = Event(
        seq=seq,
        time_ms=draft.time_ms,
        actor=draft.actor,
        kind=str(draft.kind),
        project=draft.project,
        subject=draft.subject,
        payload=copy_payload(draft.payload),
        edges=tuple(draft.edges),
        previous=previous,
        digest=GENESIS,
    )
    return seal(unsealed)


def copy_payload(payload: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Return a copy that its caller's later changes do not reach, in the form in which a database gives it back."""
    return cast("Mapping[str, JsonValue]", parse_json(canonical_json(dict(payload))))


def _refuse_nul(draft: Draft) -> None:
    ends = [end for edge in draft.edges for end in (edge.subject, edge.relation, edge.object)]
    for name in (draft.actor, draft.kind, draft.project, draft.subject, *ends):
        if "\0" in name:
            raise InvalidInput(f"{name!r} holds a NUL character; leave it out", field="subject")


def seal(event: Event) -> Event:
    """Return the event with the digest that its content calls for."""
    return Event(
        seq=event.seq,
        time_ms=event.time_ms,
        actor=event.actor,
        kind=event.kind,
        project=event.project,
        subject=event.subject,
        payload=event.payload,
        edges=event.edges,
        previous=event.previous,
        digest=digest_json(event.content()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a check of the chain found. `head` is worth writing down elsewhere: it also proves that no tail was cut off."""

    intact: bool
    count: int
    head: Digest
    first_bad: int | None = None
    reason: str = ""
