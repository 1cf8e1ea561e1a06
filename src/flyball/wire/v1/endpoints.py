"""Shapes of endpoints, rollouts and labels."""

from __future__ import annotations

import msgspec

from flyball.wire.v1 import Body, Shape, Whole


class RouteInfo(Shape):
    """A share (0..1) of an endpoint's traffic and the version that answers it."""

    version: int
    share: float
    role: str


class CaptureRulesInfo(Shape):
    """What an endpoint's prediction log keeps: a share (0..1) of the predictions, and each column as it is, hashed or not at all.

    `columns` maps columns as the log calls them (`feature.age`, `caller`) to `keep`, `hash` or `drop`; `others` is for the features
    it does not name. `mode` is `interval` or `durable`.
    """

    share: float
    mode: str
    columns: dict[str, str]
    others: str


class CaptureRulesBody(Body):
    """Rules for an endpoint's prediction log, all of them: what is not named is as if it had never been set."""

    share: float = 1.0
    mode: str = "interval"
    columns: dict[str, str] = msgspec.field(default_factory=dict)
    others: str = "keep"


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
    capture: CaptureRulesInfo


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
    """How many labels were new, the same again, or revised; `not_captured` are of predictions that were not drawn to be kept."""

    added: int
    unchanged: int
    revised: int
    not_captured: int = 0
