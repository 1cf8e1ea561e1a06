"""Start the servers that are compared, each alone on loopback, and read what they cost."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import environments
from benchmarks.environments import PEERS
from benchmarks.processes import Running, free_port, running

PEER_NAMES = ("mlflow", "fasttrackml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(Running):
    """A server that runs, and the database it runs on."""

    name: str
    database: Path
    headers: Mapping[str, str] = field(default_factory=dict)


def make_peers() -> None:
    """Install each peer into an environment of its own."""
    environments.make_peers(PEER_NAMES)


@contextlib.contextmanager
def flyball(home: Path) -> Iterator[Server]:
    """Run the server, the worker and their supervisor, as `flyball up` does."""
    port = free_port()
    environment = {**os.environ, "FLYBALL_HOME": str(home), "FLYBALL_PORT": str(port), "FLYBALL_LOG_LEVEL": "error"}
    command = [str(Path(sys.executable).parent / "flyball"), "up"]
    with _running("flyball", command, port=port, database=home / "flyball.db", environment=environment) as server:
        token = (home / "owner.token").read_text(encoding="utf-8").strip()
        yield dataclasses.replace(server, headers={"Authorization": f"Bearer {token}"})


@contextlib.contextmanager
def mlflow(home: Path) -> Iterator[Server]:
    """Run `mlflow server` with its defaults, on SQLite and proxied artifacts."""
    port, database = free_port(), home / "mlflow.db"
    home.mkdir(parents=True, exist_ok=True)
    bin_folder = PEERS / "mlflow" / "bin"
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    command = [str(bin_folder / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", str(home / "artifacts")]
    with _running("mlflow", command, port=port, database=database, environment=environment) as server:
        yield server


@contextlib.contextmanager
def fasttrackml(home: Path) -> Iterator[Server]:
    """Run fasttrackml on SQLite."""
    port, database = free_port(), home / "fasttrackml.db"
    home.mkdir(parents=True, exist_ok=True)
    command = [str(PEERS / "fasttrackml" / "bin" / "fml"), "server", "-a", f"127.0.0.1:{port}", "-l", "error"]
    command += ["-d", f"sqlite://{database}", "--default-artifact-root", str(home / "artifacts")]
    with _running("fasttrackml", command, port=port, database=database, environment=dict(os.environ)) as server:
        yield server


SERVERS = {"flyball": flyball, "mlflow": mlflow, "fasttrackml": fasttrackml}


@contextlib.contextmanager
def _running(
    name: str, command: list[str], *, port: int, database: Path, environment: Mapping[str, str]
) -> Iterator[Server]:
    with running(command, port=port, ready="/health", environment=environment) as found:
        yield Server(name=name, port=port, database=database, started_s=found.started_s, process=found.process)
