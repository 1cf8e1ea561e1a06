"""The routes of a model server: a few lines each over the data plane."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import flyball
from flyball.kernel.errors import FlyballError, LimitExceeded, NotFound, Unauthenticated, Unavailable
from flyball.kernel.logs import get_logger
from flyball.server.errors import RETRY_AFTER_S, TABLE
from flyball.server.inference import tables, tensors
from flyball.serving.plane import DataPlane
from flyball.wire import inference as shapes

# Models hold the interpreter for most of a prediction; more threads than this only wait for each other.
THREADS = 2 * (os.cpu_count() or 1)
# Requests that may wait for a thread; beyond it a quick "come again" is kinder than a slow timeout.
WAITING = 512
OK, UNREADY = 200, 503

Authorise = Callable[[str], str]
ResultT = TypeVar("ResultT")

_log = get_logger("inference")


class ModelServer:
    """What the routes share: the plane, who may call it, and how much at once."""

    def __init__(self, plane: DataPlane, *, authorise: Authorise, max_request_bytes: int) -> None:
        self._plane = plane
        self._authorise = authorise
        self._max_request_bytes = max_request_bytes
        self._threads = anyio.CapacityLimiter(THREADS)
        self._waiting = 0

    async def infer(self, request: Request) -> Response:
        """Predict tensors."""
        caller, body = await self._admit(request)
        self._refuse_binary(request)

        def work() -> shapes.InferAnswerBody:
            asked = shapes.decode(body, shapes.InferBody, what="the infer request")
            answer = self._plane.infer(tensors.to_request(asked, self._plane.signature, caller=caller))
            return tensors.to_answer(answer, asked, model=request.path_params["name"])

        return _json(await self._in_thread(work))

    async def invocations(self, request: Request) -> Response:
        """Predict a table as MLflow's own server does."""
        caller, body = await self._admit(request)

        def work() -> shapes.InvocationsAnswer:
            asked = shapes.decode(body, shapes.InvocationsBody, what="the invocation")
            return tables.to_answer(self._plane.infer(tables.to_request(asked, caller=caller)))

        return _json(await self._in_thread(work))

    async def model(self, request: Request) -> Response:
        """Describe the model."""
        await self._caller(request)
        name = self._name(request)
        versions = sorted(self._plane.routing.versions)
        return _json(tensors.to_metadata(name, self._plane.signature, versions=versions))

    async def model_ready(self, request: Request) -> Response:
        """Tell whether the model can be asked."""
        ready = shapes.ModelReadiness(name=self._name(request), ready=self._plane.ready)
        return _json(ready, status=OK if ready.ready else UNREADY)

    async def ready(self, _request: Request) -> Response:
        """Tell whether requests can be sent."""
        return _json(shapes.Readiness(ready=self._plane.ready), status=OK if self._plane.ready else UNREADY)

    async def _admit(self, request: Request) -> tuple[str, bytes]:
        """Return caller and body; whoever may not call has no body read."""
        caller = await self._caller(request)
        if "name" in request.path_params:
            self._name(request)
        return caller, await _read(request, limit=self._max_request_bytes)

    async def _caller(self, request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated("send 'Authorization: Bearer <token>'")
        return await _guarded(anyio.to_thread.run_sync(self._authorise, token.strip()))

    async def _in_thread(self, work: Callable[[], ResultT]) -> ResultT:
        if self._waiting >= WAITING:
            raise Unavailable(f"{WAITING} requests are waiting already; repeat the call")
        self._waiting += 1
        try:
            return await _guarded(anyio.to_thread.run_sync(work, limiter=self._threads))
        finally:
            self._waiting -= 1

    def _name(self, request: Request) -> str:
        name = str(request.path_params["name"])
        if name not in self._plane.names:
            raise NotFound(
                f"no model '{name}' here; this is: {', '.join(dict.fromkeys(self._plane.names))}", field="name"
            )
        return name

    @staticmethod
    def _refuse_binary(request: Request) -> None:
        if "inference-header-content-length" in request.headers:
            raise HTTPException(415, "the binary tensor extension is not offered; send the tensors as JSON")


def build_app(plane: DataPlane, *, authorise: Authorise, max_request_bytes: int) -> Starlette:
    """Build the application. `authorise` maps a bearer token to the caller's name, or raises; it may block.

    Health and version answer without a token: they say nothing about the model, and probes carry none.
    """
    server = ModelServer(plane, authorise=authorise, max_request_bytes=max_request_bytes)
    return Starlette(
        routes=[
            Route("/v2", _server),
            Route("/v2/health/live", _live),
            Route("/v2/health/ready", server.ready),
            Route("/v2/models/{name}", server.model),
            Route("/v2/models/{name}/ready", server.model_ready),
            Route("/v2/models/{name}/infer", server.infer, methods=["POST"]),
            Route("/invocations", server.invocations, methods=["POST"]),
            Route("/ping", server.ready),
            Route("/health", server.ready),
            Route("/version", _version),
        ],
        exception_handlers={FlyballError: _refused, HTTPException: _no_route},
    )


async def _server(_request: Request) -> Response:
    return _json(shapes.ServerMetadata(name="flyball", version=flyball.__version__, extensions=[]))


async def _live(_request: Request) -> Response:
    return _json(shapes.Liveness(live=True))


async def _version(_request: Request) -> Response:
    return PlainTextResponse(flyball.__version__)


async def _guarded(work: Awaitable[ResultT]) -> ResultT:
    """Turn what nobody foresaw into an answer that tells nothing of it.

    Left to Starlette's last resort, the error would be answered and raised again, and the server would close a connection
    that the client believes to be alive.
    """
    try:
        return await work
    except FlyballError:
        raise
    except Exception as error:
        _log.exception("request_failed")
        raise FlyballError("internal error; the log of the endpoint has the details") from error


async def _read(request: Request, *, limit: int) -> bytes:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, f"content type '{kind}' is not read here; send application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "compressed bodies are not read here; send the JSON as it is")
    too_large = LimitExceeded(f"the body is larger than the limit of {limit} bytes; send fewer rows at once")
    if int(request.headers.get("content-length", "0")) > limit:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise too_large
    except ClientDisconnect as error:
        raise HTTPException(400, "the client went away before the end of the body") from error
    return bytes(body)


def _json(shape: msgspec.Struct, *, status: int = OK) -> Response:
    return Response(msgspec.json.encode(shape), status_code=status, media_type="application/json")


async def _refused(_request: Request, error: Any) -> Response:  # noqa: ANN401 -- Starlette's type is too wide to narrow
    response = _json(shapes.ErrorBody(error=error.message), status=TABLE[error.code][0])
    if error.retryable:
        response.headers["retry-after"] = RETRY_AFTER_S
    if isinstance(error, Unauthenticated):
        response.headers["www-authenticate"] = 'Bearer realm="flyball"'
    return response


async def _no_route(_request: Request, error: Any) -> Response:  # noqa: ANN401 -- as above
    response = _json(shapes.ErrorBody(error=str(error.detail)), status=error.status_code)
    response.headers.update(error.headers or {})
    return response
