"""The server is killed at any moment under load, a hundred times: nothing acknowledged is lost, nothing is there by half."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from tests.faults.server_load import Api, Load, RunNotes, check

HOST = Path(__file__).with_name("server_host.py")
PATIENCE_S = 60.0
SEEDS = range(100)
GROUP = 20
# From the first acknowledged write to the kill.
LONGEST_S = 0.25


class Servers:
    """A home, and one server process after the other on it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        self.notes: list[RunNotes] = []
        self.environment = {
            "FLYBALL_HOME": str(self.home),
            "FLYBALL_PORT": str(self.port),
            "FLYBALL_LOG_FORMAT": "json",
        }
        upgrade = [sys.executable, "-m", "flyball.cli.main", "db", "upgrade"]
        subprocess.run(upgrade, env={**os.environ, **self.environment}, check=True, capture_output=True)
        with self.log.open("wb") as log:
            self.host = subprocess.Popen(
                [sys.executable, HOST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def start(self) -> int:
        """Start a server and wait until it answers."""
        assert self.host.stdin is not None
        assert self.host.stdout is not None
        self.host.stdin.write(json.dumps(self.environment) + "\n")
        self.host.stdin.flush()
        pid = int(self.host.stdout.readline())
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < deadline, self.log.read_text(encoding="utf-8")[-2_000:]
            time.sleep(0.01)
        return pid

    def api(self) -> Api:
        """Return a client with the owner's token."""
        return Api(self.url, self.token())

    def token(self) -> str:
        return (self.home / "owner.token").read_text(encoding="utf-8").strip()

    def verify(self) -> int:
        """Check the chain through the server; return how many events it has."""
        found = self.api().get("/api/v1/audit/verify")
        assert found["intact"], found
        return int(found["count"])

    def close(self) -> None:
        assert self.host.stdin is not None
        self.host.stdin.close()
        self.host.wait()

    def _answers(self) -> bool:
        try:
            return urllib3.request("GET", f"{self.url}/health", timeout=5.0, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    made = Servers(tmp_path_factory.mktemp("killed"))
    yield made
    made.close()


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.002)
    pytest.fail(f"process {pid} did not end")


def killed_under_load(servers: Servers, pid: int, seed: int) -> list[RunNotes]:
    """Put load on a server and kill it in the middle; return what the clients noted."""
    load = Load(servers.url, servers.token())
    assert load.first.wait(PATIENCE_S)
    time.sleep(random.Random(seed).uniform(0, LONGEST_S))
    kill(pid)
    load.join()
    return load.notes


@pytest.mark.parametrize("first", SEEDS[::GROUP])
def test_a_server_killed_under_load_loses_nothing_acknowledged_and_leaves_a_chain_that_verifies(
    servers: Servers, first: int
) -> None:
    pid = servers.start()
    before = servers.verify()
    for seed in range(first, first + GROUP):
        notes = killed_under_load(servers, pid, seed)
        servers.notes += notes
        pid = servers.start()
        api = servers.api()
        for run in notes:
            check(api, run)
        after = servers.verify()
        assert after >= before + len(notes)  # each run that was made has its event
        before = after
    api = servers.api()
    for run in servers.notes:
        check(api, run)
    kill(pid)
    assert sum(len(run.done) for run in servers.notes) > GROUP
