"""Endpoints, their routes, and rollouts with their stop rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from flyball.kernel.events import EventKind
from flyball.measures.sequential import Difference
from flyball.serving.capture_rules import KEEP_ALL, CaptureRules

RolloutId = NewType("RolloutId", str)
AUTOMATION = "service:"
"""How the identities begin that are no people."""


class DeploymentEvent(EventKind):
    """What happens to endpoints and rollouts."""

    ENDPOINT_CREATED = "endpoint.created"
    ENDPOINT_SHADOWED = "endpoint.shadowed"
    ENDPOINT_ROLLED_BACK = "endpoint.rolled_back"
    ENDPOINT_STOPPED = "endpoint.stopped"
    ENDPOINT_RESUMED = "endpoint.resumed"
    ENDPOINT_CAPTURE_SET = "endpoint.capture_set"
    ROLLOUT_STARTED = "rollout.started"
    ROLLOUT_OBSERVED = "rollout.observed"
    ROLLOUT_PROMOTED = "rollout.promoted"
    ROLLOUT_ROLLED_BACK = "rollout.rolled_back"


class Role(StrEnum):
    """What a version does at an endpoint."""

    CHAMPION = "champion"
    """It answers whoever the canary does not."""
    CANARY = "canary"
    """It answers a share of the callers while its rollout runs."""
    SHADOW = "shadow"
    """It sees a share of the requests; its answers are recorded and never returned."""


class EndpointState(StrEnum):
    """Whether an endpoint should have a process."""

    ACTIVE = "active"
    STOPPED = "stopped"


class RolloutState(StrEnum):
    """Where a rollout stands; the last two are final."""

    RUNNING = "running"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"


class VerdictKind(StrEnum):
    """What a look at a rollout says."""

    CONTINUE = "continue"
    STOP = "stop"
    PROMOTE = "promote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A version, its role, and its share (0..1): of the answers for champion and canary, of the requests seen for a shadow."""

    version: int
    share: float
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A name that answers with one registered model.

    `generation` grows with every change, so a model server knows when to look again. `previous` is where
    a rollback points: the champion before. `changed_by` chose the present champion; automation may not undo a person's choice.
    `capture` says what its prediction log keeps.
    """

    name: str
    model: str
    generation: int
    routes: tuple[Route, ...]
    previous: tuple[Route, ...]
    salt: str
    state: EndpointState
    changed_by: str
    created_ms: int
    updated_ms: int
    capture: CaptureRules = KEEP_ALL

    @property
    def champion(self) -> Route:
        """The route of the version in charge."""
        return next(route for route in self.routes if route.role is Role.CHAMPION)

    @property
    def canary(self) -> Route | None:
        """The route of the version on trial, if there is one."""
        return next((route for route in self.routes if route.role is Role.CANARY), None)

    @property
    def versions(self) -> tuple[int, ...]:
        """Every version a model server should hold: those that answer or shadow, and those a rollback would need at once."""
        return tuple(sorted({route.version for route in (*self.routes, *self.previous)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStatus:
    """What the process of an endpoint last said of itself. `generation` is the newest it has fully taken up."""

    endpoint: str
    generation: int
    url: str
    pid: int
    heartbeat_ms: int
    loaded: tuple[int, ...]
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRule:
    """When a rollout ends.

    It stops as soon as the challenger is worse than the champion by more than `margin`, with error probability `alpha` over
    all looks together. It may be promoted from `min_rows` labelled challenger rows on, when it is shown not to be worse
    than `margin`, or when `max_rows` have passed without a stop.
    """

    metric: str
    alpha: float
    margin: float
    min_rows: int
    max_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Labelled rows that an arm has answered since the rollout began, and how many of them it got right."""

    hits: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a look says, with its uncertainty: `difference` is the challenger's metric minus the champion's."""

    kind: VerdictKind
    reason: str
    difference: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A challenger on trial at an endpoint. `looks` counts the observations; `verdict` is that of the newest."""

    id: RolloutId
    endpoint: str
    champion: int
    challenger: int
    share: float
    stop_rule: StopRule
    state: RolloutState
    champion_outcomes: Outcomes
    challenger_outcomes: Outcomes
    looks: int
    verdict: Verdict | None
    reason: str
    started_by: str
    created_ms: int
    ended_ms: int | None


def is_automation(actor: str) -> bool:
    """Tell a service from a person.

    >>> is_automation("service:loop"), is_automation("user:owner")
    (True, False)
    """
    return actor.startswith(AUTOMATION)


def without(routes: Sequence[Route], role: Role) -> tuple[Route, ...]:
    """Return the routes without those of a role."""
    return tuple(route for route in routes if route.role is not role)
