"""Start the servers that are compared, each alone on loopback, and read what they cost."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".venv-peers"
VERSIONS = {"mlflow": "mlflow==3.17.2", "fasttrackml": "fasttrackml==0.6.*"}
START_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that runs."""

    name: str
    port: int
    database: Path
    started_s: float
    process: subprocess.Popen[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory_mb(self) -> float:
        """Proportional memory of all processes of the server."""
        group = {p for p in psutil.process_iter() if _group(p.pid) == self.process.pid}
        group |= set(psutil.Process(self.process.pid).children(recursive=True))
        return sum(p.memory_full_info().pss for p in group) / 1e6


def make_peers() -> None:
    """Install each peer into an environment of its own."""
    for name, requirement in VERSIONS.items():
        home = PEERS / name
        if (home / ".ready").exists():
            continue
        print(f"installing {requirement}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "-q", requirement], check=True)
        (home / ".ready").touch()


@contextlib.contextmanager
def flyball(home: Path) -> Iterator[Server]:
    """Run the server, the worker and their supervisor, as `flyball up` does."""
    port = _free_port()
    environment = {**os.environ, "FLYBALL_HOME": str(home), "FLYBALL_PORT": str(port), "FLYBALL_LOG_LEVEL": "error"}
    command = [str(Path(sys.executable).parent / "flyball"), "up"]
    with _running("flyball", command, port=port, database=home / "flyball.db", environment=environment) as server:
        token = (home / "owner.token").read_text(encoding="utf-8").strip()
        yield dataclasses.replace(server, headers={"Authorization": f"Bearer {token}"})


@contextlib.contextmanager
def mlflow(home: Path) -> Iterator[Server]:
    """Run `mlflow server` with its defaults, on SQLite and proxied artifacts."""
    port, database = _free_port(), home / "mlflow.db"
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
    port, database = _free_port(), home / "fasttrackml.db"
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
    begun = time.monotonic()
    process = subprocess.Popen(
        command, env=dict(environment), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process)
        started_s = time.monotonic() - begun
        yield Server(name=name, port=port, database=database, started_s=started_s, process=process)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole process group: some servers outlive their parent."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the server behind {url} ended at once")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise SystemExit(f"no answer from {url} within {START_S:g} s")


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
