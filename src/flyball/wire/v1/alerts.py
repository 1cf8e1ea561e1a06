"""Shapes of alerts, silences and the sinks that alerts go to."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from flyball.wire.v1 import Body, Shape, Whole

Pattern = Annotated[str, msgspec.Meta(max_length=200)]


class DeliveryInfo(Shape):
    """Where the telling of an alert to one sink stands. `next_ms` is when it is tried, or told, again."""

    sink: str
    occasion: str
    state: str
    attempts: int
    reason: str
    next_ms: int | None
    updated_ms: int


class AlertInfo(Shape):
    """An alert, and what most likely caused it, the likeliest first; `ranked_by` says by what.

    `silence` is the silence that it is under now, with the moment of its end; empty and None when it is under none.
    """

    id: str
    monitor: str
    kind: str
    state: str
    window_start_ms: int
    window_end_ms: int
    cause: list[str]
    created_ms: int
    endpoint: str = ""
    model: str = ""
    version: int | None = None
    note: str = ""
    ranked_by: str = "strength"
    silence: str = ""
    silenced_until_ms: int | None = None
    deliveries: list[DeliveryInfo] = msgspec.field(default_factory=list)


class AlertQuery(Body):
    """Which alerts are wanted. `state` may be given several times; `since_ms` is when they fired, in wall-clock time.

    `before` is the `next` of the page before this one.
    """

    monitor: str = ""
    kind: str = ""
    state: list[str] = msgspec.field(default_factory=list)
    since_ms: Whole | None = None
    before: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class AlertList(Shape):
    """Alerts, newest first. `next` asks for the page after this one; empty at the end."""

    alerts: list[AlertInfo]
    next: str = ""


class NoteBody(Body):
    """What whoever acknowledges or resolves an alert has to say about it."""

    note: Annotated[str, msgspec.Meta(max_length=2_000)] = ""


class SilenceBody(Body):
    """A silence to set. What is given must fit, `*` stands for any characters; one of the five must be given."""

    end_ms: Whole
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    monitor: Pattern = ""
    endpoint: Pattern = ""
    model: Pattern = ""
    kind: Pattern = ""
    feature: Pattern = ""
    start_ms: Whole | None = None


class SilenceInfo(Shape):
    """A silence and where it stands: pending, active or over. Times are wall-clock time."""

    id: str
    state: str
    matcher: dict[str, str]
    start_ms: int
    end_ms: int
    reason: str
    author: str
    ended_by: str


class SilenceQuery(Body):
    """Whether silences that are over are wanted too."""

    everything: bool = False


class SilenceList(Shape):
    """Silences, newest first."""

    silences: list[SilenceInfo]


class SinksDocument(Body):
    """All sinks and routes, as their YAML text."""

    document: str


class SinkInfo(Shape):
    """A sink, and where its newest deliveries stand, newest first. Secrets stand in the options by reference only."""

    name: str
    kind: str
    resolved: bool
    repeat: str
    options: dict[str, Any]
    deliveries: list[DeliveryInfo]


class RouteInfo(Shape):
    """Which alerts go to which sinks."""

    match: dict[str, str]
    sinks: list[str]
    group_by: list[str]


class SinkList(Shape):
    """Sinks and routes in the order of the document."""

    sinks: list[SinkInfo]
    routes: list[RouteInfo]
    group_wait: str


class TrialInfo(Shape):
    """What came of trying a sink out: what the receiver answered, or why it did not arrive."""

    arrived: bool
    said: str
