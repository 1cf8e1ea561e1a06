"""A watched installation on loopback, with a model server that answers, and the genuine Prometheus and Alertmanager beside it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
import uvicorn
from tests.api.conftest import served, settings_for
from tests.api.test_traces import BODY, Doubling
from tests.monitored import furnish
from tests.protocol.serving import TrackingServer

from flyball.deployment.entities import EndpointStatus
from flyball.kernel.clock import SystemClock
from flyball.server.endpoint import LogSink
from flyball.server.inference.app import build_app
from flyball.serving.entities import ColumnKind, ColumnSpec, Signature
from flyball.serving.plane import DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick
from flyball.serving.served_model import ServedModel
from flyball.serving.spool import Spool

WAIT_S = 60
PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager")


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """Say at once what is missing; `make test-observability` installs it."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    assert not missing, f"{', '.join(missing)} not found: apt-get install prometheus prometheus-alertmanager"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A server with something to tell, and what a person at its terminal can do."""

    server: TrackingServer
    folder: Path

    def flyball(self, *words: str) -> str:
        """Run the command line as its owner, and return what it printed."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("FLYBALL_")}
        environ |= {"FLYBALL_SERVER_URL": self.server.url, "FLYBALL_TOKEN": self.server.token}
        command = [sys.executable, "-m", "flyball.cli.main", *words]
        answer = subprocess.run(
            command,
            cwd=self.folder,
            env=environ | {"FLYBALL_HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Serve a platform that has found things, and the model server of its endpoint."""
    folder = tmp_path_factory.mktemp("observed")
    home = folder / "home"
    with served(settings_for(f"sqlite:///{home / 'flyball.db'}", home)) as server:
        furnish(server.platform, now_ms=int(time.time() * 1000))
        with model_server(server, folder / "spool") as url, beating(server, url):
            yield Installation(server=server, folder=folder)


@contextlib.contextmanager
def model_server(server: TrackingServer, spool_folder: Path) -> Iterator[str]:
    """Answer for the endpoint "unwatched" as its model server would; requests are sent all the time."""
    platform = server.platform
    signature = Signature(inputs=(ColumnSpec(name="x", kind=ColumnKind.DOUBLE),))
    loaded = LoadedVersion(version=1, digest="1" * 64, model=ServedModel(Doubling(), signature))
    sink = LogSink(platform.predictions, platform.losses, model="elec")
    spool = Spool(spool_folder, endpoint="unwatched", sink=sink, flush_ms=200)
    plane = DataPlane("unwatched", "elec", capture=spool, clock=SystemClock())
    pick = Choice(answer=Pick(version=1, role="champion"))
    plane.switch(Routing(generation=1, champion=1, router=lambda _key: pick, versions={1: loaded}))

    def authorise(token: str, permission: Any) -> str:
        principal = platform.access.authenticate(token)
        principal.require(permission)
        return principal.identity

    app = build_app(plane, authorise=authorise, max_request_bytes=1_000_000)
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=running.run)
    thread.start()
    until(lambda: running.started, "the model server starts")
    url = f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    try:
        with repeated(lambda: ask(url, server.token)):
            yield url
    finally:
        running.should_exit = True
        thread.join()
        plane.close()
        spool.close()


def ask(url: str, token: str) -> None:
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    urllib3.request("POST", f"{url}/v2/models/unwatched/infer", body=json.dumps(BODY), headers=headers, timeout=WAIT_S)


@contextlib.contextmanager
def beating(server: TrackingServer, url: str) -> Iterator[None]:
    """Say that the model server lives, as its process would."""

    def beat() -> None:
        status = EndpointStatus(
            endpoint="unwatched",
            generation=1,
            url=url,
            pid=os.getpid(),
            heartbeat_ms=server.platform.clock.now_ms(),
            loaded=(1,),
            error="",
        )
        server.platform.deployments.report_status(status)

    with repeated(beat):
        yield


@contextlib.contextmanager
def repeated(act: Callable[[], None]) -> Iterator[None]:
    """Do something a few times a second until the end."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(0.3):
            act()

    act()
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def program(*command: str, folder: Path, ready: str) -> Iterator[None]:
    """Run a program until the end; it is there when `ready` answers."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        until(lambda: process.poll() is not None or answers(ready), f"{command[0]} starts")
        assert process.poll() is None, log.read_text(encoding="utf-8")
        yield
    finally:
        process.terminate()
        process.wait(WAIT_S)


def answers(url: str) -> bool:
    try:
        return urllib3.request("GET", url, retries=False, timeout=5).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, f"waited {WAIT_S} s: {what}"
        time.sleep(0.05)
