"""The table of `/api/v1`."""

from __future__ import annotations

from flyball.server.routing import Route
from flyball.server.v1 import access, audit, datasets, endpoints, journals, loops, models, monitors, pipelines

ROUTES: tuple[Route, ...] = (
    *access.ROUTES,
    *audit.ROUTES,
    *datasets.ROUTES,
    *models.ROUTES,
    *pipelines.ROUTES,
    *endpoints.ROUTES,
    *monitors.ROUTES,
    *loops.ROUTES,
    *journals.ROUTES,
)
