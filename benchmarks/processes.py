"""Start a server in a process group of its own, wait until it is ready, read what it costs, and end all of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

START_S = 90.0
END_S = 20.0
BETWEEN_LOOKS_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that runs, and how long it took to be ready."""

    port: int
    started_s: float
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory_mb(self) -> float:
        """Proportional memory of all processes of the server."""
        return sum(_pss(process) for process in family(self.process.pid)) / 1e6

    def pause(self) -> None:
        """Stop all processes of the server where they are: some look for work all the time, at the cost of others."""
        _signal_all(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        _signal_all(self.process.pid, signal.SIGCONT)

    def cpu_s(self) -> float:
        """Seconds of processor time that all processes of the server have used."""
        return sum(_cpu(process) for process in family(self.process.pid))


def family(pid: int) -> set[psutil.Process]:
    """Return the processes of a group, and whatever else descends from its leader."""
    group = {process for process in psutil.process_iter() if _group(process.pid) == pid}
    with contextlib.suppress(psutil.NoSuchProcess):
        group |= set(psutil.Process(pid).children(recursive=True))
    return group


@contextlib.contextmanager
def running(
    command: list[str], *, port: int, ready: str, environment: Mapping[str, str], log: Path | None = None
) -> Iterator[Running]:
    """Run a server until the block ends. `ready` is the path that answers when it can be asked."""
    begun = time.monotonic()
    with (log or Path(os.devnull)).open("ab") as output:
        process = subprocess.Popen(command, env=dict(environment), start_new_session=True, stdout=output, stderr=output)
    try:
        _wait_for(f"http://127.0.0.1:{port}{ready}", process)
        yield Running(port=port, started_s=time.monotonic() - begun, process=process)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End the whole family: some servers leave processes behind, some of them in groups of their own."""
    members = family(process.pid)
    _signal_all(process.pid, signal.SIGCONT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the server behind {url} ended at once")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(BETWEEN_LOOKS_S)
    raise SystemExit(f"no answer from {url} within {START_S:g} s")


def _signal_all(pid: int, number: signal.Signals) -> None:
    for member in family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            member.send_signal(number)


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1
