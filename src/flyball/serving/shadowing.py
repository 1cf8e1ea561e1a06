"""Shadows work behind the answer: one thread, a short queue, and no influence on the caller whatever they do."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

from flyball.kernel.logs import get_logger

# What one thread works off in a second or so; a shadow that cannot keep up sees fewer requests, and that is counted.
WAITING_REQUESTS = 256
# A process that ends does not wait longer for a shadow that hangs.
CLOSING_S = 3.0

_log = get_logger("serving")


class Shadowing:
    """Run tasks one after the other. `dropped` and `failed` count those that found no room, or raised."""

    def __init__(self) -> None:
        self.dropped = 0
        self.failed = 0
        self._tasks: queue.Queue[Callable[[], object] | None] = queue.Queue(maxsize=WAITING_REQUESTS)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def offer(self, task: Callable[[], object]) -> None:
        """Take a task if there is room; never wait."""
        self._start()
        try:
            self._tasks.put_nowait(task)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Finish what was taken, if that does not take long; what is left is dropped."""
        with self._starting:
            thread = self._thread
        if thread is None:
            return
        with contextlib.suppress(queue.Full):
            self._tasks.put(None, timeout=CLOSING_S)
            thread.join(CLOSING_S)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shadows", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except Exception as error:  # noqa: BLE001 -- what a shadow does wrong is its own matter, nobody waits for it
                self._count(error)

    def _count(self, error: Exception) -> None:
        self.failed += 1
        if self.failed.bit_count() == 1:  # the 1st, 2nd, 4th, 8th ...: a broken shadow fails at every request
            _log.warning("shadow_failed", failures=self.failed, reason=type(error).__name__)
