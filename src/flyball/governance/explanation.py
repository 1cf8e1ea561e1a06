"""Explanations: a tree from an effect to its causes, as text for people and as JSON for machines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from flyball.kernel.canonical import Digest, JsonValue, canonical_json
from flyball.kernel.errors import InvalidInput
from flyball.kernel.events import Edge, Event, Ref

SEEN = "see above"
"""Why a hop goes no further: the thing is explained elsewhere in the tree, nearer to the effect."""
MAX_FACTS = 8
MAX_FACT_BYTES = 200
TEXT_CHARACTERS = 150
SHORT_DIGEST = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The event that proves a statement: where it is in the chain, and what its digest is."""

    seq: int
    digest: Digest
    kind: str
    actor: str
    time_ms: int
    facts: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """A thing in the explanation, and how one came to it.

    `edge` and `proof` are None for the thing that was asked about, and for what a prediction record says about itself.
    `fault` says why a hop is not proven; `cut` says why it is not followed further; `story` is what happened to the thing.
    """

    thing: Ref
    relation: str
    edge: Edge | None
    proof: Proof | None
    story: tuple[Proof, ...]
    fault: str
    cut: str
    causes: tuple[Hop, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer to `why`."""

    root: Hop

    @property
    def intact(self) -> bool:
        """Whether every hop is proven by its event."""
        return not any(hop.fault for _, hop in self.walk())

    @property
    def complete(self) -> bool:
        """Whether nothing was left out by the bounds of depth and width."""
        return not any(hop.cut not in {"", SEEN} for hop in [self.root, *(hop for _, hop in self.walk())])

    def walk(self) -> Iterator[tuple[Hop, Hop]]:
        """Yield (effect, cause) for every hop, in the order of the text."""
        stack = [(self.root, cause) for cause in reversed(self.root.causes)]
        while stack:
            effect, cause = stack.pop()
            yield effect, cause
            stack += [(cause, further) for further in reversed(cause.causes)]

    def lines(self) -> Iterator[str]:
        """Render as an indented tree."""
        yield from _lines(self.root, first="", rest="")

    def to_json(self) -> dict[str, JsonValue]:
        """Return the tree as JSON; `explanation_from_json` reads it back."""
        return {"intact": self.intact, "complete": self.complete, "root": _hop_json(self.root)}


def proof_of(event: Event) -> Proof:
    """Point at an event, with those of its facts that are short enough to read; of a long text its beginning."""
    facts = {
        key: shown for key in sorted(event.payload) if (shown := _shown(event.payload[key])) not in (None, "", [], {})
    }
    return Proof(
        seq=event.seq,
        digest=event.digest,
        kind=event.kind,
        actor=event.actor,
        time_ms=event.time_ms,
        facts=dict(list(facts.items())[:MAX_FACTS]),
    )


def _shown(value: JsonValue) -> JsonValue:
    """Return what is shown of a fact: all, the beginning of a long text, or nothing."""
    if len(canonical_json(value)) <= MAX_FACT_BYTES:
        return value
    return value[:TEXT_CHARACTERS] + "…" if isinstance(value, str) else None


def hop_fault(effect: Hop, cause: Hop, event: Event) -> str:
    """Return why an event does not prove a hop, empty when it does."""
    if cause.proof is None or cause.edge is None or event.digest != cause.proof.digest:
        return f"event {event.seq} is not the one that the explanation was made from"
    if cause.edge not in event.edges or {effect.thing, cause.thing} != {cause.edge.subject, cause.edge.object}:
        return f"event {event.seq} does not say that {effect.thing} is {cause.relation} {cause.thing}"
    return ""


def explanation_from_json(value: JsonValue) -> Explanation:
    """Read an explanation back.

    Raises:
        InvalidInput: this is no explanation.
    """
    try:
        root = cast("Mapping[str, JsonValue]", value)["root"]
        return Explanation(root=_hop_from(cast("Mapping[str, JsonValue]", root)))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"this is no explanation: {error}", field="explanation") from error


def _lines(hop: Hop, *, first: str, rest: str) -> Iterator[str]:
    yield first + _headline(hop)
    own = hop.proof.seq if hop.proof else None
    bar = "│  " if hop.causes else "   "
    for proof in hop.story:
        if proof.seq != own:
            yield f"{rest}{bar}· {_proof_text(proof)}{_facts_text(proof.facts)}"
    for number, cause in enumerate(hop.causes, start=1):
        last = number == len(hop.causes)
        yield from _lines(cause, first=rest + ("└─ " if last else "├─ "), rest=rest + ("   " if last else "│  "))


def _headline(hop: Hop) -> str:
    parts: list[str] = [hop.relation, hop.thing] if hop.relation else [hop.thing]
    if hop.proof is not None:
        parts.append(f"({_proof_text(hop.proof)})")
    if hop.cut:
        parts.append(f"[{hop.cut}]")
    if hop.fault:
        parts.append(f"NOT PROVEN: {hop.fault}")
    return " ".join(parts)


def _proof_text(proof: Proof) -> str:
    moment = dt.datetime.fromtimestamp(proof.time_ms / 1000, tz=dt.UTC)
    return f"#{proof.seq} {proof.kind} by {proof.actor}, {moment:%Y-%m-%dT%H:%M:%SZ}, {proof.digest[:SHORT_DIGEST]}"


def _facts_text(facts: Mapping[str, JsonValue]) -> str:
    texts = [
        f"{key}={value if isinstance(value, str) else canonical_json(value).decode()}" for key, value in facts.items()
    ]
    return f": {', '.join(texts)}" if texts else ""


def _hop_json(hop: Hop) -> dict[str, JsonValue]:
    return {
        "thing": hop.thing,
        "relation": hop.relation,
        "edge": None if hop.edge is None else [hop.edge.subject, hop.edge.relation, hop.edge.object],
        "proof": None if hop.proof is None else _proof_json(hop.proof),
        "story": [_proof_json(proof) for proof in hop.story],
        "fault": hop.fault,
        "cut": hop.cut,
        "causes": [_hop_json(cause) for cause in hop.causes],
    }


def _proof_json(proof: Proof) -> dict[str, JsonValue]:
    return {
        "seq": proof.seq,
        "digest": proof.digest,
        "kind": proof.kind,
        "actor": proof.actor,
        "time_ms": proof.time_ms,
        "facts": proof.facts,
    }


def _hop_from(value: Mapping[str, JsonValue]) -> Hop:
    edge = cast("tuple[str, str, str] | None", value["edge"])
    proof = cast("Mapping[str, JsonValue] | None", value["proof"])
    return Hop(
        thing=Ref(str(value["thing"])),
        relation=str(value["relation"]),
        edge=None if edge is None else Edge(subject=Ref(edge[0]), relation=edge[1], object=Ref(edge[2])),
        proof=None if proof is None else _proof_from(proof),
        story=tuple(_proof_from(part) for part in cast("Sequence[Mapping[str, JsonValue]]", value["story"])),
        fault=str(value["fault"]),
        cut=str(value["cut"]),
        causes=tuple(_hop_from(part) for part in cast("Sequence[Mapping[str, JsonValue]]", value["causes"])),
    )


def _proof_from(value: Mapping[str, JsonValue]) -> Proof:
    return Proof(
        seq=cast("int", value["seq"]),
        digest=Digest(str(value["digest"])),
        kind=str(value["kind"]),
        actor=str(value["actor"]),
        time_ms=cast("int", value["time_ms"]),
        facts=cast("Mapping[str, JsonValue]", value["facts"]),
    )
