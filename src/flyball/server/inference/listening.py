"""Listen for requests until a signal, over HTTP and where wanted over gRPC; then answer those that were accepted, and end."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from types import FrameType
from typing import TypeAlias

import uvicorn

from flyball.kernel.errors import MissingExtra
from flyball.kernel.logs import get_logger
from flyball.server.http_protocol import http_protocol
from flyball.server.inference.app import InferenceApp
from flyball.server.inference.tracing import TracedApp

# Requests in flight get this long at the end; the supervisor kills after fifteen seconds.
DRAIN_S = 10
GRPC_DRAIN_S = 3
# Connections that may wait to be accepted: a burst of clients is not refused while the loop is at work.
BACKLOG = 2_048

StopGrpc: TypeAlias = Callable[[], Awaitable[None]]
StartGrpc: TypeAlias = Callable[[InferenceApp], Awaitable[StopGrpc]]

_log = get_logger("inference")


def load_grpc(address: str) -> StartGrpc:
    """Return what starts a gRPC server beside an application, in its event loop, and returns how to stop it.

    Raises:
        MissingExtra: its library is not installed.
    """
    try:
        from flyball.server.inference.grpc_server import GrpcInference
    except ImportError as error:
        raise MissingExtra.named("gRPC", "grpc") from error

    async def start(app: InferenceApp) -> StopGrpc:
        tracer = app.tracer if isinstance(app, TracedApp) else None
        verbs = GrpcInference(app.answering, app.authorisation, counts=app.counts, tracer=tracer)
        server, port = verbs.server(address)
        await server.start()
        _log.info("serving_grpc", port=port)
        return partial(server.stop, GRPC_DRAIN_S)

    return start


class Beside(threading.Thread):
    """Work that is done while requests are answered already; when it fails, `at_fault` is called."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(name="beside", daemon=True)
        self._work = work
        self.at_fault: Callable[[], object] = lambda: None
        self.fault: Exception | None = None

    def run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 -- raised in the main thread, when it has stopped listening
            self.fault = error
            self.at_fault()


def listen_until_signal(
    app: InferenceApp, listener: socket.socket, start_grpc: StartGrpc | None = None, *, beside: Beside | None = None
) -> None:
    """Serve on a bound socket until SIGTERM or Ctrl-C, or until the work beside it fails. Call it from the main thread.

    Raises:
        Exception: the work beside it raised it.
    """
    config = uvicorn.Config(
        app,
        http=http_protocol(),
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="warning",
        backlog=BACKLOG,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = uvicorn.Server(config)

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn drains on a signal and then raises it again for whoever listened before: without these the process would die
    # of it there, before the spool is flushed. They also serve a signal that comes before uvicorn listens.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if beside is not None:
        beside.at_fault = partial(setattr, server, "should_exit", True)
        beside.start()
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(server, app, listener, start_grpc))
    if beside is not None and beside.fault is not None:
        raise beside.fault


async def _serve(
    server: uvicorn.Server, app: InferenceApp, listener: socket.socket, start_grpc: StartGrpc | None
) -> None:
    """Serve HTTP until it is told to stop and has drained, and gRPC beside it."""
    stop_grpc = None if start_grpc is None else await start_grpc(app)
    try:
        await server.serve(sockets=[listener])
    finally:
        if stop_grpc is not None:
            await stop_grpc()
