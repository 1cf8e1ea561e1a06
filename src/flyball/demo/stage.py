"""The stage of the demo: a fresh home, `flyball up` in a process of its own, and three people with tokens."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flyball.client import Client
from flyball.kernel.errors import FlyballError, Unavailable
from flyball.wire.v1 import access

# Generous: a machine that is slow or busy is no reason for the story to break off.
READY_S = 180.0
STOP_S = 180.0
LOOK_S = 0.02
TOKEN_S = 86_400
# What the training script's libraries import when they are used, found by looking at what a first run loads.
WARM = [
    "git",
    "importlib_metadata",
    "mlflow.models.display_utils",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "mlflow.tracking.request_header.registry",
    "pandas",
    "pyarrow.parquet",
    "skops.io",
    "sklearn.compose",
    "sklearn.linear_model",
]
# A laptop demo compresses weeks into seconds, so the processes look around more often than they would in earnest.
HURRY = {
    "FLYBALL_WORKER_POLL_MS": "40",
    "FLYBALL_ENDPOINT_POLL_MS": "40",
    "FLYBALL_CAPTURE_FLUSH_MS": "120",
    "FLYBALL_WARM_MODULES": ",".join(WARM),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """The clients of those who take part: one builds, another approves, an application asks for predictions."""

    owner: Client
    engineer: Client
    approver: Client
    application: Client


class Stage:
    """A running platform in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.home = folder / "home"
        self.log = folder / "flyball.log"
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FLYBALL_")},
            **HURRY,
            "FLYBALL_HOME": str(self.home),
            "FLYBALL_PORT": self.url.rsplit(":", 1)[1],
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Run `flyball up`, and return the seconds until it answered.

        Raises:
            Unavailable: it did not become ready; the message names its log.
        """
        started = time.monotonic()
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "flyball.cli.main", "up"]
            # Its own session, so that Ctrl-C in the demo's terminal reaches the demo, which then stops it in order.
            self._process = subprocess.Popen(  # noqa: S603 -- our own command
                command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(self._answers, limit_s=READY_S, what=f"the server (its log: {self.log})")
        return time.monotonic() - started

    @property
    def pid(self) -> int:
        """The process id of the supervisor, 0 before the start."""
        return self._process.pid if self._process is not None else 0

    def people(self) -> People:
        """Make the identities, each with a token of its own."""
        owner = Client(url=self.url, token=self._owner_token())
        return People(
            owner=owner,
            engineer=self._join(owner, "user:engineer", "engineer"),
            approver=self._join(owner, "user:approver", "approver"),
            application=self._join(owner, "service:application", "service"),
        )

    def stop(self) -> None:
        """Send the supervisor what Ctrl-C sends, and wait until everything has drained."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)
        self._process.wait(STOP_S)

    def _join(self, owner: Client, name: str, role: str) -> Client:
        owner.call(
            "POST", "/api/v1/identities", body=access.NewIdentity(name=name, role=role), response=access.IdentityInfo
        )
        body = access.NewToken(identity=name, label="demo", expires_in_s=TOKEN_S)
        issued = owner.call("POST", "/api/v1/tokens", body=body, response=access.IssuedToken)
        return Client(url=self.url, token=issued.secret)

    def _owner_token(self) -> str:
        return (self.home / "owner.token").read_text(encoding="utf-8").strip()

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise Unavailable(f"flyball up ended at once; its log is {self.log}")
        try:
            return bool(Client(url=self.url, token=self._owner_token()).call("GET", "/api/v1/me", response=access.Me))
        except (FlyballError, OSError):
            return False


def wait_for(holds: Callable[[], bool], *, limit_s: float, what: str) -> None:
    """Look until something holds.

    Raises:
        Unavailable: it does not hold in time; the message says what was waited for.
    """
    deadline = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline:
            raise Unavailable(f"waited {limit_s:g} s for {what}")
        time.sleep(LOOK_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
