"""`flyball up`: everything on one machine, under one supervisor."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import urllib3

from flyball.deployment.entities import EndpointState
from flyball.deployment.sql import SqlDeploymentStore
from flyball.kernel.db import open_database
from flyball.kernel.errors import Conflict
from flyball.kernel.logs import configure_logs, get_logger
from flyball.kernel.settings import Settings
from flyball.server import migrations
from flyball.server.home import TOKEN_FILE, prepare_home
from flyball.server.supervisor import Supervisor

READY_LIMIT_S = 60.0
_log = get_logger("supervisor")


def run_up(settings: Settings, *, announce: Callable[[str], None] = print) -> None:
    """Start server, worker and every active endpoint; restart what crashes; drain on SIGTERM or Ctrl-C.

    Raises:
        Conflict: something else answers at the address already, or the schema is older than this release.
    """
    started = time.monotonic()
    prepare_home(settings)
    configure_logs(settings, process="supervisor")
    database = open_database(settings.resolved_database_url)
    if migrations.current(database) is None:
        migrations.upgrade(database)  # a new, empty database; an older one is never upgraded silently
    migrations.require_newest(database)
    if answers(settings):
        raise Conflict(
            f"something answers at {settings.resolved_server_url} already; stop it, or set FLYBALL_PORT", field="port"
        )
    endpoints = SqlDeploymentStore(database)
    supervisor = Supervisor(lambda: _wanted(endpoints))

    def stop(_number: int, _frame: FrameType | None) -> None:
        supervisor.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=_announce, args=(settings, started, announce), name="announce", daemon=True).start()
    with contextlib.closing(database):
        supervisor.run()


def _wanted(endpoints: SqlDeploymentStore) -> dict[str, list[str]]:
    command = [sys.executable, "-m", "flyball.cli.main"]
    wanted = {
        "server": [*command, "server", "--supervised"],
        "worker": [*command, "worker", "--supervised"],
    }
    for endpoint in endpoints.list_endpoints():
        if endpoint.state is EndpointState.ACTIVE:
            wanted[f"endpoint/{endpoint.name}"] = [*command, "endpoint", "serve", endpoint.name, "--supervised"]
    return wanted


def _announce(settings: Settings, started: float, announce: Callable[[str], None]) -> None:
    while not answers(settings):
        if time.monotonic() - started > READY_LIMIT_S:
            _log.error("not_ready", after_s=READY_LIMIT_S, hint="flyball doctor")
            return
        time.sleep(0.05)
    token: Path = settings.home / TOKEN_FILE
    announce(f"Flyball is ready at {settings.resolved_server_url} after {time.monotonic() - started:.1f} s.")
    announce(f'Owner token: {token}   MLflow client: eval "$(flyball env)"   Pages: flyball ui')


def answers(settings: Settings) -> bool:
    """Tell whether a server answers at the address of the settings."""
    try:
        url = f"{settings.resolved_server_url}/health"
        return urllib3.request("GET", url, timeout=1.0, retries=False).status == 200  # noqa: PLR2004 -- HTTP OK
    except urllib3.exceptions.HTTPError:
        return False
