"""Batching without a waiting tax: what queued while the last batch ran is the next batch, and an idle request goes straight through.

One thread a queue. It knows neither models nor transports: work goes in, an outcome comes out, exactly one for each job.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from flyball.kernel.errors import DeadlineExceeded, Overloaded
from flyball.kernel.logs import get_logger
from flyball.serving.counting import Fate, QueueCounts

AskedT = TypeVar("AskedT")
MadeT = TypeVar("MadeT")

# How much the last turn says about how long the next one takes; five turns are remembered, more or less.
NEWEST_SHARE = 0.2
LONGEST_RETRY_S = 60
# Upper ends of the classes in which sizes of batches are counted.
SIZE_CLASSES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1_024, 4_096)

_log = get_logger("serving")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """What may wait, and what one batch may hold. A single request is taken whatever its size."""

    batch_rows: int = 1_024
    batch_bytes: int = 16 << 20
    waiting_requests: int = 1_024
    waiting_bytes: int = 256 << 20


class Job(Generic[AskedT, MadeT]):
    """One request in a queue.

    `until` is the monotonic second after which nobody wants the outcome. `settle` is told when the outcome is there, with all
    jobs of the turn that have the same one; `tag` belongs to whoever asked.
    """

    __slots__ = ("asked", "outcome", "queue", "rows", "settle", "since", "size_bytes", "tag", "until")

    def __init__(
        self,
        asked: AskedT,
        *,
        queue: Batcher[AskedT, MadeT],
        rows: int,
        size_bytes: int,
        settle: Settle,
        until: float = math.inf,
        tag: object = None,
    ) -> None:
        self.asked = asked
        self.since = time.monotonic()
        self.rows = rows
        self.size_bytes = size_bytes
        self.settle = settle
        self.until = until
        self.tag = tag
        self.queue = queue
        self.outcome: MadeT | Exception | None = None

    def wake(self) -> None:
        """Let the queue's thread begin, if it is idle."""
        self.queue.wake()

    def drop(self) -> bool:
        """Leave the queue; False when it is being worked on already, or done. A job that was dropped is never settled."""
        return self.queue.drop(self)


Settle: TypeAlias = Callable[[Sequence[Job[Any, Any]]], None]
"""Told of jobs whose outcome is there, in the thread of their queue; it must not block."""


class Batcher(Generic[AskedT, MadeT]):
    """A bounded queue and the thread that empties it, a batch at a time.

    Args:
        name: what the log and the thread are called by.
        work: answers many at once, in their order, each with its outcome or its own error; called from the one thread only.
    """

    def __init__(
        self, name: str, work: Callable[[Sequence[AskedT]], Sequence[MadeT | Exception]], *, limits: BatchLimits
    ) -> None:
        self._name = name
        self._work = work
        self._limits = limits
        self._ready = threading.Condition(threading.Lock())
        self._waiting: deque[Job[AskedT, MadeT]] = deque()
        self._waiting_bytes = 0
        self._retired = False
        self._thread: threading.Thread | None = None
        self._pace_s = 0.0
        self.busy_count = 0
        self.batch_count = 0
        self.row_count = 0
        self.counts = QueueCounts()
        self.size_counts = [0] * (len(SIZE_CLASSES) + 1)

    @property
    def waiting_count(self) -> int:
        """How many requests wait. `busy_count` says how many are being worked on."""
        return len(self._waiting)

    def add(self, job: Job[AskedT, MadeT]) -> None:
        """Queue a job. The thread, if it is idle, begins at `wake`: so what came in together is answered together.

        Raises:
            Overloaded: too much is waiting already.
        """
        limits = self._limits
        with self._ready:
            waiting = len(self._waiting)
            if waiting and (
                waiting >= limits.waiting_requests or self._waiting_bytes + job.size_bytes > limits.waiting_bytes
            ):
                self.counts.fates[Fate.REFUSED] += 1
                raise Overloaded(
                    f"{waiting} requests are waiting for '{self._name}' already; come again later",
                    retry_after_s=self._retry_after_s(waiting),
                )
            self._waiting.append(job)
            self._waiting_bytes += job.size_bytes

    def wake(self) -> None:
        """Let the thread begin, if it is idle."""
        with self._ready:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"batch-{self._name}", daemon=True)
                self._thread.start()
            else:
                self._ready.notify()

    def drop(self, job: Job[AskedT, MadeT]) -> bool:
        """Take a job out of the queue; False when it is being worked on already, or done."""
        with self._ready:
            try:
                self._waiting.remove(job)
            except ValueError:
                return False
            self._waiting_bytes -= job.size_bytes
            self.counts.fates[Fate.DROPPED] += 1
            return True

    def retire(self) -> None:
        """End the thread when the queue is empty. A job that comes all the same is answered by another one."""
        with self._ready:
            self._retired = True
            self._ready.notify()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the thread."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _retry_after_s(self, waiting: int) -> int:
        return min(max(1, math.ceil(waiting * self._pace_s)), LONGEST_RETRY_S)

    def _run(self) -> None:
        while jobs := self._take():
            self.busy_count = len(jobs)
            jobs = self._in_time(jobs)
            if jobs:
                self._turn(jobs)
            self.busy_count = 0
            del jobs  # an idle thread keeps no request alive

    def _take(self) -> list[Job[AskedT, MadeT]]:
        """Wait for work, and take as much as one batch may hold; nothing when this thread should end."""
        with self._ready:
            while not self._waiting:
                if self._retired:
                    self._thread = None
                    return []
                self._ready.wait()
            jobs: list[Job[AskedT, MadeT]] = []
            rows = size = 0
            while self._waiting:
                job = self._waiting[0]
                rows, size = rows + job.rows, size + job.size_bytes
                if jobs and (rows > self._limits.batch_rows or size > self._limits.batch_bytes):
                    break
                jobs.append(self._waiting.popleft())
                self._waiting_bytes -= job.size_bytes
            return jobs

    def _in_time(self, jobs: list[Job[AskedT, MadeT]]) -> list[Job[AskedT, MadeT]]:
        """Return the jobs that somebody still wants, and settle the others."""
        now = time.monotonic()
        late = [job for job in jobs if job.until < now]
        if not late:
            return jobs
        self.counts.fates[Fate.EXPIRED] += len(late)
        _settle(late, [DeadlineExceeded("the time for this request was over before its turn") for _ in late])
        return [job for job in jobs if job.until >= now]

    def _turn(self, jobs: Sequence[Job[AskedT, MadeT]]) -> None:
        began = time.monotonic()
        try:
            outcomes = self._work([job.asked for job in jobs])
        except Exception as error:  # noqa: BLE001 -- whatever it is, everybody of the turn has to hear of it
            _log.error("turn_failed", queue=self._name, exc_info=True)
            outcomes = [error] * len(jobs)
        self._count(jobs, outcomes, began)
        _settle(jobs, outcomes)

    def _count(self, jobs: Sequence[Job[AskedT, MadeT]], outcomes: Sequence[MadeT | Exception], began_s: float) -> None:
        now_s, counts = time.monotonic(), self.counts
        failed = 0
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, Exception):
                failed += 1
            else:
                counts.durations.add(now_s - job.since)
        counts.fates[Fate.FAILED] += failed
        counts.fates[Fate.ANSWERED] += len(jobs) - failed
        rows = sum(job.rows for job in jobs)
        self.batch_count += 1
        self.row_count += rows
        self.size_counts[next((at for at, most in enumerate(SIZE_CLASSES) if rows <= most), len(SIZE_CLASSES))] += 1
        self._pace_s += NEWEST_SHARE * ((now_s - began_s) / len(jobs) - self._pace_s)


def _settle(jobs: Sequence[Job[AskedT, MadeT]], outcomes: Sequence[MadeT | Exception]) -> None:
    """Hand the outcomes over, once for all jobs that are waited for in the same place."""
    places: dict[Settle, list[Job[AskedT, MadeT]]] = {}
    for job, outcome in zip(jobs, outcomes, strict=True):
        job.outcome = outcome
        places.setdefault(job.settle, []).append(job)
    for settle, settled in places.items():
        try:
            settle(settled)
        except Exception:  # noqa: BLE001 -- a place that is gone (an event loop that ended) must not end the queue
            _log.warning("not_delivered", count=len(settled), exc_info=True)
