"""End a model's process when it, with what it has started, has grown beyond its limit.

`RLIMIT_DATA` refuses what one process wants to allocate; it does not see processes that a model starts, each of which has the
limit for itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from flyball.serving.isolation.memory import tree_bytes

LOOK_EVERY_S = 0.5


class MemoryWatch:
    """A thread that looks at a process until that ends. `end` is called once, if the process is too large."""

    def __init__(self, pid: int, *, limit_bytes: int, end: Callable[[], None]) -> None:
        self._pid = pid
        self._limit_bytes = limit_bytes
        self._end = end
        self._over = threading.Event()
        self._found_bytes = 0
        self._thread = threading.Thread(target=self._run, name="model-memory", daemon=True)
        self._thread.start()

    @property
    def outgrown(self) -> str:
        """What it was ended for; empty where it was not."""
        if not self._found_bytes:
            return ""
        return f"it took {self._found_bytes} bytes of memory, and FLYBALL_ISOLATION_MEMORY_BYTES gives it {self._limit_bytes}"

    def stop(self) -> None:
        """Look no more: the process has ended, and its number may soon be another's."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            found = tree_bytes(self._pid)
            if found > self._limit_bytes:
                self._found_bytes = found
                self._end()
                return
