"""How the routes of an endpoint may change: pure functions from one endpoint to the next.

Every result has exactly one champion and at most one canary, whose shares make one, and a greater generation.
"""

from __future__ import annotations

import dataclasses

from flyball.deployment.entities import Endpoint, EndpointState, Role, Route, without
from flyball.kernel.errors import Conflict, InvalidInput
from flyball.serving.capture_rules import CaptureRules


def start_canary(endpoint: Endpoint, version: int, *, share: float, salt: str, now_ms: int) -> Endpoint:
    """Give a version a share of the answers. The new salt draws the callers afresh, so no one is always the guinea pig.

    Raises:
        InvalidInput: the share is not between 0 and 1.
        Conflict: a rollout runs already, the version is the champion, or the endpoint is stopped.
    """
    if not 0 < share < 1:
        raise InvalidInput(f"the canary's share is {share}; it must lie between 0 and 1", field="share")
    if endpoint.state is not EndpointState.ACTIVE:
        raise Conflict(f"endpoint '{endpoint.name}' is stopped; resume it first", field="endpoint")
    if endpoint.canary is not None:
        raise Conflict(
            f"endpoint '{endpoint.name}' has version {endpoint.canary.version} on trial; "
            "promote it or roll it back first",
            field="endpoint",
        )
    if version == endpoint.champion.version:
        raise Conflict(f"version {version} is the champion of '{endpoint.name}' already", field="version")
    routes = (
        Route(version=endpoint.champion.version, share=1.0 - share, role=Role.CHAMPION),
        Route(version=version, share=share, role=Role.CANARY),
        *_other_shadows(endpoint, version),
    )
    return _next(dataclasses.replace(endpoint, salt=salt), routes, now_ms=now_ms)


def end_canary(endpoint: Endpoint, *, now_ms: int) -> Endpoint:
    """Give the champion all answers again."""
    return _next(endpoint, _settled(endpoint, endpoint.champion.version), now_ms=now_ms)


def crown(endpoint: Endpoint, version: int, *, actor: str, now_ms: int) -> Endpoint:
    """Make a version the champion; the champion before is where a rollback will point."""
    changed = dataclasses.replace(endpoint, previous=_alone(endpoint.champion.version), changed_by=actor)
    return _next(changed, _settled(endpoint, version), now_ms=now_ms)


def flip_back(endpoint: Endpoint, *, actor: str, now_ms: int) -> Endpoint:
    """Swap the champion with the one before.

    Raises:
        Conflict: there is none before.
    """
    if not endpoint.previous:
        raise Conflict(
            f"endpoint '{endpoint.name}' has had no other champion than version {endpoint.champion.version}",
            field="endpoint",
        )
    return crown(endpoint, endpoint.previous[0].version, actor=actor, now_ms=now_ms)


def set_shadow(endpoint: Endpoint, version: int, *, share: float, now_ms: int) -> Endpoint:
    """Let a version watch a share of the requests; a share of 0 ends it.

    Raises:
        InvalidInput: the share is not from 0 to 1.
        Conflict: the version answers requests already.
    """
    if not 0 <= share <= 1:
        raise InvalidInput(f"the shadow's share is {share}; it must be from 0 to 1", field="share")
    if any(route.version == version for route in without(endpoint.routes, Role.SHADOW)):
        raise Conflict(
            f"version {version} answers at '{endpoint.name}' already; it cannot shadow itself", field="version"
        )
    shadow = (Route(version=version, share=share, role=Role.SHADOW),) if share else ()
    routes = (*without(endpoint.routes, Role.SHADOW), *_other_shadows(endpoint, version), *shadow)
    return _next(endpoint, routes, now_ms=now_ms)


def set_state(endpoint: Endpoint, state: EndpointState, *, now_ms: int) -> Endpoint:
    """Stop or resume an endpoint."""
    return _next(dataclasses.replace(endpoint, state=state), endpoint.routes, now_ms=now_ms)


def set_capture(endpoint: Endpoint, rules: CaptureRules, *, now_ms: int) -> Endpoint:
    """Capture by other rules."""
    return _next(dataclasses.replace(endpoint, capture=rules), endpoint.routes, now_ms=now_ms)


def _next(endpoint: Endpoint, routes: tuple[Route, ...], *, now_ms: int) -> Endpoint:
    return dataclasses.replace(endpoint, routes=routes, generation=endpoint.generation + 1, updated_ms=now_ms)


def _alone(version: int) -> tuple[Route, ...]:
    return (Route(version=version, share=1.0, role=Role.CHAMPION),)


def _settled(endpoint: Endpoint, version: int) -> tuple[Route, ...]:
    return (*_alone(version), *_other_shadows(endpoint, version))


def _other_shadows(endpoint: Endpoint, version: int) -> tuple[Route, ...]:
    return tuple(route for route in endpoint.routes if route.role is Role.SHADOW and route.version != version)
