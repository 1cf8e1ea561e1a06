"""Run a model server: one process, one endpoint, until SIGTERM; then drain, flush and end."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn

from flyball.kernel.clock import Clock, SystemClock
from flyball.kernel.logs import get_logger, quote_values
from flyball.kernel.settings import Settings
from flyball.server.capture_key import capture_key
from flyball.server.inference.app import InferenceApp, build_app
from flyball.server.inference.authorisation import Authorise
from flyball.server.inference.watcher import CurrentRouting, FetchModel, Report, RoutingWatcher
from flyball.serving.capture_rules import CaptureRules
from flyball.serving.plane import DataPlane
from flyball.serving.ports import PredictionSink
from flyball.serving.served_model import load_model
from flyball.serving.spool import Spool

# Requests in flight get this long at the end; the supervisor kills after fifteen seconds.
DRAIN_S = 10
LOOPBACK = "127.0.0.1"
# Requests run beside each other already. With a team of OpenMP threads for each, whose members spin while they wait, a row
# of a gradient boosting took 500 ms instead of 10 on a machine with more to do. Read when a model's library is loaded.
OPENMP_THREADS = "OMP_NUM_THREADS"

_log = get_logger("inference")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a model server needs from the platform, as functions, so that it knows no store.

    `current_routing`, `fetch_model` and `report` are called from one thread, `authorise` from many, `sink` from another one.
    """

    current_routing: CurrentRouting
    fetch_model: FetchModel
    report: Report
    authorise: Authorise
    sink: PredictionSink


def serve(
    endpoint: str,
    model: str,
    *,
    surroundings: Surroundings,
    settings: Settings,
    port: int = 0,
    clock: Clock | None = None,
) -> None:
    """Serve an endpoint on 127.0.0.1 until SIGTERM or Ctrl-C; `port` 0 takes a free one. Call it from the main thread.

    At the end no new request is accepted, those accepted are answered, and what was captured is on disk or shipped.

    Raises:
        Conflict: another process serves this endpoint from this home.
    """
    clock = clock or SystemClock()
    os.environ.setdefault(OPENMP_THREADS, "1")
    with socket.create_server((LOOPBACK, port)) as listener:
        url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        spool = Spool(
            spool_folder(settings, endpoint),
            endpoint=endpoint,
            sink=surroundings.sink,
            flush_ms=settings.capture_flush_ms,
            key=capture_key(settings),
        )
        plane = DataPlane(endpoint, model, capture=spool, clock=clock)
        watcher = RoutingWatcher(
            plane,
            current_routing=surroundings.current_routing,
            fetch_model=surroundings.fetch_model,
            report=surroundings.report,
            load=partial(load_model, allow_pickle=settings.allow_pickle),
            clock=clock,
            poll_ms=settings.endpoint_poll_ms,
            url=url,
            pid=os.getpid(),
            configure=partial(_configure, spool),
        )
        app = build_app(plane, authorise=surroundings.authorise, max_request_bytes=settings.max_request_bytes)
        _log.info("serving", endpoint=endpoint, url=url)
        watcher.start()
        try:
            _run_until_signal(app, listener)
        finally:
            plane.close()
            spool.close()
            watcher.stop()
            _log.info("drained", endpoint=endpoint, dropped_rows=spool.dropped_rows)


def _configure(spool: Spool, rules: CaptureRules) -> None:
    """Capture by the endpoint's rules, and let the log quote no value where some are hidden."""
    quote_values(allowed=rules.keeps_all)
    spool.configure(rules)


def spool_folder(settings: Settings, endpoint: str) -> Path:
    """Return where the predictions of an endpoint wait. Names of endpoints hold nothing that a path could trip over."""
    return settings.home / "spool" / endpoint


def _run_until_signal(app: InferenceApp, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = uvicorn.Server(config)

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn drains on a signal and then raises it again for whoever listened before: without these the process would die
    # of it there, before the spool is flushed. They also serve a signal that comes before uvicorn listens.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.run(sockets=[listener])
