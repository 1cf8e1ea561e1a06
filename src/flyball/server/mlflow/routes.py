"""All routes of the MLflow protocol. The MLflow web pages ask under `/ajax-api/` for what clients ask under `/api/`."""

from __future__ import annotations

import dataclasses

from flyball.server.mlflow import (
    artifacts,
    datasets,
    experiments,
    health,
    metrics,
    models,
    registry,
    runs,
    uploads,
    webhooks,
)
from flyball.server.mlflow.rows import PREFIX
from flyball.server.mlflow.turns import in_lanes
from flyball.server.routing import Route

_API = "/api/"
_AJAX = "/ajax-api/"


def _doubled(routes: tuple[Route, ...]) -> tuple[Route, ...]:
    twins = (
        dataclasses.replace(route, path=_AJAX + route.path.removeprefix(_API)) for route in routes if _is_api(route)
    )
    return (*routes, *twins)


def _is_api(route: Route) -> bool:
    return route.path.startswith(_API)


_ROUTES: tuple[Route, ...] = (
    *health.ROUTES,
    *experiments.ROUTES,
    *runs.ROUTES,
    *metrics.ROUTES,
    *models.ROUTES,
    *artifacts.ROUTES,
    *uploads.ROUTES,
    *registry.ROUTES,
    *webhooks.ROUTES,
    *datasets.ROUTES,
)

ROUTES: tuple[Route, ...] = _doubled(in_lanes(_ROUTES, prefix=PREFIX))
