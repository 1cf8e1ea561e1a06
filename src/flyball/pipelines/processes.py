"""Run a task in a child process: its environment given, its output captured, its time limited, its whole group ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from select import select
from typing import IO

import msgspec

from flyball.kernel.errors import Unavailable
from flyball.pipelines.exchange import OUTCOME_FILE, Outcome, Plan, Raised, Returned, Task
from flyball.pipelines.ports import Ended

CHILD_MODULE = "flyball.pipelines.child"
# Half of this from the start of what was printed and half from the end: where it began, and how it ended.
LOG_BYTES = 2 * 1024 * 1024
# How long the parent sleeps at most before it looks at the clock, the lease and the child.
LOOK_SECONDS = 0.2
# After the group was killed, what is still in the pipe is read for this long; a process that left the group may hold it.
DRAIN_SECONDS = 1.0
# A child that closed its output, and runs on, is looked at this often.
_PAUSE_SECONDS = 0.02
_CHUNK = 65_536


class ProcessRunner:
    """Run each task in a fresh interpreter. Safe to share between threads."""

    def __init__(self, *, python: str = sys.executable) -> None:
        self._python = python

    def run(
        self, task: Task, *, folder: Path, environment: Mapping[str, str], timeout_s: float, beat: Callable[[], None]
    ) -> Ended:
        process = self._start(folder, environment)
        printed = PrintedText()
        try:
            in_time = _follow(process, task, printed, deadline=time.monotonic() + timeout_s, beat=beat)
        finally:
            _end_group(process)
        _drain(process, printed)
        if not in_time:
            reason = f"did not end within {timeout_s:g} s; it and the processes it started were killed"
            return Ended(outcome=None, reason=reason, log=printed.text())
        outcome = _outcome(folder)
        reason = "" if outcome is not None else _exit_reason(process.returncode)
        return Ended(outcome=outcome, reason=reason, log=printed.text())

    def _start(self, folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        # -P keeps the working directory, where values lie, off the import path.
        command = [self._python, "-P", "-m", CHILD_MODULE]
        try:
            return subprocess.Popen(  # noqa: S603 -- our own module in our own interpreter
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )
        except BlockingIOError as error:
            raise Unavailable(f"the machine cannot start another process now: {error}") from error


class PrintedText:
    """What a child printed: the beginning and the end of it, in bounded memory."""

    def __init__(self, limit: int = LOG_BYTES) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        """Keep the data, and forget what lies too far in the middle."""
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        excess = len(self._tail) - self._half
        if excess > 0:
            del self._tail[:excess]
            self._dropped += excess

    def text(self) -> bytes:
        """Return what was kept, with a line that says how much was not."""
        if not self._dropped:
            return bytes(self._head + self._tail)
        mark = f"\n[... {self._dropped} bytes of output left out ...]\n".encode()
        return bytes(self._head + mark + self._tail)


def _follow(
    process: subprocess.Popen[bytes], task: Task, printed: PrintedText, *, deadline: float, beat: Callable[[], None]
) -> bool:
    """Read what the child prints until it ends (True) or its time is up (False)."""
    output = _output(process)
    _send(process, task)
    open_pipe = True
    while not _has_ended(process):
        if time.monotonic() >= deadline:
            return False
        beat()
        patience = min(LOOK_SECONDS, max(0.0, deadline - time.monotonic()))
        if open_pipe:
            open_pipe = _read_some(output, printed, patience)
        else:
            time.sleep(min(patience, _PAUSE_SECONDS))
    return True


def _send(process: subprocess.Popen[bytes], task: Task) -> None:
    # The pipe stays open: its end tells the child that this process has died.
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it died before it could read; its exit says why
        process.stdin.write(msgspec.json.encode(task) + b"\n")
        process.stdin.flush()


def _read_some(output: IO[bytes], printed: PrintedText, patience: float) -> bool:
    """Return False at the end of the pipe."""
    ready, _, _ = select([output], [], [], patience)
    if not ready:
        return True
    data = os.read(output.fileno(), _CHUNK)
    printed.add(data)
    return bool(data)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    # Left uncollected: as long as the child is a zombie, nobody else can get its number, and with it our killpg.
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of the child's process group, and collect the child."""
    with suppress(ProcessLookupError, PermissionError):  # nobody is left (macOS says PermissionError for a zombie)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()


def _drain(process: subprocess.Popen[bytes], printed: PrintedText) -> None:
    output = _output(process)
    deadline = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < deadline and _read_some(output, printed, LOOK_SECONDS):
        pass
    output.close()


def _output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def _outcome(folder: Path) -> Outcome | None:
    path = folder / OUTCOME_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan | Returned | Raised)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        return Raised(message=f"the child left an outcome that cannot be read: {error}")


def _exit_reason(returncode: int) -> str:
    if returncode < 0:
        name = signal.Signals(-returncode).name if -returncode in set(signal.Signals) else "unknown"
        hint = "; the system does that when memory runs out" if -returncode == signal.SIGKILL else ""
        return f"was killed by signal {-returncode} ({name}){hint}"
    return f"ended with exit code {returncode} and without a result"
