"""All routes of the server, in one list."""

from __future__ import annotations

from flyball.server import figures
from flyball.server.mlflow import routes as mlflow
from flyball.server.routing import Route
from flyball.server.ui import routes as ui
from flyball.server.v1 import routes as v1


def all_routes() -> list[Route]:
    """Return the tables of every skin."""
    return [*mlflow.ROUTES, *v1.ROUTES, *figures.ROUTES, *ui.ROUTES]
