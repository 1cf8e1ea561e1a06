"""The data plane: a request goes to the version its key is routed to, and every prediction is captured. No transport here."""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import msgspec

from flyball.kernel.clock import Clock
from flyball.kernel.errors import Conflict, LimitExceeded, NotFound, Unavailable
from flyball.kernel.ids import new_id
from flyball.serving.batching import Batcher, BatchLimits, Job, Settle
from flyball.serving.capture import PredictionBatch
from flyball.serving.entities import Signature
from flyball.serving.joining import Predicted, predict_together, row_count_of
from flyball.serving.ports import Choice, Pick, PredictionCapture, Router
from flyball.serving.requests import InferAnswer, InferRequest, id_of, ids_of, times_of
from flyball.serving.served_model import ServedModel
from flyball.serving.shadowing import Shadowing
from flyball.serving.timing import Timing, Turn, queued_timing

# Ten thousand rows of a tree ensemble take about a second; more is a batch job, see score.py.
MAX_ROWS = 10_000
CHAMPION, SHADOW = "champion", "shadow"
# Answered by a version that the caller named and routing would not have chosen for it; no evidence for or against a canary.
PINNED = "pinned"
# A process that ends does not wait longer for a model that hangs.
CLOSING_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedVersion:
    """A version in memory, and the digest of the files it came from."""

    version: int
    digest: str
    model: ServedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """What the plane serves: a generation of an endpoint, who answers whom, and the versions that takes."""

    generation: int
    champion: int
    router: Router
    versions: Mapping[int, LoadedVersion]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request on its way: checked, routed, and with a name and a time for each row."""

    request: InferRequest
    request_id: str
    prediction_ids: Sequence[str]
    times_ms: int | tuple[int, ...]
    served_ms: int
    began_s: float
    role: str
    shadows: tuple[LoadedVersion, ...] = ()
    timing: Timing | None = None


InferJob: TypeAlias = Job[Asked, InferAnswer]
Queue: TypeAlias = Batcher[Asked, InferAnswer]


class DataPlane:
    """The whole meaning of inference. Any number of threads may call it; a switch of routing never mixes with a request."""

    def __init__(
        self, endpoint: str, model: str, *, capture: PredictionCapture, clock: Clock, limits: BatchLimits | None = None
    ) -> None:
        self.endpoint = endpoint
        self.model = model
        self.capture = capture
        self._clock = clock
        self._limits = limits or BatchLimits()
        # Routing and the queues of its versions, replaced together.
        self._current: tuple[Routing, Mapping[int, Queue]] | None = None
        self.shadows: Shadowing[Asked] = Shadowing(endpoint)

    @property
    def names(self) -> tuple[str, ...]:
        """The names this plane answers to: those of the endpoint and of its model."""
        return (self.endpoint, self.model)

    @property
    def ready(self) -> bool:
        """Whether a version is in charge, and its model can answer."""
        current = self._current
        return current is not None and not current[0].versions[current[0].champion].model.fault

    @property
    def routing(self) -> Routing:
        """The routing in force.

        Raises:
            Unavailable: no version is loaded yet.
        """
        return self._in_force()[0]

    @property
    def signature(self) -> Signature:
        """What the champion wants."""
        routing = self.routing
        return routing.versions[routing.champion].model.signature

    def signature_of(self, version: int) -> Signature:
        """What a version wants.

        Raises:
            NotFound: it is not served here.
            Unavailable: no version is loaded yet.
        """
        return _served(self.routing, version).model.signature

    def switch(self, routing: Routing) -> None:
        """Put a routing in force at once; requests under way finish with the one they began with.

        Raises:
            Conflict: the version in charge is not among those loaded; the old routing stays.
        """
        if routing.champion not in routing.versions:
            raise Conflict(
                f"version {routing.champion} is in charge of '{self.endpoint}' and not loaded", field="routes"
            )
        before = self._current
        kept = before[1] if before else {}
        queues = {}
        for version, loaded in routing.versions.items():
            same = before is not None and before[0].versions.get(version) is loaded
            queues[version] = kept[version] if same else self._queue(loaded)
        self.shadows.allow(routing.versions.values())
        self._current = routing, queues
        for queue in kept.values():
            if queue not in queues.values():
                queue.retire()

    def infer(self, request: InferRequest) -> InferAnswer:
        """Predict, and capture what was predicted.

        Raises:
            InvalidInput: rows, times or ids that cannot be; `field` names the column or parameter.
            LimitExceeded: too many rows for one request.
            Unavailable: no version is loaded yet, or too much is waiting.
        """
        settled = threading.Event()
        job = self.submit(request, settle=lambda _jobs: settled.set())
        job.wake()
        settled.wait()
        if isinstance(job.outcome, InferAnswer):
            return job.outcome
        assert job.outcome is not None
        raise job.outcome

    def submit(self, request: InferRequest, *, settle: Settle, until: float = math.inf, tag: object = None) -> InferJob:
        """Queue a request. Its outcome goes to `settle`, in the thread of its version; `wake` lets that begin.

        Raises: as `infer`; what only the model can tell is in the outcome.
        """
        routing, queues = self._in_force()
        new = new_id()
        request_id = id_of(request, new=new)
        choice = _choice(routing, request, request_id)
        version = choice.answer.version
        asked = self._checked(request, request_id, new=new, routing=routing, choice=choice)
        job: InferJob = Job(
            asked,
            rows=len(asked.prediction_ids),
            size_bytes=request.size_bytes,
            settle=settle,
            until=until,
            tag=tag,
            queue=queues[version],
        )
        job.queue.add(job)
        return job

    def queues(self) -> Mapping[int, Queue]:
        """The queue of each version in force; nothing before one is loaded."""
        current = self._current
        return current[1] if current else {}

    def close(self) -> None:
        """Answer what waits, and let the shadows finish what they were given, within a few seconds."""
        queues = self.queues().values()
        for queue in queues:
            queue.retire()
        for queue in queues:
            queue.join(CLOSING_S)
        self.shadows.close()

    def _in_force(self) -> tuple[Routing, Mapping[int, Queue]]:
        current = self._current
        if current is None:
            raise Unavailable(f"endpoint '{self.endpoint}' has no model loaded yet; repeat the call")
        return current

    def _queue(self, loaded: LoadedVersion) -> Queue:
        return Batcher(f"{self.endpoint}/{loaded.version}", partial(self._answer, loaded), limits=self._limits)

    def _checked(self, request: InferRequest, request_id: str, *, new: str, routing: Routing, choice: Choice) -> Asked:
        """Return the request with a name and a time for each of its rows."""
        rows, now_ms = row_count_of(request.rows), self._clock.now_ms()
        if rows > MAX_ROWS:
            raise LimitExceeded(f"{rows} rows in one request; the limit is {MAX_ROWS}: send several", field="inputs")
        if not rows:
            # which tells what is wrong with a table without rows or columns
            routing.versions[choice.answer.version].model.columns_of(request.rows)
        return Asked(
            request=request,
            request_id=request_id,
            prediction_ids=ids_of(request, rows=rows, new=new),
            times_ms=times_of(request, rows=rows, now_ms=now_ms),
            served_ms=now_ms,
            began_s=time.perf_counter(),
            role=choice.answer.role,
            shadows=tuple([routing.versions[pick.version] for pick in choice.shadows]) if choice.shadows else (),
            timing=queued_timing(),
        )

    def _answer(self, loaded: LoadedVersion, every: Sequence[Asked]) -> list[InferAnswer | Exception]:
        """Answer what waited for a version, in the version's thread."""
        turn = Turn([asked.timing for asked in every])
        made = predict_together(loaded.model, [asked.request.rows for asked in every])
        turn.predicted()
        answers = self._captured(list(zip(every, made, strict=True)), loaded)
        turn.answered()
        return answers

    def _captured(
        self, pairs: Sequence[tuple[Asked, Predicted | Exception]], loaded: LoadedVersion
    ) -> list[InferAnswer | Exception]:
        """Return the answers to a whole turn, after it was offered to capture."""
        batches = [_batch(asked, one, loaded) for asked, one in pairs if not isinstance(one, Exception)]
        try:
            if batches:
                self.capture.offer(*batches)  # of the whole turn at once: where it waits for a disk, it does so once
        except Unavailable as error:
            return [one if isinstance(one, Exception) else copy.copy(error) for _, one in pairs]
        return [one if isinstance(one, Exception) else self._answered(asked, one, loaded) for asked, one in pairs]

    def _answered(self, asked: Asked, made: Predicted, loaded: LoadedVersion) -> InferAnswer:
        """Return the answer, after it was shown to the shadows."""
        for shadow in asked.shadows:
            work = partial(self._watch, shadow)
            self.shadows.offer(shadow, asked, work, rows=len(asked.prediction_ids), size_bytes=asked.request.size_bytes)
        return InferAnswer(
            request_id=asked.request_id,
            version=loaded.version,
            role=asked.role,
            prediction_ids=asked.prediction_ids,
            together=made.together,
            first=made.first,
        )

    def _watch(self, loaded: LoadedVersion, every: Sequence[Asked]) -> list[InferAnswer | Exception]:
        """Let a version see what was answered, under the same ids and times."""
        now_ms, now_s = self._clock.now_ms(), time.perf_counter()
        seen = [
            msgspec.structs.replace(asked, served_ms=now_ms, began_s=now_s, role=SHADOW, shadows=(), timing=None)
            for asked in every
        ]
        return self._answer(loaded, seen)


def _choice(routing: Routing, request: InferRequest, request_id: str) -> Choice:
    """Return who sees a request. One that names its version is shown to no shadow: they watch what is routed."""
    version = request.version
    if version is None:
        return routing.router(request.sticky_key if request.sticky_key is not None else request_id)
    _served(routing, version)
    return Choice(answer=Pick(version=version, role=CHAMPION if version == routing.champion else PINNED))


def _served(routing: Routing, version: int) -> LoadedVersion:
    loaded = routing.versions.get(version)
    if loaded is None:
        there = ", ".join(map(str, sorted(routing.versions)))
        raise NotFound(f"version {version} is not served here; served: {there}", field="version")
    return loaded


def _batch(asked: Asked, made: Predicted, loaded: LoadedVersion) -> PredictionBatch:
    """Return what capture keeps of a request."""
    return PredictionBatch(
        request_id=asked.request_id,
        prediction_ids=asked.prediction_ids,
        times_ms=asked.times_ms,
        served_ms=asked.served_ms,
        version=loaded.version,
        version_digest=loaded.digest,
        role=asked.role,
        latency_ms=(time.perf_counter() - asked.began_s) * 1_000,
        caller=asked.request.caller,
        columns=made.columns,
        prediction=made.together,
        first=made.first,
    )
