"""Lanes: threads that answer what queued up meanwhile together.

A request that goes through a thread pool pays for two switches of threads, and a write for a COMMIT. In a lane, what queued while
the last turn ran becomes the next turn: many requests share both, and an idle request goes straight through. Writes of one turn
share a transaction, each in a part of its own, so that the error of one undoes only its own work.

Only short work belongs here: a turn is as slow as the sum of its parts.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from flyball.kernel.db import Database
from flyball.kernel.errors import FlyballError
from flyball.server.routing import Answer, Call, Lane, Route

# More than the connections of a busy server; a turn ends all the same, so that nobody waits behind an endless queue.
MOST_IN_A_TURN = 256

Outcome = Answer | Exception
Turn = Callable[[Sequence["Job"]], list[Outcome]]


class Job(NamedTuple):
    """One request in a lane, and what takes its outcome on the event loop; made for every call, so it has to be cheap."""

    route: Route
    call: Call[Any]
    loop: asyncio.AbstractEventLoop
    settle: Callable[[Outcome], None]


class Lanes:
    """The lanes of one process; each has a thread, which starts with its first request."""

    def __init__(self, database: Database) -> None:
        writes = _Writes(database)
        self._lanes = {Lane.READS: _Thread("reads", _answer_all), Lane.WRITES: _Thread("writes", writes.turn)}

    async def answer(self, route: Route, call: Call[Any]) -> Answer:
        """Put a request into its route's lane, and wait for its answer.

        Raises:
            FlyballError: what the handler raised, or that the turn's transaction failed.
        """
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()
        self.put(Job(route, call, loop, partial(_fulfil, answered)))
        return await answered

    def put(self, job: Job) -> None:
        """Put a job into its route's lane, on the event loop; its `settle` is called there when it is done."""
        self._lanes[job.route.lane].put(job)

    def close(self) -> None:
        """Finish what is queued, and end the threads."""
        for lane in self._lanes.values():
            lane.close()


class _Thread:
    """A queue, and the thread that empties it a turn at a time.

    What came in by one look at the network is handed over together. Handed over one by one, the first of sixteen requests
    that were answered together, and so come again together, would get a turn of its own, and the others wait for it.
    """

    def __init__(self, name: str, turn: Turn) -> None:
        self._name = name
        self._turn = turn
        self._arrived: list[Job] = []
        self._queue: SimpleQueue[list[Job] | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, job: Job) -> None:
        """Take a job, on the event loop."""
        if self._thread is None:
            self._start()
        self._arrived.append(job)
        if len(self._arrived) == 1:
            job.loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        arrived, self._arrived = self._arrived, []
        if arrived:
            self._queue.put(arrived)

    def close(self) -> None:
        if self._thread is not None:
            self._hand_over()
            self._queue.put(None)
            self._thread.join()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (jobs := self._take()) is not None:
            outcomes = _settled(self._turn, jobs)
            for loop, group in itertools.groupby(zip(jobs, outcomes, strict=True), key=lambda pair: pair[0].loop):
                loop.call_soon_threadsafe(_tell, list(group))

    def _take(self) -> list[Job] | None:
        jobs = self._queue.get()
        while jobs is not None and len(jobs) < MOST_IN_A_TURN:
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
            if more is None:
                self._queue.put(None)
                break
            jobs = jobs + more
        return jobs


class _Writes:
    """Turns of writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def turn(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Answer all in one transaction; an answer is given only when it is on disk."""
        if len(jobs) == 1:
            return _answer_all(jobs)
        with self._database.transaction():
            return _answer_all(jobs, one=self._apart)

    def _apart(self, job: Job) -> Answer:
        with self._database.savepoint():
            return job.route.handler(job.call)


def _handle(job: Job) -> Answer:
    return job.route.handler(job.call)


def _answer_all(jobs: Sequence[Job], *, one: Callable[[Job], Answer] = _handle) -> list[Outcome]:
    """Answer those of one kind together where their route knows how, the others one by one."""
    outcomes: dict[int, Outcome] = {}
    kinds: dict[object, list[int]] = {}
    for at, job in enumerate(jobs):
        if job.route.together is None:
            outcomes[at] = _attempt(one, job)
        else:
            kinds.setdefault(job.route.together, []).append(at)
    for places in kinds.values():
        together = jobs[places[0]].route.together
        assert together is not None
        outcomes |= zip(places, together([jobs[at].call for at in places]), strict=True)
    return [outcomes[at] for at in range(len(jobs))]


def _attempt(one: Callable[[Job], Answer], job: Job) -> Outcome:
    try:
        return one(job)
    except Exception as error:  # noqa: BLE001 -- handed to the one who asked
        return error


def _settled(turn: Turn, jobs: Sequence[Job]) -> list[Outcome]:
    try:
        return turn(jobs)
    except FlyballError as error:  # each gets one of its own: threads write into an exception
        return [type(error)(error.message, field=error.field) for _ in jobs]
    except Exception as error:  # noqa: BLE001 -- handed to everybody of the turn, whose work is undone
        return [error for _ in jobs]


def _tell(settled: Sequence[tuple[Job, Outcome]]) -> None:
    for job, outcome in settled:
        job.settle(outcome)


def _fulfil(answered: asyncio.Future[Answer], outcome: Outcome) -> None:
    if answered.done():  # the client went away
        return
    if isinstance(outcome, Exception):
        answered.set_exception(outcome)
    else:
        answered.set_result(outcome)
