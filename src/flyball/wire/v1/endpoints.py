"""Shapes of endpoints, rollouts and labels."""

from __future__ import annotations

from flyball.wire.v1 import Body, Shape, Whole


class RouteInfo(Shape):
    """A share (0..1) of an endpoint's traffic and the version that answers it."""

    version: int
    share: float
    role: str


class EndpointInfo(Shape):
    """An endpoint, where it answers, and whether its process has taken up the newest routing."""

    name: str
    model: str
    generation: int
    routes: list[RouteInfo]
    url: str
    ready: bool
    observed_generation: int
    error: str


class EndpointList(Shape):
    """All endpoints."""

    endpoints: list[EndpointInfo]


class RolloutInfo(Shape):
    """A canary and what its stop rule has seen."""

    id: str
    endpoint: str
    champion: int
    challenger: int
    share: float
    state: str
    reason: str


class RolloutList(Shape):
    """Rollouts, newest first."""

    rollouts: list[RolloutInfo]


class LabelItem(Body):
    """The truth about one prediction, and when it became known."""

    prediction_id: str
    value: float | str | bool
    time_ms: Whole


class LabelBatch(Body):
    """Labels that are taken all or none; `revise` allows to change a label given before."""

    labels: list[LabelItem]
    revise: bool = False


class LabelReceipt(Shape):
    """How many labels were new, the same again, or revised."""

    added: int
    unchanged: int
    revised: int
