"""The HTTP application: the route tables mounted, each call authorised, parsed, run in a thread and rendered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.routing import Route as MountedRoute

from flyball.governance.entities import Principal
from flyball.kernel.errors import ErrorCode, FlyballError, InvalidInput, NotFound, Unsupported
from flyball.kernel.logs import get_logger
from flyball.server.authentication import authenticate
from flyball.server.errors import render_error, render_refusal
from flyball.server.headers import SecureHeaders
from flyball.server.hosts import HostGuard
from flyball.server.parsing import read_request
from flyball.server.platform import Platform
from flyball.server.routing import PUBLIC, V1_PREFIX, Answer, Call, Route
from flyball.server.table import all_routes

_log = get_logger("server")


def build_app(platform: Platform) -> Starlette:
    """Mount every route of the tables; a route without a permission cannot be written down."""
    mounted = [
        MountedRoute(route.path, _endpoint(route, platform), methods=[route.method]) for route in _ordered(all_routes())
    ]
    app = Starlette(
        routes=mounted,
        middleware=[Middleware(SecureHeaders), Middleware(HostGuard, settings=platform.settings)],
        exception_handlers={404: _unknown_path, 405: _unknown_method},
    )
    app.router.redirect_slashes = False
    return app


def _ordered(routes: Iterable[Route]) -> list[Route]:
    """Put literal paths before templates, so that `/runs/search` is not taken for a run called `search`."""
    return sorted(routes, key=lambda route: (route.path.count("{"), ":path}" in route.path))


def _endpoint(route: Route, platform: Platform) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await _answer(route, platform, request)
        except FlyballError as error:
            if error.code is ErrorCode.INTERNAL:
                _log.error("request_failed", path=request.url.path, method=request.method, exc_info=error)
            return render_error(error, route.dialect)
        except ClientDisconnect:
            return render_error(InvalidInput("the client went away before the end of the body"), route.dialect)
        except Exception as error:  # noqa: BLE001 -- the last boundary: the cause goes to the log, never to the client
            _log.error("request_failed", path=request.url.path, method=request.method, exc_info=error)
            return render_error(FlyballError("internal error"), route.dialect)

    return endpoint


async def _answer(route: Route, platform: Platform, request: Request) -> Response:
    principal: Principal | None = None
    if route.permission != PUBLIC:
        principal = await run_in_threadpool(authenticate, request, platform.access)
        principal.require(route.permission)
    body = await read_request(route, request, limit_bytes=platform.settings.max_request_bytes)
    call = Call(platform=platform, principal=principal, path=request.path_params, body=body, request=request)
    return _render(await run_in_threadpool(route.handler, call), route)


def _render(answer: Answer, route: Route) -> Response:
    if isinstance(answer, Response):
        return answer
    return Response(msgspec.json.encode(answer), status_code=route.status, media_type="application/json")


async def _unknown_path(request: Request, _error: Exception) -> Response:
    """Answer for a path that nobody serves."""
    path = request.url.path
    if path.startswith(V1_PREFIX):
        return render_refusal(NotFound(f"{path} is not served here", field="path"), path, status=404)
    return render_refusal(NotFound("Not Found"), path, status=404)


async def _unknown_method(request: Request, _error: Exception) -> Response:
    """Answer for a path that is served by other methods; the MLflow client takes a 404 for it better."""
    path = request.url.path
    if not path.startswith(V1_PREFIX):
        return render_refusal(NotFound("Not Found"), path, status=404)
    rows = [row for row in request.app.routes if row.matches(request.scope)[0] is Match.PARTIAL]
    allowed = ", ".join(sorted({method for row in rows for method in row.methods}))
    response = render_refusal(Unsupported(f"{path} takes {allowed}, not {request.method}"), path, status=405)
    response.headers["allow"] = allowed
    return response
