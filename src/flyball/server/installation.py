"""The figures of an installation: what monitoring tells other tools, joined with which endpoints answer and what is silenced."""

from __future__ import annotations

from flyball.deployment.entities import EndpointState
from flyball.monitoring.exports.figures import Figures
from flyball.monitoring.exports.reading import read_figures
from flyball.monitoring.sql import SqlFigureStore
from flyball.server.platform import Platform


def figures_of(platform: Platform) -> Figures:
    """Return the newest of everything that is watched, and what is not watched."""
    endpoints = {one.name: one.model for one in platform.deployments.list() if one.state is EndpointState.ACTIVE}
    return read_figures(
        SqlFigureStore(platform.database),
        endpoints=endpoints,
        silences=platform.alerts.silences.active(),
        now_ms=platform.clock.now_ms(),
    )
