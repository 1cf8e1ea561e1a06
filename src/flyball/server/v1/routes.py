"""The table of `/api/v1`."""

from __future__ import annotations

from flyball.server.routing import Route
from flyball.server.v1 import (
    access,
    alerts,
    audit,
    calibrations,
    datasets,
    endpoints,
    journals,
    loops,
    models,
    monitors,
    pipelines,
    predictions,
    runs,
    scorings,
    studies,
)

ROUTES: tuple[Route, ...] = (
    *access.ROUTES,
    *alerts.ROUTES,
    *audit.ROUTES,
    *datasets.ROUTES,
    *runs.ROUTES,
    *models.ROUTES,
    *pipelines.ROUTES,
    *endpoints.ROUTES,
    *monitors.ROUTES,
    *calibrations.ROUTES,
    *studies.ROUTES,
    *predictions.ROUTES,
    *scorings.ROUTES,
    *loops.ROUTES,
    *journals.ROUTES,
)
