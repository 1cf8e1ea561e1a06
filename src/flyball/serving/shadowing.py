"""Shadows work behind the answer: each in a thread and a short queue of its own, in batches, and without influence on the caller."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from flyball.kernel.errors import Overloaded
from flyball.kernel.logs import get_logger
from flyball.serving.batching import Batcher, BatchLimits, Job

AskedT = TypeVar("AskedT")

# What one thread works off in a second or so; a shadow that cannot keep up sees fewer requests, and that is counted.
LIMITS = BatchLimits(waiting_requests=256, waiting_bytes=64 << 20)
# A process that ends does not wait longer for a shadow that hangs.
CLOSING_S = 3.0

_log = get_logger("serving")


class Shadowing(Generic[AskedT]):
    """What the shadows of a plane are shown. `dropped` and `failed` count requests that found no room, or were not predicted.

    Args:
        name: what the log and the threads are called by.
    """

    def __init__(self, name: str) -> None:
        self.dropped = 0
        self.failed = 0
        self._name = name
        self._shadows: frozenset[object] = frozenset()
        self._queues: dict[object, Batcher[AskedT, object]] = {}
        self._guard = threading.Lock()

    def offer(
        self,
        shadow: object,
        asked: AskedT,
        work: Callable[[Sequence[AskedT]], Sequence[Any]],
        *,
        rows: int,
        size_bytes: int,
    ) -> None:
        """Show a request to a shadow if there is room; never wait. What waits for one is given to its `work` together."""
        queue = self._queues.get(shadow) or self._open(shadow, work)
        if queue is None:
            self._drop()
            return
        try:
            queue.add(Job(asked, queue=queue, rows=rows, size_bytes=size_bytes, settle=self._settled))
        except Overloaded:
            self._drop()
        else:
            queue.wake()

    def allow(self, shadows: Iterable[object]) -> None:
        """Say who may be shown anything from now on. All others do what they were given, and are let go of."""
        with self._guard:
            self._shadows = frozenset(shadows)
            gone = [self._queues.pop(shadow) for shadow in list(self._queues) if shadow not in self._shadows]
        for queue in gone:
            queue.retire()

    def close(self) -> None:
        """Finish what was taken, if that does not take long; what is left is dropped."""
        queues, until = list(self._queues.values()), time.monotonic() + CLOSING_S
        for queue in queues:
            queue.retire()
        for queue in queues:
            queue.join(max(0.0, until - time.monotonic()))

    def _open(
        self, shadow: object, work: Callable[[Sequence[AskedT]], Sequence[Any]]
    ) -> Batcher[AskedT, object] | None:
        """Return the queue of a shadow; None for one that is none any more, which a request under way may still know."""
        with self._guard:
            if shadow in self._shadows and shadow not in self._queues:
                self._queues[shadow] = Batcher(f"{self._name}-shadow", work, limits=LIMITS)
            return self._queues.get(shadow)

    def _drop(self) -> None:
        with self._guard:
            self.dropped += 1

    def _settled(self, jobs: Sequence[Job[Any, Any]]) -> None:
        for job in jobs:
            if isinstance(job.outcome, Exception):
                self._count(job.outcome)

    def _count(self, error: Exception) -> None:
        with self._guard:
            self.failed += 1
            first = self.failed.bit_count() == 1  # the 1st, 2nd, 4th, 8th ...: a broken shadow fails at every request
        if first:
            _log.warning("shadow_failed", failures=self.failed, reason=type(error).__name__)
