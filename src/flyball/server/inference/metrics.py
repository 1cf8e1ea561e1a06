"""What the model server counts, for Prometheus and OpenTelemetry: requests, waiting, batches, capture.

Counting costs a request two additions; everything else is done when somebody looks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from flyball.governance.permissions import Permission
from flyball.kernel.telemetry import CONTENT_TYPE, Distribution, Family, FamilyKind, Sample, exposition
from flyball.server.inference.answering import Answering
from flyball.server.inference.http import Answer, Call
from flyball.server.inference.routes import Route, get
from flyball.serving.batching import SIZE_CLASSES
from flyball.serving.plane import DataPlane, Queue
from flyball.serving.spool import Spool

# From what a small model needs to what nobody waits for.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PREFIX = "flyball_inference"


class RequestCounts:
    """Requests by route and status, and how long each route took. Belongs to one event loop; others may read."""

    def __init__(self) -> None:
        self.statuses: dict[tuple[str, int], int] = {}
        self.durations: dict[str, list[int]] = {}
        self.seconds: dict[str, float] = {}

    def count(self, route: str, status: int, took_s: float) -> None:
        """Note a request that was answered."""
        key = route, status
        self.statuses[key] = self.statuses.get(key, 0) + 1
        durations = self.durations.get(route)
        if durations is None:
            self.seconds[route] = 0.0
            durations = self.durations[route] = [0] * (len(SECONDS) + 1)
        durations[bisect_left(SECONDS, took_s)] += 1
        self.seconds[route] += took_s


class Metrics:
    """The page that Prometheus reads."""

    def __init__(self, answering: Answering, counts: RequestCounts) -> None:
        self._answering = answering
        self._counts = counts

    def routes(self) -> list[Route]:
        """Return the table. Names of models and their traffic are no business of everybody: a token is needed."""
        return [get("/metrics", Permission.ENDPOINTS_READ, self.metrics, "Tell what was counted, for Prometheus")]

    async def metrics(self, _call: Call) -> Answer:
        """Tell what was counted."""
        return Answer(exposition(served_figures(self._answering, self._counts)), content_type=CONTENT_TYPE.encode())


def served_figures(answering: Answering, counts: RequestCounts) -> list[Family]:
    """Return what a model server counts now. Any thread may ask."""
    planes = answering.host.planes()
    queues = [(plane, version, queue) for plane in planes for version, queue in plane.queues().items()]
    captures = [(plane.endpoint, plane.capture) for plane in planes if isinstance(plane.capture, Spool)]
    return [*_requests(counts, answering.waiting_count), *_queued(queues), _shadowed(planes), *_captured(captures)]


def _requests(counts: RequestCounts, waiting: int) -> Iterator[Family]:
    yield Family(
        name=f"{PREFIX}_requests",
        kind=FamilyKind.COUNTER,
        unit="{request}",
        what="Requests by route and HTTP status; 499 is a client that went away.",
        samples=[
            Sample(labels={"route": route, "code": str(status)}, value=count)
            for (route, status), count in sorted(counts.statuses.copy().items())
        ],
    )
    yield Family(
        name=f"{PREFIX}_request_seconds",
        kind=FamilyKind.HISTOGRAM,
        unit="s",
        what="Time from the head of a request to its answer.",
        distributions=[
            Distribution(labels={"route": route}, bounds=SECONDS, counts=tuple(durations), total=counts.seconds[route])
            for route, durations in sorted(counts.durations.copy().items())
        ],
    )
    yield Family(
        name=f"{PREFIX}_in_flight",
        unit="{request}",
        what="Requests that wait for their prediction.",
        samples=[Sample(labels={}, value=waiting)],
    )


def _queued(queues: Sequence[tuple[DataPlane, int, Queue]]) -> Iterator[Family]:
    yield Family(
        name=f"{PREFIX}_queue_requests",
        unit="{request}",
        what="Requests in the queue of a version, those being predicted not counted.",
        samples=[
            Sample(labels=_version(plane, version), value=queue.waiting_count) for plane, version, queue in queues
        ],
    )
    yield Family(
        name=f"{PREFIX}_batch_rows",
        kind=FamilyKind.HISTOGRAM,
        unit="{row}",
        what="Rows in one batch of a version.",
        distributions=[
            Distribution(
                labels=_version(plane, version),
                bounds=SIZE_CLASSES,
                counts=tuple(queue.size_counts),
                total=queue.row_count,
            )
            for plane, version, queue in queues
        ],
    )


def _shadowed(planes: Sequence[DataPlane]) -> Family:
    return Family(
        name=f"{PREFIX}_shadow_dropped",
        kind=FamilyKind.COUNTER,
        unit="{request}",
        what="Requests that a shadow had no time for.",
        samples=[Sample(labels={"model": plane.endpoint}, value=plane.shadows_dropped) for plane in planes],
    )


def _captured(captures: Sequence[tuple[str, Spool]]) -> Iterator[Family]:
    counters = [(model, spool.counters) for model, spool in captures]
    yield Family(
        name=f"{PREFIX}_captured_rows",
        kind=FamilyKind.COUNTER,
        unit="{row}",
        what="Predictions by how far capture has brought them.",
        samples=[
            Sample(labels={"model": model, "state": state}, value=rows)
            for model, counted in counters
            for state, rows in (
                ("offered", counted.offered_rows),
                ("written", counted.written_rows),
                ("shipped", counted.shipped_rows),
            )
        ],
    )
    yield Family(
        name=f"{PREFIX}_capture_lost_rows",
        kind=FamilyKind.COUNTER,
        unit="{row}",
        what="Predictions that were answered and are lost, by reason.",
        samples=[
            Sample(labels={"model": model, "reason": reason.value}, value=rows)
            for model, counted in counters
            for reason, rows in sorted(counted.lost_rows.items())
        ],
    )
    yield Family(
        name=f"{PREFIX}_capture_waiting_rows",
        unit="{row}",
        what="Predictions in memory that are not on disk yet.",
        samples=[Sample(labels={"model": model}, value=counted.waiting_rows) for model, counted in counters],
    )


def _version(plane: DataPlane, version: int) -> dict[str, str]:
    return {"model": plane.endpoint, "version": str(version)}
