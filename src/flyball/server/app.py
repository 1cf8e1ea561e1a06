"""The HTTP application: each call matched with its route, authorised, parsed, answered by one verb in a thread, rendered."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from flyball.governance.entities import Principal
from flyball.kernel.errors import ErrorCode, FlyballError, InvalidInput, NotFound, Unsupported
from flyball.kernel.logs import get_logger
from flyball.server.authentication import Authenticator
from flyball.server.dispatch import Match, RouteTable
from flyball.server.errors import render_error, render_refusal
from flyball.server.headers import JSON_HEADERS, with_secure_headers
from flyball.server.hosts import HostRule
from flyball.server.lanes import Job, Lanes
from flyball.server.mlflow.clients import check_client
from flyball.server.parsing import read_request
from flyball.server.platform import Platform
from flyball.server.quick import QuickCalls
from flyball.server.routing import PUBLIC, V1_PREFIX, Answer, Call, Dialect, Lane, Route
from flyball.server.table import all_routes

if TYPE_CHECKING:
    from flyball.server.http_protocol import Reply

_log = get_logger("server")
_encode = msgspec.json.Encoder().encode


def build_app(platform: Platform) -> Application:
    """Mount every route of the tables; a route without a permission cannot be written down."""
    return Application(platform)


class Application:
    """An ASGI application over one platform; it serves HTTP and nothing else."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._routes = RouteTable(all_routes())
        self._hosts = HostRule(platform.settings)
        self._authenticator = Authenticator(platform.access)
        self._lanes = Lanes(platform.database)
        self._limit_bytes = platform.settings.max_request_bytes
        self._quick_calls = QuickCalls(
            platform,
            self._routes,
            hosts=self._hosts,
            authenticator=self._authenticator,
            limit_bytes=self._limit_bytes,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive, send)
        answer, route = await self._respond(request)
        if isinstance(answer, Response):
            await answer(scope, receive, with_secure_headers(send))
            return
        body = _encode(answer)
        headers = [*JSON_HEADERS, (b"content-length", b"%d" % len(body))]
        status = route.status if route else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def quick(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """Put a call into its lane at once, without a task; False for what has to go the usual way (see `QuickApplication`)."""
        read = self._quick_calls.read(scope, body)
        if read is None:
            return False
        route, call = read
        self._lanes.put(Job(route, call, asyncio.get_running_loop(), partial(self._reply, reply, route, call)))
        return True

    def _reply(self, reply: Reply, route: Route, call: Call[Any], outcome: Answer | Exception) -> None:
        if isinstance(outcome, msgspec.Struct):
            try:
                body = _encode(outcome)
            except Exception as error:  # noqa: BLE001 -- others of the turn wait behind this one
                outcome = error
            else:
                reply.send(route.status, JSON_HEADERS, body)
                return
        answer = outcome if isinstance(outcome, Response) else self._failure(outcome, route, call.request)

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            await answer(scope, receive, with_secure_headers(send))

        reply.run(respond)

    def close(self) -> None:
        """Finish the requests that are in a lane."""
        self._lanes.close()

    async def _respond(self, request: Request) -> tuple[Answer, Route | None]:
        refusal = self._hosts.refusal(request.scope["headers"])
        path = request.scope["path"]
        if refusal is not None:
            return render_refusal(refusal, path, status=403), None
        match = self._routes.find(request.method, path)
        if match is None:
            return self._unserved(request.method, path), None
        return await self._guarded(match, request), match.route

    async def _guarded(self, match: Match, request: Request) -> Answer:
        try:
            return await self._answer(match, request)
        except Exception as error:  # noqa: BLE001 -- the last boundary: the cause goes to the log, never to the client
            return self._failure(error, match.route, request)

    def _failure(self, error: Exception, route: Route, request: Request) -> Response:
        if isinstance(error, ClientDisconnect):
            return render_error(InvalidInput("the client went away before the end of the body"), route.dialect)
        known = error if isinstance(error, FlyballError) else FlyballError("internal error")
        if known.code is ErrorCode.INTERNAL:
            _log.error("request_failed", path=request.url.path, method=request.method, exc_info=error)
        return render_error(known, route.dialect)

    async def _answer(self, match: Match, request: Request) -> Answer:
        route = match.route
        request.scope["path_params"] = match.path_params
        principal = await self._authorised(route, request)
        body = await read_request(route, request, limit_bytes=self._limit_bytes)
        call: Call[Any] = Call(
            platform=self._platform, principal=principal, path=match.path_params, body=body, request=request
        )
        if route.lane is not Lane.POOL:
            return await self._lanes.answer(route, call)
        return await run_in_threadpool(route.handler, call)

    async def _authorised(self, route: Route, request: Request) -> Principal | None:
        if route.permission == PUBLIC:
            return None
        if route.dialect is Dialect.MLFLOW:
            check_client(request.headers.get("user-agent", ""))
        recalled = self._authenticator.recall(request)
        if recalled is None:
            principal = await run_in_threadpool(self._authenticator.authenticate, request)
        else:
            principal = recalled.principal
        principal.require(route.permission)
        return principal

    def _unserved(self, method: str, path: str) -> Response:
        """Answer for a path that nobody serves, or not by this method."""
        allowed = ", ".join(self._routes.methods(path))
        if not allowed:
            said = f"{path} is not served here" if path.startswith(V1_PREFIX) else "Not Found"
            return render_refusal(NotFound(said, field="path"), path, status=404)
        response = render_refusal(Unsupported(f"this path takes {allowed}, not {method}"), path, status=405)
        response.headers["allow"] = allowed
        return response
