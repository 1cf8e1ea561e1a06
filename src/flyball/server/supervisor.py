"""Keep the wanted processes running: start, watch, restart with back-off, stop in order.

What is wanted is asked for again and again, so that an endpoint created a moment ago gets its process, and a deleted one
loses it. A child learns of the supervisor's death by the end of its standard input, so no orphan outlives it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue

from flyball.kernel.logs import get_logger
from flyball.server.children import Child, Pace

_log = get_logger("supervisor")
_ENDING_LOOK_S = 0.05


class Supervisor:
    """Run what `wanted` names: a name and a command line each, in the order in which they are to start."""

    def __init__(self, wanted: Callable[[], Mapping[str, Sequence[str]]], *, pace: Pace | None = None) -> None:
        self._wanted = wanted
        self._pace = pace or Pace()
        self._children: dict[str, Child] = {}
        self._leaving: list[Child] = []
        # A queue of this kind may be put to in a signal handler at any moment; an Event may not.
        self._asked: SimpleQueue[None] = SimpleQueue()
        self._complaint = ""

    def run(self) -> None:
        """Supervise until `stop` is called, then drain every child, the last started first."""
        try:
            self.look()
            while not self._was_asked(self._pace.look_every_s):
                self.look()
        finally:
            self._end_all()

    def stop(self) -> None:
        """Ask `run` to end; asked again, it kills what still drains. Safe in a signal handler."""
        self._asked.put(None)

    def look(self) -> None:
        """Bring what runs in line with what is wanted, once."""
        wanted = self._ask_wanted()
        for name in [name for name in self._children if name not in wanted]:
            child = self._children.pop(name)
            child.ask_to_end()
            self._leaving.append(child)
        self._leaving = [child for child in self._leaving if not child.has_ended()]
        leaving = {child.name for child in self._leaving}
        for name, command in wanted.items():
            if name not in leaving:
                self._children.setdefault(name, Child(name, command, pace=self._pace)).tend(time.monotonic())

    def pids(self) -> dict[str, int]:
        """Return the process ids of the children that run."""
        found = ((name, child.pid) for name, child in self._children.items())
        return {name: pid for name, pid in found if pid is not None}

    def _ask_wanted(self) -> Mapping[str, Sequence[str]]:
        """Return what is wanted; while that cannot be told (a locked database), what runs already stays wanted."""
        try:
            wanted = self._wanted()
        except Exception as error:  # noqa: BLE001 -- a passing fault of a store must not take every process with it
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.error("wanted_unknown", error=self._complaint)
            return {name: child.command for name, child in self._children.items()}
        self._complaint = ""
        return wanted

    def _end_all(self) -> None:
        hurried = False
        for child in (*self._leaving, *reversed(self._children.values())):
            child.ask_to_end()
            while not child.has_ended():
                hurried = self._was_asked(_ENDING_LOOK_S) or hurried
                if hurried:
                    child.kill()

    def _was_asked(self, within_s: float) -> bool:
        try:
            self._asked.get(timeout=within_s)
        except Empty:
            return False
        return True


def follow_parent(*, drain_s: float = Pace().drain_s) -> None:
    """In a supervised child: end in order when the supervisor is gone, however it went; end anyhow after `drain_s`."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(drain_s)
        os._exit(1)  # nobody is left who would kill it

    threading.Thread(target=watch, name="follow-parent", daemon=True).start()
