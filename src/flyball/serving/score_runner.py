"""Runners score the parts of a job: here, several processes of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Protocol

import msgspec

from flyball.kernel.errors import FlyballError, InvalidInput
from flyball.kernel.plugins import load_plugin
from flyball.serving.score import error_of, without_secrets
from flyball.serving.score_input import Part
from flyball.serving.score_part import PartDone
from flyball.serving.score_worker import WorkerAnswer, WorkerOrder


class ScoreRunner(Protocol):
    """Score the parts of one job with several workers."""

    def run(self, order: WorkerOrder, parts: Iterable[Part], *, workers: int) -> Iterator[PartDone]:
        """Yield each part that is done, in whatever order; an error ends the workers, and parts that are done stay.

        Raises:
            InvalidInput: a part does not fit the model, or the model ended its process.
        """
        ...


def open_runner(name: str) -> ScoreRunner:
    """Return the runner of a name.

    Raises:
        NotFound: there is none.
        MissingExtra: what it needs is not installed.
    """
    made: Callable[[], ScoreRunner] = load_plugin("score_runners", name)  # type: ignore[assignment]
    return made()


class LocalRunner:
    """Child processes: the process that calls never loads the model."""

    def run(self, order: WorkerOrder, parts: Iterable[Part], *, workers: int) -> Iterator[PartDone]:
        turn = _Turn(parts)
        threads = [threading.Thread(target=turn.work, args=[order], daemon=True) for _ in range(workers)]
        for thread in threads:
            thread.start()
        try:
            yield from turn.outcomes(workers)
        finally:
            turn.end()
            for thread in threads:
                thread.join()


class _Turn:
    """What the threads of one run share: the parts that are left, and what became of the others."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self._parts = iter(parts)
        self._guard = threading.Lock()
        self._ended = False
        self._children: list[subprocess.Popen[bytes]] = []
        self._outcomes: SimpleQueue[PartDone | Exception | None] = SimpleQueue()

    def outcomes(self, workers: int) -> Iterator[PartDone]:
        """Yield until every worker has said that it has no more."""
        while workers:
            outcome = self._outcomes.get()
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is None:
                workers -= 1
            else:
                yield outcome

    def end(self) -> None:
        """Give out no more parts, and end the children."""
        with self._guard:
            self._ended = True
            for child in self._children:
                child.kill()

    def work(self, order: WorkerOrder) -> None:
        """Feed one child until there is nothing left."""
        try:
            self._feed(order)
        except Exception as error:  # noqa: BLE001 -- it is raised again where the run is waited for
            self._outcomes.put(error)
        self._outcomes.put(None)

    def _next(self) -> Part | None:
        with self._guard:
            return None if self._ended else next(self._parts, None)

    def _feed(self, order: WorkerOrder) -> None:
        part = self._next()
        if part is None:
            return
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as answers:
            child = self._start(writing)
            with child:
                _send(child, order)
                while part is not None:
                    _send(child, part)
                    line = answers.readline()
                    if not line:
                        raise InvalidInput(
                            f"the model ended its process at {part.path} (status {child.wait()})", field="model"
                        )
                    self._outcomes.put(_outcome(line))
                    part = self._next()

    def _start(self, writing: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "flyball.serving.score_worker", str(writing)]
        try:
            with self._guard:
                if self._ended:
                    raise InvalidInput("the job has ended", field="job")
                child = subprocess.Popen(  # noqa: S603 -- our own module in our own interpreter
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[writing],
                    env=without_secrets(os.environ),
                )
                self._children.append(child)
        finally:
            os.close(writing)
        return child


def _send(child: subprocess.Popen[bytes], message: msgspec.Struct) -> None:
    assert child.stdin is not None
    try:
        child.stdin.write(msgspec.json.encode(message) + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        return  # it has ended, and its last answer, or that there is none, says why


def _outcome(line: bytes) -> PartDone | FlyballError:
    answer = msgspec.json.decode(line, type=WorkerAnswer)
    if answer.refused is not None:
        return error_of(answer.refused)
    assert answer.done is not None, "an answer is one or the other"
    return answer.done
