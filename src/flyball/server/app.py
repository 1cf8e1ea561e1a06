"""The HTTP application: the route tables mounted, each call parsed, authorised, run in a thread and rendered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route as MountedRoute

from flyball.governance.entities import Principal
from flyball.kernel.documents import invalid_document
from flyball.kernel.errors import FlyballError, InvalidInput, LimitExceeded, NotFound
from flyball.kernel.logs import get_logger
from flyball.server.authentication import authenticate
from flyball.server.errors import render_error
from flyball.server.hosts import HostGuard
from flyball.server.platform import Platform
from flyball.server.routing import PUBLIC, Answer, Call, Dialect, Route
from flyball.server.table import all_routes

_log = get_logger("server")
_BODILESS = frozenset({"GET", "DELETE", "HEAD"})


def build_app(platform: Platform) -> Starlette:
    """Mount every route of the tables; a route without a permission cannot be written down."""
    mounted = [
        MountedRoute(route.path, _endpoint(route, platform), methods=[route.method]) for route in _ordered(all_routes())
    ]
    app = Starlette(
        routes=mounted,
        middleware=[Middleware(HostGuard, settings=platform.settings)],
        exception_handlers={404: _unknown_path, 405: _unknown_path},
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
            if error.code == "internal":
                _log.error("request_failed", path=request.url.path, exc_info=error)
            return render_error(error, route.dialect)
        except Exception as error:  # noqa: BLE001 -- the last boundary: the cause goes to the log, never to the client
            _log.error("request_failed", path=request.url.path, method=request.method, exc_info=error)
            return render_error(FlyballError("internal error; the server's log has the cause"), route.dialect)

    return endpoint


async def _answer(route: Route, platform: Platform, request: Request) -> Response:
    principal: Principal | None = None
    if route.permission != PUBLIC:
        principal = await run_in_threadpool(authenticate, request, platform.access)
        principal.require(route.permission)
    body = await _body(route, request, limit_bytes=platform.settings.max_request_bytes)
    call = Call(platform=platform, principal=principal, path=request.path_params, body=body, request=request)
    return _render(await run_in_threadpool(route.handler, call), route)


def _render(answer: Answer, route: Route) -> Response:
    if isinstance(answer, Response):
        return answer
    return Response(msgspec.json.encode(answer), status_code=route.status, media_type="application/json")


async def _body(route: Route, request: Request, *, limit_bytes: int) -> msgspec.Struct | None:
    if route.request is None:
        return None
    if request.method in _BODILESS:
        return _convert(_query(request, route.request), route.request)
    raw = await _read(request, limit_bytes)
    if route.dialect is Dialect.MLFLOW and not _is_object(raw):
        raw = b"{}"  # MLflow's server reads a malformed body as an empty message
    try:
        return msgspec.json.decode(raw or b"{}", type=route.request, strict=route.dialect is Dialect.V1)
    except msgspec.ValidationError as error:
        raise invalid_document(error, route.request, what="the request") from error
    except msgspec.DecodeError as error:
        raise InvalidInput(f"the body is no JSON: {error}", field="body") from error


async def _read(request: Request, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit_bytes:
            raise LimitExceeded(f"the body is larger than the limit of {limit_bytes} bytes")
        parts.append(chunk)
    return b"".join(parts)


def _is_object(raw: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(raw), dict)
    except msgspec.DecodeError:
        return False


def _query(request: Request, shape: type[msgspec.Struct]) -> dict[str, object]:
    """Take repeated parameters as lists exactly where the shape says list."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    lists = {name for name, field in fields.items() if "list" in str(field.type) or "tuple" in str(field.type)}
    values = request.query_params
    return {key: values.getlist(key) if key in lists else values[key] for key in values}


def _convert(values: dict[str, object], shape: type[msgspec.Struct]) -> msgspec.Struct:
    try:
        return msgspec.convert(values, type=shape, strict=False)
    except msgspec.ValidationError as error:
        raise invalid_document(error, shape, what="the request") from error


async def _unknown_path(request: Request, _error: Exception) -> Response:
    """Answer for a path nobody serves; the MLflow client wants no error code in it, to fall back to older paths."""
    if request.url.path.startswith("/api/v1/"):
        return render_error(
            NotFound(f"{request.method} {request.url.path} is not served here", field="path"), Dialect.V1
        )
    return PlainTextResponse("Not Found\n", status_code=404)
