"""Run a task in a child process: its environment given, its output captured, its time limited, its whole group ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from pathlib import Path
from select import POLLIN, poll

import msgspec

from flyball.pipelines.children import Child, FreshChild, StartChild
from flyball.pipelines.exchange import OUTCOME_FILE, Outcome, Plan, Raised, Returned, Task
from flyball.pipelines.ports import Ended

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
    """Run each task in a process of its own, by default a fresh interpreter. Safe to share between threads."""

    def __init__(self, *, start: StartChild = FreshChild) -> None:
        self._start = start

    def run(
        self, task: Task, *, folder: Path, environment: Mapping[str, str], timeout_s: float, beat: Callable[[], None]
    ) -> Ended:
        child = self._start_beating(folder, environment, beat)
        deadline = time.monotonic() + timeout_s
        printed = PrintedText()
        with closing(child.stdout):
            try:
                in_time = _follow(child, task, printed, deadline=deadline, beat=beat)
            finally:
                child.end_group()
            _drain(child, printed)
        if not in_time:
            reason = f"did not end within {timeout_s:g} s; it and the processes it started were killed"
            return Ended(outcome=None, reason=reason, log=printed.text())
        outcome = _outcome(folder)
        reason = "" if outcome is not None else _exit_reason(child.returncode)
        return Ended(outcome=outcome, reason=reason, log=printed.text())

    def _start_beating(self, folder: Path, environment: Mapping[str, str], beat: Callable[[], None]) -> Child:
        """Start a child. The first one waits for the libraries that it will share, which may take longer than a lease lives."""
        with ThreadPoolExecutor(1, thread_name_prefix="start") as starting:
            started = starting.submit(self._start, folder, environment)
            try:
                while not wait([started], timeout=LOOK_SECONDS).done:
                    beat()
            except BaseException:  # nobody waits for the child any more
                child = started.result()
                child.end_group()
                child.stdout.close()
                raise
        return started.result()


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


def _follow(child: Child, task: Task, printed: PrintedText, *, deadline: float, beat: Callable[[], None]) -> bool:
    """Read what the child prints until it ends (True) or its time is up (False)."""
    # The pipe stays open afterwards: its end tells the child that this process has died.
    with suppress(BrokenPipeError):  # it died before it could read; its exit says why
        child.stdin.write(msgspec.json.encode(task) + b"\n")
        child.stdin.flush()
    open_pipe = True
    while not child.has_ended():
        if time.monotonic() >= deadline:
            return False
        beat()
        patience = min(LOOK_SECONDS, max(0.0, deadline - time.monotonic()))
        if open_pipe:
            open_pipe = _read_some(child, printed, patience)
        else:
            time.sleep(min(patience, _PAUSE_SECONDS))
    return True


def _read_some(child: Child, printed: PrintedText, patience: float) -> bool:
    """Return False at the end of the pipe."""
    readable = poll()  # and not select, which refuses descriptors from 1024 on
    readable.register(child.stdout, POLLIN)
    if not readable.poll(patience * 1000):
        return True
    data = os.read(child.stdout.fileno(), _CHUNK)
    printed.add(data)
    return bool(data)


def _drain(child: Child, printed: PrintedText) -> None:
    deadline = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < deadline and _read_some(child, printed, LOOK_SECONDS):
        pass


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
