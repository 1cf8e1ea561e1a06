"""Requests that wait for the thread of their version, on the event loop: their time limits, and clients that went away."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import cast

from flyball.kernel.errors import DeadlineExceeded
from flyball.server.inference.http import ClientGone, Receive
from flyball.serving.batching import Job
from flyball.serving.plane import DataPlane, InferJob, Queue
from flyball.serving.requests import InferAnswer, InferRequest

# A request that takes longer than this is watched: has its client gone away? Watching costs a task, so quick ones are not.
WATCHED_AFTER_S = 0.02


class _Wait:
    """One request that waits: whose answer it is, and since when."""

    __slots__ = ("answered", "receive", "since", "watch")

    def __init__(self, answered: asyncio.Future[InferAnswer], receive: Receive | None) -> None:
        self.answered = answered
        self.receive = receive
        self.since = time.monotonic()
        self.watch: asyncio.Task[None] | None = None


class WaitingRoom:
    """Where requests wait. Belongs to one event loop, the one it is first used on.

    `timeout_s` is the time of a request that does not say its own. It is looked after by the sweep: a timer for each request
    would cost more than most of them.
    """

    def __init__(self, *, timeout_s: float = math.inf) -> None:
        self._timeout_s = timeout_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[InferJob, _Wait] = {}
        self._sleeping: dict[Queue, None] = {}
        self._sweeping = False

    @property
    def count(self) -> int:
        """How many requests wait for their answer."""
        return len(self._waiting)

    async def answer(
        self, plane: DataPlane, request: InferRequest, *, timeout_s: float | None, receive: Receive | None
    ) -> InferAnswer:
        """Return the answer to a request.

        `receive` is where ASGI tells of a client that went away, if anywhere. A request that is given up, for whatever reason,
        does not run if it has not begun.

        Raises:
            DeadlineExceeded: `timeout_s` is over, or the time of those that do not give one.
            ClientGone: nobody wants to know any more.
            FlyballError: as `DataPlane.infer`.
        """
        loop = self._loop or self._settle_in()
        wait = _Wait(loop.create_future(), receive)
        until = wait.since + (self._timeout_s if timeout_s is None else timeout_s)
        job = plane.submit(request, settle=self._settle, until=until, tag=wait)
        self._waiting[job] = wait
        self._wake_soon(loop, job.queue)
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(WATCHED_AFTER_S, self._sweep)
        timer = None if timeout_s is None else loop.call_later(timeout_s, self._expire, job)
        try:
            return await wait.answered
        finally:
            del self._waiting[job]
            if job.outcome is None:
                job.drop()
            if timer is not None:
                timer.cancel()
            if wait.watch is not None:
                wait.watch.cancel()

    def _settle_in(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        return self._loop

    def _wake_soon(self, loop: asyncio.AbstractEventLoop, queue: Queue) -> None:
        """Let a queue begin when everything that came in by the same look at the network is in it."""
        if not self._sleeping:
            loop.call_soon(self._wake)
        self._sleeping[queue] = None

    def _wake(self) -> None:
        sleeping, self._sleeping = self._sleeping, {}
        for queue in sleeping:
            queue.wake()

    def _settle(self, jobs: Sequence[Job[object, object]]) -> None:
        """Take outcomes over from the thread of a version."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(_deliver, jobs)

    def _expire(self, job: InferJob) -> None:
        wait = self._waiting[job]
        if not wait.answered.done():
            wait.answered.set_exception(DeadlineExceeded("the time for this request is over; it was given up"))

    def _sweep(self) -> None:
        """Give up those whose time is over, and begin to watch what has waited for a while."""
        now = time.monotonic()
        before = now - WATCHED_AFTER_S
        assert self._loop is not None
        for job, wait in self._waiting.items():
            if job.until <= now:
                self._expire(job)
            elif wait.watch is None and wait.receive is not None and wait.since <= before:
                wait.watch = self._loop.create_task(_watch(wait, wait.receive))
        self._sweeping = bool(self._waiting)
        if self._sweeping:
            self._loop.call_later(WATCHED_AFTER_S, self._sweep)


async def _watch(wait: _Wait, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    if not wait.answered.done():
        wait.answered.set_exception(ClientGone())


def _deliver(jobs: Sequence[Job[object, object]]) -> None:
    for job in jobs:
        answered = cast("_Wait", job.tag).answered
        if answered.done():  # given up meanwhile
            continue
        if isinstance(job.outcome, Exception):
            answered.set_exception(job.outcome)
        else:
            answered.set_result(cast("InferAnswer", job.outcome))
