"""Requests that wait for the thread of their version, on the event loop: their time limits, and clients that went away."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Any, Protocol, cast

from flyball.kernel.errors import DeadlineExceeded
from flyball.kernel.logs import get_logger
from flyball.server.inference.http import ClientGone, Receive
from flyball.serving.batching import Job
from flyball.serving.plane import DataPlane, InferJob, Queue
from flyball.serving.requests import InferAnswer, InferRequest

# A request that takes longer than this is watched: has its client gone away? Watching costs something, so quick ones are not.
WATCHED_AFTER_S = 0.02


_log = get_logger("inference")


class Waiter(Protocol):
    """Who waits for an outcome. Both are called on the event loop."""

    def settle(self, outcome: InferAnswer | Exception) -> None:
        """Take the outcome; called once at most."""
        ...

    def watch(self, room: WaitingRoom, job: InferJob) -> None:
        """See whether somebody still wants to know, again and again after the first 20 ms; if not, `give_up`."""
        ...


class WaitingRoom:
    """Where requests wait. Belongs to one event loop, the one it is first used on.

    `timeout_s` is the time of a request that does not say its own. It is looked after by the sweep: a timer for each request
    would cost more than most of them.
    """

    def __init__(self, *, timeout_s: float = math.inf) -> None:
        self._timeout_s = timeout_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[InferJob, float] = {}
        self._timers: dict[InferJob, asyncio.TimerHandle] = {}
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
        waiter = _Future(asyncio.get_running_loop().create_future(), receive)
        job = self.enter(plane, request, waiter, timeout_s=timeout_s)
        try:
            return await waiter.answered
        finally:
            self._leave(job)
            waiter.close()

    def enter(self, plane: DataPlane, request: InferRequest, waiter: Waiter, *, timeout_s: float | None) -> InferJob:
        """Let somebody wait for the answer to a request.

        Raises:
            FlyballError: as `DataPlane.submit`; nobody waits then.
        """
        loop = self._loop or self._settle_in()
        since = time.monotonic()
        until = since + (self._timeout_s if timeout_s is None else timeout_s)
        job = plane.submit(request, settle=self._settle, until=until, tag=waiter)
        self._waiting[job] = since
        if not self._sleeping:
            loop.call_soon(self._wake)
        self._sleeping[job.queue] = None
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(WATCHED_AFTER_S, self._sweep)
        if timeout_s is not None:
            self._timers[job] = loop.call_later(timeout_s, self._expire, job)
        return job

    def give_up(self, job: InferJob, why: Exception) -> None:
        """Let nobody wait for a request any more; it does not run if it has not begun."""
        if self._leave(job):
            cast("Waiter", job.tag).settle(why)

    def _settle_in(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        return self._loop

    def _wake(self) -> None:
        """Let queues begin when everything that came in by the same look at the network is in them."""
        sleeping, self._sleeping = self._sleeping, {}
        for queue in sleeping:
            queue.wake()

    def _leave(self, job: InferJob) -> bool:
        """Take a request out, wherever it is; False when it is out already."""
        if self._waiting.pop(job, None) is None:
            return False
        if job.outcome is None:
            job.drop()
        if self._timers and (timer := self._timers.pop(job, None)) is not None:
            timer.cancel()
        return True

    def _settle(self, jobs: Sequence[Job[Any, Any]]) -> None:
        """Take outcomes over from the thread of a version."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._deliver, jobs)

    def _deliver(self, jobs: Sequence[InferJob]) -> None:
        for job in jobs:
            if self._leave(job):
                assert job.outcome is not None
                try:
                    cast("Waiter", job.tag).settle(job.outcome)
                except Exception:  # noqa: BLE001 -- an answer that cannot be sent must not keep those behind it from being sent
                    _log.error("not_answered", exc_info=True)

    def _expire(self, job: InferJob) -> None:
        self.give_up(job, DeadlineExceeded("the time for this request is over; it was given up"))

    def _sweep(self) -> None:
        """Give up those whose time is over, and look after what has waited for a while."""
        now = time.monotonic()
        for job in [job for job, since in self._waiting.items() if since <= now - WATCHED_AFTER_S]:
            if job.until <= now:
                self._expire(job)
            else:
                cast("Waiter", job.tag).watch(self, job)
        self._sweeping = bool(self._waiting)
        if self._sweeping:
            assert self._loop is not None
            self._loop.call_later(WATCHED_AFTER_S, self._sweep)


class _Future:
    """A task that waits, and where ASGI would tell it that its client went away."""

    __slots__ = ("_receive", "_watching", "answered")

    def __init__(self, answered: asyncio.Future[InferAnswer], receive: Receive | None) -> None:
        self.answered = answered
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None

    def settle(self, outcome: InferAnswer | Exception) -> None:
        if self.answered.done():
            return
        if isinstance(outcome, Exception):
            self.answered.set_exception(outcome)
        else:
            self.answered.set_result(outcome)

    def watch(self, room: WaitingRoom, job: InferJob) -> None:
        if self._watching is None and self._receive is not None:
            self._watching = asyncio.get_running_loop().create_task(self._watch(room, job, self._receive))

    async def _watch(self, room: WaitingRoom, job: InferJob, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":  # noqa: ASYNC110 -- there is no event for it
            # What is left of a body; a server that says this at once and for ever must not be asked without a pause.
            await asyncio.sleep(WATCHED_AFTER_S)
        room.give_up(job, ClientGone())

    def close(self) -> None:
        """Watch no longer."""
        if self._watching is not None:
            self._watching.cancel()
