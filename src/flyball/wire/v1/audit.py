"""Shapes of the audit and of the questions about lineage."""

from __future__ import annotations

from typing import Annotated

import msgspec

from flyball.wire.v1 import Body, Shape, Whole


class Verified(Shape):
    """What a check of the chain found; keep `head` elsewhere to prove later that no tail was cut off."""

    intact: bool
    count: int
    head: str
    first_bad: int | None
    reason: str


class EventQuery(Body):
    """Which events: after a sequence number, of one subject."""

    after: Whole = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
    subject: str | None = None


class EventInfo(Shape):
    """An event."""

    seq: int
    time_ms: int
    actor: str
    kind: str
    subject: str
    payload: msgspec.Raw
    digest: str


class EventList(Shape):
    """Events, oldest first."""

    events: list[EventInfo]


class WhyAnswer(Shape):
    """The chain behind a thing: `text` to read; `explanation` to process, each hop with the event that proves it."""

    ref: str
    text: str
    explanation: msgspec.Raw
