"""`flyball up`: everything on one machine, under one supervisor.

This process imports neither the rooms nor the web framework: it is ready to start its children at once, and stays small.
"""

from __future__ import annotations

import contextlib
import errno
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import urllib3

from flyball.deployment.entities import EndpointState
from flyball.deployment.sql import SqlDeploymentStore
from flyball.kernel.db import Database, open_database
from flyball.kernel.errors import Conflict, InvalidInput
from flyball.kernel.logs import configure_logs, get_logger
from flyball.kernel.settings import Settings
from flyball.server import migrations
from flyball.server.home import hold_home, prepare_home
from flyball.server.occupancy import share_database
from flyball.server.supervisor import Supervisor

READY_LIMIT_S = 60.0
_LOOK_EVERY_S = 0.02
_log = get_logger("supervisor")


def run_up(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Start server, worker and every active endpoint; restart what crashes; drain on SIGTERM or Ctrl-C.

    Raises:
        Conflict: something else has the home or the address already, or the schema is of another release.
    """
    started = time.monotonic()
    prepare_home(settings)
    configure_logs(settings, process="supervisor")
    url = settings.resolved_database_url
    with (
        hold_home(settings),
        share_database(url, process="flyball up"),
        contextlib.closing(open_database(url)) as database,
    ):
        require_free_address(settings)
        _require_schema(database)
        endpoints = SqlDeploymentStore(database)
        supervisor = Supervisor(lambda: _wanted(endpoints))

        def stop(_number: int, _frame: FrameType | None) -> None:
            supervisor.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        threading.Thread(target=_announce, args=(settings, started, announce), name="announce", daemon=True).start()
        supervisor.run()


def require_free_address(settings: Settings) -> None:
    """Refuse an address that the server could not bind, before anything is started.

    Raises:
        Conflict: something listens there already.
        InvalidInput: this machine has no such address, or the port is 0, at which nobody would find the server.
    """
    if settings.port == 0:
        raise InvalidInput("port 0 means any port, and nobody would know which; set FLYBALL_PORT", field="port")
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"something listens at {settings.host}:{settings.port} already; stop it, or set FLYBALL_PORT",
                field="port",
            ) from error
        raise InvalidInput(
            f"{settings.host}:{settings.port} cannot be bound ({error.strerror}); set FLYBALL_HOST and FLYBALL_PORT",
            field="host",
        ) from error


def _require_schema(database: Database) -> None:
    if migrations.current(database) is None:
        migrations.upgrade(database)  # a new, empty database; an older one is never upgraded silently
    migrations.require_newest(database)


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
        time.sleep(_LOOK_EVERY_S)
    announce(f"Flyball is ready at {settings.resolved_server_url} after {time.monotonic() - started:.1f} s.")
    announce(f'Owner token: {settings.owner_token_file}   MLflow client: eval "$(flyball env)"   Pages: flyball ui')


def answers(settings: Settings) -> bool:
    """Tell whether a server answers at the address of the settings."""
    try:
        url = f"{settings.resolved_server_url}/health"
        return urllib3.request("GET", url, timeout=1.0, retries=False).status == 200  # noqa: PLR2004 -- HTTP OK
    except urllib3.exceptions.HTTPError:
        return False
