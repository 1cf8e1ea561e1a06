"""The runner of this machine: child processes, so that whatever the work does is done outside of the process that asks."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from queue import Empty, Queue

from flyball.kernel.errors import Unavailable
from flyball.kernel.runners.child import Child
from flyball.kernel.runners.ports import ATTEMPTS, Piece, Work
from flyball.kernel.runners.worker import outcome_of

_LOOK_S = 0.05


class LocalRunner:
    """A runner (see `ports.PartRunner`) with one child process a worker."""

    def run(self, work: Work, parts: Iterable[Piece], *, workers: int) -> Iterator[bytes]:
        turn = _Turn(work, parts, workers=workers)
        try:
            yield from turn.outcomes()
        finally:
            turn.end()


class _Over(Exception):
    """The run has ended; whoever still works on it stops."""


class _Turn:
    """What the threads of one run share: the parts that are left, and what became of the others."""

    def __init__(self, work: Work, parts: Iterable[Piece], *, workers: int) -> None:
        self._work = work
        self._parts = iter(parts)
        self._guard = threading.Lock()
        self._ended = False
        self._children: set[Child] = set()
        # As many as there are workers: one that is far ahead of whoever takes the outcomes waits here.
        self._outcomes: Queue[bytes | BaseException | None] = Queue(maxsize=workers)
        self._threads = [threading.Thread(target=self._feed, name="part-runner", daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def outcomes(self) -> Iterator[bytes]:
        """Yield until every worker has said that it has no more."""
        working = len(self._threads)
        while working:
            outcome = self._outcomes.get()
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome is None:
                working -= 1
            else:
                yield outcome

    def end(self) -> None:
        """Give out no more parts, end the children, and wait for the threads."""
        with self._guard:
            self._ended = True
            for child in self._children:
                child.kill()
        for thread in self._threads:
            while thread.is_alive():
                with suppress(Empty):  # one that waits for room is let through
                    self._outcomes.get_nowait()
                thread.join(_LOOK_S)

    def _feed(self) -> None:
        """Have one worker do parts until there is nothing left."""
        last: BaseException | None = None
        seat = _Seat(self)
        try:
            while (part := self._next()) is not None:
                self._outcomes.put(seat.done(part))
        except _Over:
            pass
        except BaseException as error:  # noqa: BLE001 -- raised again where the run is waited for
            last = error
        seat.leave()
        self._outcomes.put(last)

    def _next(self) -> Piece | None:
        with self._guard:
            return None if self._ended else next(self._parts, None)

    def start(self) -> Child:
        """Start a child that ends with the run.

        Raises:
            _Over: the run has ended.
        """
        with self._guard:
            if self._ended:
                raise _Over
            child = Child(self._work)
            self._children.add(child)
            return child

    def collect(self, child: Child) -> int:
        """Let a child go, and return its status."""
        with self._guard:
            self._children.discard(child)
        return child.leave()


class _Seat:
    """The place of one worker: a child, and another one where it ends too early."""

    def __init__(self, turn: _Turn) -> None:
        self._turn = turn
        self._child: Child | None = None

    def done(self, part: Piece) -> bytes:
        """Have a part done.

        Raises:
            FlyballError: what the work raised.
            Unavailable: every child that was given it ended.
        """
        status = 0
        for _ in range(ATTEMPTS):
            self._child = self._child or self._turn.start()
            answer = self._child.ask(part.content)
            if answer is not None:
                return outcome_of(answer)
            status = self.leave()
        raise Unavailable(
            f"{part.name}: each of {ATTEMPTS} processes that worked on it ended before it was done (at last with status {status})"
        )

    def leave(self) -> int:
        """Let the child go, if there is one, and return its status."""
        child, self._child = self._child, None
        return 0 if child is None else self._turn.collect(child)
