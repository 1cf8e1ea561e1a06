"""Real server processes that start in a fraction of a second and can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import urllib3
from tests.faults.server_load import Api
from tests.ports import free_port

HOST = Path(__file__).with_name("server_host.py")
PATIENCE_S = 240.0


class Servers:
    """A home, and one server process after the other on it, each forked from a process that has imported everything."""

    def __init__(self, folder: Path, *, database_url: str = "") -> None:
        self.home = folder / "home"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        self.environment = {
            "FLYBALL_HOME": str(self.home),
            "FLYBALL_PORT": str(self.port),
            "FLYBALL_LOG_FORMAT": "json",
        }
        if database_url:
            self.environment["FLYBALL_DATABASE_URL"] = database_url
        upgrade = [sys.executable, "-m", "flyball.cli.main", "db", "upgrade"]
        subprocess.run(upgrade, env={**os.environ, **self.environment}, check=True, capture_output=True)
        with self.log.open("wb") as log:
            self.host = subprocess.Popen(
                [sys.executable, HOST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def move_to(self, home: Path) -> None:
        """Let the next server work on another home, with a SQLite database in it."""
        self.home = home
        self.environment = {**self.environment, "FLYBALL_HOME": str(home)}
        self.environment.pop("FLYBALL_DATABASE_URL", None)

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
