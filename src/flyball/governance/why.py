"""Why something happened: walk the edges of lineage from an effect to its causes, each step proven by an event.

Causes precede effects. So a walk that passes through a moment (an alert, a window, a request) considers only what was
recorded before that moment, and of an endpoint only what it served at that moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from flyball.governance.explanation import SEEN, Explanation, Hop, Proof, hop_fault, proof_of
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.kernel.events import Edge, Event, EventLog, Ref, Verification, verify_chain
from flyball.kernel.events.entities import seal

PredictionResolver = Callable[[str], Sequence[Ref]]
"""Tell what a prediction belongs to: its endpoint, its model version, its window. Raises NotFound for an unknown id."""

MAX_DEPTH = 12
MAX_WIDTH = 8
MAX_HOPS = 300
MAX_STORY = 4
PREDICTION = "prediction"
ENDPOINT = "endpoint"
RECORDED_WITH = "recorded-with"
SERVES = "serves"
MOMENTS = frozenset({"alert", "window", "request"})
# Most edges point from an effect to its cause. These point at the thing whose history they belong to: a decision judged a
# version, so it is a reason why the version is where it is. By kind of thing: (relation, kind of the subject).
ANSWERS = {
    "model-version": (("judged", "decision"), ("of", "rollout")),
    "decision": (
        ("approves", "approval"),
        ("rejects", "approval"),
        ("withdraws", "approval"),
        ("expires", "approval"),
    ),
}

PASSIVE = {
    "judged": "judged-by",
    "of": "rolled-out-by",
    "approves": "approved-by",
    "rejects": "rejected-by",
    "withdraws": "withdrawn-by",
    "expires": "expired-by",
}


@dataclass(slots=True, kw_only=True)
class _Node:
    """A thing on the way, while the walk goes on.

    Nothing recorded after `horizon` can be a cause of it; `moment` is when the walk came by, for what changes with time.
    """

    thing: Ref
    depth: int
    horizon: int | None = None
    moment: int | None = None
    relation: str = ""
    edge: Edge | None = None
    proof: Proof | None = None
    fault: str = ""
    cut: str = ""
    story: tuple[Proof, ...] = ()
    causes: list[_Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    thing: Ref
    relation: str
    seq: int
    edge: Edge


class Why:
    """Answers from the event log. `prediction` tells what a prediction belongs to: predictions have no events."""

    def __init__(self, events: EventLog, *, prediction: PredictionResolver | None = None) -> None:
        self._log = events
        self._prediction = prediction

    def chain(self, thing: Ref, *, depth: int = MAX_DEPTH, width: int = MAX_WIDTH) -> Explanation:
        """Explain a thing by its causes, nearest first, each thing once.

        Raises:
            InvalidInput: the reference has no kind, or the bounds are not positive.
            NotFound: nothing is recorded about it.
        """
        if depth < 1 or width < 1:
            raise InvalidInput("the depth and the width of an explanation are at least 1", field="depth")
        root = _Node(thing=parse_thing(thing), depth=0)
        self._walk(root, depth=depth, width=width)
        if not root.causes and not root.story:
            raise NotFound(f"nothing is recorded about '{thing}'; check its kind and its id", field="thing")
        return Explanation(root=_freeze(root))

    def _walk(self, root: _Node, *, depth: int, width: int) -> None:
        # Breadth first, so that a thing is explained where it is nearest to the effect, and mentioned elsewhere.
        seen, hops = {root.thing}, 0
        queue = deque([root])
        while queue:
            node = queue.popleft()
            node.story = self._story(node)
            for cause in self._causes(node, width=width):
                node.causes.append(cause)
                hops += 1
                cause.cut = _cut(cause, seen=seen, depth=depth, hops=hops)
                if not cause.cut:
                    seen.add(cause.thing)
                    queue.append(cause)

    def _causes(self, node: _Node, *, width: int) -> Iterator[_Node]:
        if node.thing.startswith(f"{PREDICTION}:"):
            yield from self._of_prediction(node)
            return
        links = _distinct(node, self._links(node, width=width + 1))
        for link in links[:width]:
            yield self._follow(node, link)
        if len(links) > width:
            node.cut = "more than is shown"

    def _of_prediction(self, node: _Node) -> Iterator[_Node]:
        if self._prediction is None:
            raise InvalidInput("predictions cannot be explained here: no prediction log is at hand", field="thing")
        for thing in self._prediction(node.thing.partition(":")[2]):
            # The record itself names the version; what the endpoint serves by now has nothing to do with it.
            moment = 0 if _kind(thing) == ENDPOINT else None
            yield _Node(thing=thing, depth=node.depth + 1, moment=moment, relation=RECORDED_WITH)

    def _links(self, node: _Node, *, width: int) -> list[_Link]:
        found = self._outgoing(node, width=width)
        for relation, kind in ANSWERS.get(_kind(node.thing), ()):
            incoming = self._log.store.links(target=node.thing, relation=relation, up_to=node.horizon, limit=width)
            found += [
                _Link(thing=edge.subject, relation=PASSIVE[relation], seq=seq, edge=edge)
                for seq, edge in incoming
                if _kind(edge.subject) == kind
            ]
        return found

    def _outgoing(self, node: _Node, *, width: int) -> list[_Link]:
        pairs = self._log.store.links(subject=node.thing, up_to=node.horizon, limit=width)
        if _kind(node.thing) == ENDPOINT:
            pairs = [pair for pair in pairs if pair[1].relation != SERVES] + self._state(node)
        if _kind(node.thing) in MOMENTS and pairs:
            node.moment = max(seq for seq, _ in pairs)
            node.horizon = node.moment
        return [_Link(thing=edge.object, relation=edge.relation, seq=seq, edge=edge) for seq, edge in pairs]

    def _state(self, node: _Node) -> list[tuple[int, Edge]]:
        """Return what an endpoint served at the moment the walk came from: the edges of one event, the newest before it."""
        up_to = node.horizon if node.moment is None else node.moment
        pairs = self._log.store.links(subject=node.thing, relation=SERVES, up_to=up_to, limit=MAX_WIDTH)
        return [pair for pair in pairs if pair[0] == pairs[0][0]]

    def _follow(self, node: _Node, link: _Link) -> _Node:
        event = self._log.store.read(after=link.seq - 1, limit=1)
        proof, fault = (proof_of(event[0]), _fault(event[0], link)) if event else (None, "its event is missing")
        return _Node(
            thing=link.thing,
            depth=node.depth + 1,
            horizon=node.horizon,
            moment=link.seq if node.moment is None else min(link.seq, node.moment),
            relation=link.relation,
            edge=link.edge,
            proof=proof,
            fault=fault,
        )

    def _story(self, node: _Node) -> tuple[Proof, ...]:
        """Return the first things that happened to a thing itself: who made it, who answered it."""
        events = self._log.store.read(after=0, limit=MAX_STORY, subject=node.thing)
        return tuple(proof_of(event) for event in events)


def parse_thing(text: str) -> Ref:
    """Read a reference `<kind>:<key>`, for example `alert:0190...` or `model-version:elec2/3`.

    Raises:
        InvalidInput: there is no kind or no key.
    """
    kind, _, key = text.partition(":")
    if not kind or not key:
        raise InvalidInput(
            f"'{text[:80]}' names no thing; example: alert:<id> or model-version:<name>/<n>", field="thing"
        )
    return Ref(text)


def verify_explanation(explanation: Explanation, events: Iterable[Event]) -> Verification:
    """Check an explanation against an export, offline: the chain is whole, and each hop is in the event it names."""
    wanted: dict[int, list[tuple[Hop, Hop]]] = {}
    for effect, cause in explanation.walk():
        if cause.proof is not None:
            wanted.setdefault(cause.proof.seq, []).append((effect, cause))
    faults: dict[int, str] = {}

    def watched() -> Iterator[Event]:
        for event in events:
            reasons = [hop_fault(effect, cause, event) for effect, cause in wanted.pop(event.seq, [])]
            if any(reasons):
                faults[event.seq] = next(filter(None, reasons))
            yield event

    found = verify_chain(watched())
    faults |= {seq: f"event {seq}, which the explanation names, is not in the export" for seq in wanted}
    if not found.intact or not faults:
        return found
    first = min(faults)
    return Verification(intact=False, count=found.count, head=found.head, first_bad=first, reason=faults[first])


def _fault(event: Event, link: _Link) -> str:
    if seal(event).digest != event.digest:
        return "the event's content was changed"
    return "" if link.edge in event.edges else "the event does not carry this edge"


def _cut(node: _Node, *, seen: set[Ref], depth: int, hops: int) -> str:
    if node.thing in seen:
        return SEEN
    if node.depth >= depth or hops >= MAX_HOPS:
        return "not followed further"
    return ""


def _distinct(node: _Node, links: list[_Link]) -> list[_Link]:
    """Keep the newest link to each thing, without the very edge by which the walk came."""
    kept: dict[Ref, _Link] = {}
    for link in links:
        if link.edge != node.edge:
            kept.setdefault(link.thing, link)
    return list(kept.values())


def _kind(thing: Ref) -> str:
    return thing.partition(":")[0]


def _freeze(node: _Node) -> Hop:
    return Hop(
        thing=node.thing,
        relation=node.relation,
        edge=node.edge,
        proof=node.proof,
        story=node.story,
        fault=node.fault,
        cut=node.cut,
        causes=tuple(map(_freeze, node.causes)),
    )
