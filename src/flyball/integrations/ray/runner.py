"""The runner of a Ray cluster: parts are done by actors, each in a process of its own on whatever node has room.

The cluster is that of `RAY_ADDRESS`, else one that Ray starts on this machine. Every node needs this package and what the work
imports; files are seen under the same paths. Between processes go bytes of ours only.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flyball.kernel.errors import MissingExtra, Unavailable
from flyball.kernel.logs import get_logger
from flyball.kernel.runners.ports import ATTEMPTS, Piece, Work
from flyball.kernel.runners.worker import Worker, outcome_of
from flyball.kernel.settings import PREFIX

EXTRA = "ray"

_log = get_logger("runner")


class RayRunner:
    """A runner (see `flyball.kernel.runners.ports`) whose workers are actors with one processor each, spread over the nodes."""

    def run(self, work: Work, parts: Iterable[Piece], *, workers: int) -> Iterator[bytes]:
        with _cluster() as ray:
            spread = _Spread(ray, work)
            try:
                yield from spread.outcomes(iter(parts), workers=workers)
            finally:
                spread.end()


class PartActor:
    """An actor: a worker in a process of Ray's."""

    def __init__(self, work: Work) -> None:
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            del os.environ[name]
        self._worker = Worker(work)

    def answer(self, content: bytes) -> bytes:
        """Do a part."""
        return self._worker.answer(content)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """A part that an actor has; `attempt` counts from 1."""

    actor: Any
    part: Piece
    attempt: int


class _Spread:
    """One run: its actors, and what each of them is doing."""

    def __init__(self, ray: Any, work: Work) -> None:  # noqa: ANN401 -- a module that is no dependency of ours
        self._ray = ray
        self._work = work
        self._kind = ray.remote(num_cpus=1, scheduling_strategy="SPREAD", max_restarts=0)(PartActor)
        self._running: dict[Any, _Given] = {}
        self._actors: set[Any] = set()

    def outcomes(self, parts: Iterator[Piece], *, workers: int) -> Iterator[bytes]:
        """Yield what became of each part; a worker gets its next one before the caller gets what it did."""
        idle = deque[Any]()
        while True:
            while len(self._running) < workers and (part := next(parts, None)) is not None:
                self._give(part, actor=idle.popleft() if idle else self._start())
            if not self._running:
                return
            [ready], _ = self._ray.wait(list(self._running), num_returns=1)
            given = self._running.pop(ready)
            try:
                answer = self._ray.get(ready)
            except self._ray.exceptions.RayActorError as error:
                self._again(given, error)
                continue
            following = next(parts, None)
            if following is None:
                idle.append(given.actor)
            else:
                self._give(following, actor=given.actor)
            yield outcome_of(answer)

    def end(self) -> None:
        """End the actors, whatever they are doing."""
        for actor in self._actors:
            self._ray.kill(actor)

    def _start(self) -> Any:  # noqa: ANN401 -- Ray's own
        actor = self._kind.remote(self._work)
        self._actors.add(actor)
        return actor

    def _give(self, part: Piece, *, actor: Any, attempt: int = 1) -> None:  # noqa: ANN401 -- Ray's own
        self._running[actor.answer.remote(part.content)] = _Given(actor=actor, part=part, attempt=attempt)

    def _again(self, given: _Given, error: Exception) -> None:
        """Give a part whose worker was lost to a new one."""
        _log.warning("worker_lost", part=given.part.name, attempt=given.attempt, error=type(error).__name__)
        self._actors.discard(given.actor)
        if given.attempt == ATTEMPTS:
            raise Unavailable(
                f"{given.part.name}: each of {ATTEMPTS} actors that worked on it was lost before it was done (at last: {error})"
            ) from error
        self._give(given.part, actor=self._start(), attempt=given.attempt + 1)


@contextmanager
def _cluster() -> Iterator[Any]:
    """Be connected to the cluster, and leave it as it was found.

    Raises:
        MissingExtra: Ray is not installed.
        Unavailable: the cluster cannot be reached.
    """
    ray = _library()
    if ray.is_initialized():
        yield ray
        return
    try:
        ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise Unavailable(
            f"the Ray cluster ({os.environ.get('RAY_ADDRESS') or 'one of this machine'}) cannot be joined: {error}; RAY_ADDRESS says "
            "which it is"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _library() -> Any:  # noqa: ANN401 -- Ray is no dependency of ours
    # Ray tells its makers who uses it, unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError as error:
        raise MissingExtra.named("ray", EXTRA) from error
    return ray
