"""Write rows of the MLflow part of the route table briefly: they share a dialect and a prefix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from flyball.governance.permissions import Permission
from flyball.server.routing import Answer, Call, Dialect, Public, Route

PREFIX = "/api/2.0/mlflow/"
AJAX_PREFIX = "/ajax-api/2.0/mlflow/"
"""Of the few paths that only MLflow's web pages ask for."""
PROXY_PREFIX = "/api/2.0/mlflow-artifacts/"


def row(
    method: str,
    path: str,
    *,
    permission: Permission | Public,
    handler: Callable[[Call[Any]], Answer],
    request: type[msgspec.Struct] | None = None,
    response: type[msgspec.Struct] | None = None,
) -> Route:
    """Make a row; the handler's docstring is its summary, and a path without a leading slash lies under the prefix."""
    return Route(
        method=method,
        path=path if path.startswith("/") else PREFIX + path,
        permission=permission,
        handler=handler,
        summary=(handler.__doc__ or "").strip().split("\n")[0],
        request=request,
        response=response,
        dialect=Dialect.MLFLOW,
    )
