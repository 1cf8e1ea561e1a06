"""Keep the wanted processes running: start, watch, restart with back-off, stop in order.

What is wanted is asked for again and again, so that an endpoint created a moment ago gets its process, and a deleted one
loses it. A child learns of the supervisor's death by the end of its standard input, so no orphan outlives it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from flyball.kernel.logs import get_logger

# The first restart comes fast because most crashes are single ones; a crash loop must not eat the machine.
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
# A child that lived this long has recovered: its next crash starts again at the first delay.
HEALTHY_S = 60.0
LOOK_EVERY_S = 0.2
DRAIN_S = 15.0

_log = get_logger("supervisor")


@dataclass(slots=True)
class _Child:
    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    delay_s: float = FIRST_DELAY_S
    not_before: float = 0.0
    restarts: int = field(default=-1)


class Supervisor:
    """Run what `wanted` names. `wanted` maps a name to a command line; names sort into the order of starting."""

    def __init__(self, wanted: Callable[[], Mapping[str, Sequence[str]]]) -> None:
        self._wanted = wanted
        self._children: dict[str, _Child] = {}
        self._stopping = threading.Event()

    def run(self) -> None:
        """Supervise until `stop` is called, then drain every child, the last started first."""
        try:
            while not self._stopping.wait(LOOK_EVERY_S):
                self.look()
        finally:
            self._stop_all()

    def stop(self) -> None:
        """Ask `run` to end. Safe in a signal handler."""
        self._stopping.set()

    def look(self) -> None:
        """Bring what runs in line with what is wanted, once."""
        wanted = self._wanted()
        for name in [name for name in self._children if name not in wanted]:
            _end(self._children.pop(name))
        for name, command in wanted.items():
            child = self._children.setdefault(name, _Child(name=name, command=command))
            self._tend(child)

    def pids(self) -> dict[str, int]:
        """Return the process ids of the children that run."""
        return {name: child.process.pid for name, child in self._children.items() if child.process is not None}

    def _tend(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            _report(child)
            if now - child.started > HEALTHY_S:
                child.delay_s = FIRST_DELAY_S
            child.not_before = now + child.delay_s
            child.delay_s = min(child.delay_s * 2, LONGEST_DELAY_S)
            child.process = None
        if child.process is None and now >= child.not_before:
            _start(child)

    def _stop_all(self) -> None:
        for child in reversed(self._children.values()):
            _end(child)


def _start(child: _Child) -> None:
    # Its own session: Ctrl-C in the terminal reaches the supervisor only, which then drains the children in order.
    child.process = subprocess.Popen(list(child.command), stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
    child.started = time.monotonic()
    child.restarts += 1
    _log.info("started", child=child.name, pid=child.process.pid, restarts=child.restarts)


def _report(child: _Child) -> None:
    code = child.process.returncode if child.process else 0
    reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
    _log.warning("child_ended", child=child.name, reason=reason, restart_in_s=child.delay_s)


def _end(child: _Child) -> None:
    if child.process is None or child.process.poll() is not None:
        return
    child.process.terminate()
    try:
        child.process.wait(DRAIN_S)
    except subprocess.TimeoutExpired:
        _log.error("did_not_drain", child=child.name, after_s=DRAIN_S)
        child.process.kill()
        child.process.wait()
    _log.info("stopped", child=child.name)


def follow_parent() -> None:
    """In a supervised child: end in order when the supervisor is gone, however it went."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="follow-parent", daemon=True).start()
