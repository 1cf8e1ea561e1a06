"""When a request that is traced began to wait, was taken, and was predicted. Nothing is written down for any other.

The timing of a request lies in the context in which it is handled, so that what stands between its transport and its queue need
not know of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextvars import ContextVar


class Timing:
    """Moments of one request, in nanoseconds of the monotonic clock (0: it did not come so far), and the batch it was in."""

    __slots__ = ("answered_ns", "batch_requests", "predicted_ns", "queued_ns", "taken_ns")

    def __init__(self) -> None:
        self.queued_ns = 0
        self.taken_ns = 0
        self.predicted_ns = 0
        self.answered_ns = 0
        self.batch_requests = 0


TIMING: ContextVar[Timing | None] = ContextVar("flyball_timing", default=None)
"""The timing of the request that is being handled here, if it is traced."""


def queued_timing() -> Timing | None:
    """Return the timing of the request that is handled here, after noting that it begins to wait."""
    timing = TIMING.get()
    if timing is not None:
        timing.queued_ns = time.perf_counter_ns()
    return timing


class Turn:
    """A batch while it runs, noted in the timings of those requests in it that have one."""

    __slots__ = ("_size", "_timings")

    def __init__(self, timings: Sequence[Timing | None]) -> None:
        self._timings = [timing for timing in timings if timing is not None]
        self._size = len(timings)
        for timing in self._timings:
            timing.taken_ns = time.perf_counter_ns()
            timing.batch_requests = self._size

    def predicted(self) -> None:
        """Note that the model has answered."""
        for timing in self._timings:
            timing.predicted_ns = time.perf_counter_ns()

    def answered(self) -> None:
        """Note that the batch is over."""
        for timing in self._timings:
            timing.answered_ns = time.perf_counter_ns()
