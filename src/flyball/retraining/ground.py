"""The ground a request stands on: the champion it was judged against is still in charge, and a trial can begin."""

from __future__ import annotations

from flyball.deployment.entities import Endpoint, EndpointState
from flyball.deployment.service import Deployments
from flyball.kernel.errors import NotFound
from flyball.registry import Registry
from flyball.retraining.entities import Request
from flyball.retraining.loops import Loop

CHAMPION = "champion"
"""The alias that follows the version in charge."""


class Ground:
    """Look at what people may have changed since a request was opened."""

    def __init__(self, deployments: Deployments, registry: Registry) -> None:
        self._deployments = deployments
        self._registry = registry

    def find_endpoint(self, loop: Loop) -> Endpoint | None:
        """Return the endpoint that the loop guards, None before there is one."""
        try:
            return self._deployments.get(loop.endpoint)
        except NotFound:
            return None

    def lost(self, request: Request, loop: Loop) -> str:
        """Say why a request is no longer about the version in charge; empty when it is."""
        endpoint = self.find_endpoint(loop)
        champion = endpoint.champion.version if endpoint is not None else None
        if champion != request.champion:
            return (
                f"{_version(champion)} is in charge of '{loop.endpoint}' now; this request was made against "
                f"{_version(request.champion)}: ask again"
            )
        return self.alias_moved(request, loop)

    def alias_moved(self, request: Request, loop: Loop) -> str:
        """Say where the alias of the champion points instead of at the request's; empty when it points there."""
        alias = self._registry.get_model(loop.model).aliases.get(CHAMPION)
        if alias == request.champion:
            return ""
        return (
            f"the alias '{CHAMPION}' of '{loop.model}' points at {_version(alias)}, but the champion of this request is "
            f"{_version(request.champion)}: set the alias to what is in charge, then ask again"
        )

    def blocked(self, loop: Loop) -> str:
        """Say why no trial can begin at the endpoint; empty when one can, or when there is no endpoint yet."""
        endpoint = self.find_endpoint(loop)
        if endpoint is None:
            return ""
        if endpoint.model != loop.model:
            return f"endpoint '{loop.endpoint}' serves '{endpoint.model}', the loop is about '{loop.model}'"
        if endpoint.state is not EndpointState.ACTIVE:
            return f"endpoint '{loop.endpoint}' is stopped: resume it, then ask again"
        if endpoint.canary is not None:
            return (
                f"version {endpoint.canary.version} is on trial at '{loop.endpoint}': end its rollout, then ask again"
            )
        return ""


def _version(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"
