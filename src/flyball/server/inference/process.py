"""Run a model server: one process, one endpoint, until SIGTERM; then drain, flush and end."""

from __future__ import annotations

import gc
import os
import socket
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flyball.kernel.clock import Clock, SystemClock
from flyball.kernel.logs import get_logger, quote_values
from flyball.kernel.settings import Settings
from flyball.server.capture_key import capture_key
from flyball.server.inference.app import build_app
from flyball.server.inference.authorisation import Authorise
from flyball.server.inference.limits import RequestLimits, batch_limits
from flyball.server.inference.listening import listen_until_signal, load_grpc
from flyball.server.inference.metrics import served_figures
from flyball.server.inference.tracing import traced
from flyball.server.inference.warming import model_loader
from flyball.server.inference.watcher import CurrentRouting, FetchModel, Report, RoutingWatcher
from flyball.server.reporting import reported
from flyball.serving.capture_rules import CaptureRules
from flyball.serving.fast_path import Tell
from flyball.serving.host import FixedHost
from flyball.serving.parity import Certificate
from flyball.serving.plane import DataPlane
from flyball.serving.ports import PredictionSink
from flyball.serving.spool import Spool

LOOPBACK = "127.0.0.1"
# Requests run beside each other already. With a team of OpenMP threads for each, whose members spin while they wait, a row
# of a gradient boosting took 500 ms instead of 10 on a machine with more to do. Read when a model's library is loaded.
OPENMP_THREADS = "OMP_NUM_THREADS"
# Objects that live on before the youngest are looked through, and how often that is before older ones are; the interpreter's own
# numbers (700, 10, 10) cost a fifth of what a request does.
COLLECTED_AFTER = (50_000, 20, 20)


_log = get_logger("inference")


def _tell_nobody(_certificate: Certificate) -> None:
    """Keep no evidence, where there is no registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a model server needs from the platform, as functions, so that it knows no store.

    `current_routing`, `fetch_model` and `report` are called from one thread, `authorise` from many, `sink` from another one,
    `certified` from any.
    """

    current_routing: CurrentRouting
    fetch_model: FetchModel
    report: Report
    authorise: Authorise
    sink: PredictionSink
    certified: Tell = _tell_nobody


def serve(
    endpoint: str,
    model: str,
    *,
    surroundings: Surroundings,
    settings: Settings,
    port: int = 0,
    grpc_port: int | None = None,
    clock: Clock | None = None,
) -> None:
    """Serve an endpoint on 127.0.0.1 until SIGTERM or Ctrl-C; `port` 0 takes a free one. Call it from the main thread.

    With a `grpc_port` the Open Inference Protocol is answered over gRPC as well, there; 0 takes a free one too.
    At the end no new request is accepted, those accepted are answered, and what was captured is on disk or shipped.

    Raises:
        Conflict: another process serves this endpoint from this home.
        MissingExtra: gRPC is wanted, and its library is not installed.
    """
    start_grpc = None if grpc_port is None else load_grpc(f"{LOOPBACK}:{grpc_port}")
    clock = clock or SystemClock()
    prefer_one_thread()
    collect_seldom()
    with (
        socket.create_server((LOOPBACK, port)) as listener,
        model_loader(settings, clock=clock, tell=surroundings.certified) as load,
    ):
        url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        spool = Spool(
            spool_folder(settings, endpoint),
            endpoint=endpoint,
            sink=surroundings.sink,
            flush_ms=settings.capture_flush_ms,
            key=capture_key(settings),
        )
        plane = DataPlane(endpoint, model, capture=spool, clock=clock, limits=batch_limits(settings))
        watcher = RoutingWatcher(
            plane,
            current_routing=surroundings.current_routing,
            fetch_model=surroundings.fetch_model,
            report=surroundings.report,
            load=load,
            clock=clock,
            poll_ms=settings.endpoint_poll_ms,
            url=url,
            pid=os.getpid(),
            configure=partial(_configure, spool),
        )
        app = build_app(
            FixedHost([plane]),
            authorise=surroundings.authorise,
            max_request_bytes=settings.max_request_bytes,
            limits=RequestLimits.by(settings),
        )
        _log.info("serving", endpoint=endpoint, url=url)
        watcher.start()
        try:
            figures = partial(served_figures, app.answering, app.counts)
            with reported(figures, settings, instance=endpoint), traced(app, settings) as answering:
                listen_until_signal(answering, listener, start_grpc)
        finally:
            plane.close()
            spool.close()
            watcher.stop()
            _log.info("drained", endpoint=endpoint, dropped_rows=spool.dropped_rows)


def prefer_one_thread() -> None:
    """Let the libraries of models work in the thread they are called in, unless somebody said otherwise."""
    os.environ.setdefault(OPENMP_THREADS, "1")


def collect_seldom() -> None:
    """Let the interpreter look for garbage seldom, and not among what is loaded by now.

    What a request leaves behind is freed when its last reference goes; only cycles need to be looked for, and a look goes through
    all predictions that wait to be captured. Called before a model is loaded: one that is unloaded must be found.
    """
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)


def _configure(spool: Spool, rules: CaptureRules) -> None:
    """Capture by the endpoint's rules, and let the log quote no value where some are hidden."""
    quote_values(allowed=rules.keeps_all)
    spool.configure(rules)


def spool_folder(settings: Settings, endpoint: str) -> Path:
    """Return where the predictions of an endpoint wait. Names of endpoints hold nothing that a path could trip over."""
    return settings.home / "spool" / endpoint
