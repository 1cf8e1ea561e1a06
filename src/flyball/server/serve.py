"""Run the server or the worker in this process, until a signal asks it to drain."""

from __future__ import annotations

import contextlib
import gc
import signal
from types import FrameType

import uvicorn

from flyball.kernel.logs import configure_logs, get_logger
from flyball.kernel.settings import Settings
from flyball.server.app import build_app
from flyball.server.home import ensure_owner_token, prepare_home
from flyball.server.http_protocol import http_protocol
from flyball.server.occupancy import share_database
from flyball.server.platform import open_platform
from flyball.server.supervisor import follow_parent
from flyball.server.warm_children import prepare_children
from flyball.server.worker import Worker, passed_on

# Shorter than the supervisor's patience, so that what drains ends by itself.
DRAIN_S = 10
_log = get_logger("server")


def run_server(settings: Settings, *, supervised: bool) -> None:
    """Serve the API until SIGTERM or Ctrl-C, then finish the requests in flight."""
    prepare_home(settings)
    configure_logs(settings, process="server")
    if supervised:
        follow_parent()
    with (
        _sharing(settings, "server"),
        contextlib.closing(open_platform(settings)) as platform,
        contextlib.closing(build_app(platform)) as app,
    ):
        ensure_owner_token(platform)
        config = uvicorn.Config(
            app,
            http=http_protocol(),
            host=settings.host,
            port=settings.port,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="off",
            timeout_graceful_shutdown=DRAIN_S,
        )
        server = uvicorn.Server(config)

        def stop(_number: int, _frame: FrameType | None) -> None:
            server.should_exit = True

        # uvicorn puts its own handlers in front of these while it serves, and raises the signal again when it has drained:
        # without ours, that would end the process before its stores are closed.
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        gc.collect()
        gc.freeze()  # what is there by now stays until the end: no collection has to look through it again
        server.run()
    _log.info("drained")


def run_worker(settings: Settings, *, supervised: bool) -> None:
    """Work until SIGTERM or Ctrl-C, then finish the present task."""
    prepare_home(settings)
    configure_logs(settings, process="worker")
    prepare_children(settings, environment=passed_on())
    if supervised:
        follow_parent()
    with _sharing(settings, "worker"), contextlib.closing(open_platform(settings)) as platform:
        worker = Worker(platform)

        def stop(_number: int, _frame: FrameType | None) -> None:
            worker.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        _log.info("working")
        worker.run()
    _log.info("drained")


def _sharing(settings: Settings, process: str) -> contextlib.AbstractContextManager[None]:
    return share_database(settings.resolved_database_url, process=f"flyball {process}")
