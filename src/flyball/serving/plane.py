"""The data plane: a request goes to the version its key is routed to, and every prediction is captured. No transport here."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass

from flyball.kernel.clock import Clock
from flyball.kernel.errors import Conflict, LimitExceeded, Unavailable
from flyball.serving.capture import PredictionBatch
from flyball.serving.entities import Signature
from flyball.serving.ports import PredictionCapture, Router
from flyball.serving.requests import InferAnswer, InferRequest, ids_of, named, times_of
from flyball.serving.served_model import ServedModel
from flyball.serving.shadowing import Shadowing
from flyball.serving.signature import row_count

# Ten thousand rows of a tree ensemble take about a second; more is a batch job, see score.py.
MAX_ROWS = 10_000
SHADOW = "shadow"


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


class DataPlane:
    """The whole meaning of inference. Any number of threads may call it; a switch of routing never mixes with a request."""

    def __init__(self, endpoint: str, model: str, *, capture: PredictionCapture, clock: Clock) -> None:
        self.endpoint = endpoint
        self.model = model
        self._capture = capture
        self._clock = clock
        self._routing: Routing | None = None
        self._shadowing = Shadowing()

    @property
    def names(self) -> tuple[str, ...]:
        """The names this plane answers to: those of the endpoint and of its model."""
        return (self.endpoint, self.model)

    @property
    def ready(self) -> bool:
        """Whether a version is in charge."""
        return self._routing is not None

    @property
    def routing(self) -> Routing:
        """The routing in force.

        Raises:
            Unavailable: no version is loaded yet.
        """
        current = self._routing
        if current is None:
            raise Unavailable(f"endpoint '{self.endpoint}' has no model loaded yet; repeat the call")
        return current

    @property
    def signature(self) -> Signature:
        """What the champion wants."""
        routing = self.routing
        return routing.versions[routing.champion].model.signature

    def switch(self, routing: Routing) -> None:
        """Put a routing in force at once; requests under way finish with the one they began with.

        Raises:
            Conflict: the version in charge is not among those loaded; the old routing stays.
        """
        if routing.champion not in routing.versions:
            raise Conflict(
                f"version {routing.champion} is in charge of '{self.endpoint}' and not loaded", field="routes"
            )
        self._routing = routing

    def infer(self, request: InferRequest) -> InferAnswer:
        """Predict, and capture what was predicted.

        Raises:
            InvalidInput: rows, times or ids that cannot be; `field` names the column or parameter.
            LimitExceeded: too many rows for one request.
            Unavailable: no version is loaded yet.
        """
        routing = self.routing
        request = named(request)
        choice = routing.router(request.sticky_key if request.sticky_key is not None else request.request_id)
        batch = self._predict(request, routing.versions[choice.answer.version], role=choice.answer.role)
        for pick in choice.shadows:
            self._shadow(request, batch, routing.versions[pick.version])
        return InferAnswer(
            request_id=batch.request_id,
            version=batch.version,
            role=batch.role,
            prediction_ids=batch.prediction_ids,
            prediction=batch.prediction,
        )

    def close(self) -> None:
        """Let the shadows finish what they were given, within a few seconds."""
        self._shadowing.close()

    def _shadow(self, request: InferRequest, answered: PredictionBatch, loaded: LoadedVersion) -> None:
        """Let a version see what was answered, under the same ids and times, when there is time for it."""
        same = dataclasses.replace(request, event_time_ms=answered.times_ms, prediction_ids=answered.prediction_ids)
        self._shadowing.offer(lambda: self._predict(same, loaded, role=SHADOW))

    def _predict(self, request: InferRequest, loaded: LoadedVersion, *, role: str) -> PredictionBatch:
        began, now_ms = time.perf_counter(), self._clock.now_ms()
        columns = loaded.model.columns_of(request.rows)
        rows = row_count(columns)
        if rows > MAX_ROWS:
            raise LimitExceeded(f"{rows} rows in one request; the limit is {MAX_ROWS}: send several", field="inputs")
        times_ms, prediction_ids = times_of(request, rows=rows, now_ms=now_ms), ids_of(request, rows=rows)
        prediction = loaded.model.predict_rows(columns)
        batch = PredictionBatch(
            request_id=request.request_id,
            prediction_ids=prediction_ids,
            times_ms=times_ms,
            served_ms=now_ms,
            version=loaded.version,
            version_digest=loaded.digest,
            role=role,
            latency_ms=(time.perf_counter() - began) * 1_000,
            caller=request.caller,
            columns=columns,
            prediction=prediction,
        )
        self._capture.offer(batch)
        return batch
