"""What the model server counts, for Prometheus and OpenTelemetry: requests, waiting, batches, capture.

Counting costs a request two additions; everything else is done when somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from flyball.governance.permissions import Permission
from flyball.kernel.telemetry import CONTENT_TYPE, Distribution, Family, FamilyKind, Sample, exposition
from flyball.server.inference.answering import Answering
from flyball.server.inference.http import Answer, Call
from flyball.server.inference.routes import Route, get
from flyball.serving.batching import SIZE_CLASSES
from flyball.serving.capture_queue import CaptureCounters
from flyball.serving.counting import SECONDS, Durations
from flyball.serving.plane import DataPlane, Queue
from flyball.serving.spool import Spool

PREFIX = "flyball_inference"
# What a request is counted as whose client went away before the answer.
CLIENT_GONE = 499


class RequestCounts:
    """Requests by route and status, and how long each route took. Belongs to one event loop; others may read."""

    def __init__(self) -> None:
        self.statuses: dict[tuple[str, int], int] = {}
        self.durations: dict[str, Durations] = {}

    def count(self, route: str, status: int, took_s: float) -> None:
        """Note a request that was answered."""
        key = route, status
        self.statuses[key] = self.statuses.get(key, 0) + 1
        durations = self.durations.get(route)
        if durations is None:
            durations = self.durations[route] = Durations()
        durations.add(took_s)


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
    return [
        *_requests(counts),
        *_held(answering),
        *_fates(queues),
        *_queued(queues),
        *_shadowed(planes),
        *_captured([(model, spool.counters) for model, spool in captures]),
    ]


def _requests(counts: RequestCounts) -> Iterator[Family]:
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
            _taken({"route": route}, durations) for route, durations in sorted(counts.durations.copy().items())
        ],
    )


def _held(answering: Answering) -> Iterator[Family]:
    yield Family(
        name=f"{PREFIX}_in_flight",
        unit="{request}",
        what="Requests that wait for their prediction.",
        samples=[Sample(labels={}, value=answering.waiting_count)],
    )
    yield Family(
        name=f"{PREFIX}_bodies_bytes",
        unit="By",
        what="Bytes of the requests that are held, from their reading to their answer.",
        samples=[Sample(labels={}, value=answering.bodies.held_bytes)],
    )


def _fates(queues: Sequence[tuple[DataPlane, int, Queue]]) -> Iterator[Family]:
    yield Family(
        name=f"{PREFIX}_version_requests",
        kind=FamilyKind.COUNTER,
        unit="{request}",
        what="Requests that were sent to a version, by what became of them.",
        samples=[
            Sample(labels={**_version(plane, version), "fate": fate.value}, value=count)
            for plane, version, queue in queues
            for fate, count in queue.counts.fates.items()
        ],
    )
    yield Family(
        name=f"{PREFIX}_version_seconds",
        kind=FamilyKind.HISTOGRAM,
        unit="s",
        what="Time from the queueing of a request to its answer, by version.",
        distributions=[_taken(_version(plane, version), queue.counts.durations) for plane, version, queue in queues],
    )
    yield Family(
        name=f"{PREFIX}_version_in_flight",
        unit="{request}",
        what="Requests that wait for a version, or are being predicted by it.",
        samples=[
            Sample(labels=_version(plane, version), value=queue.waiting_count + queue.busy_count)
            for plane, version, queue in queues
        ],
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


def _shadowed(planes: Sequence[DataPlane]) -> Iterator[Family]:
    yield Family(
        name=f"{PREFIX}_shadow_dropped",
        kind=FamilyKind.COUNTER,
        unit="{request}",
        what="Requests that a shadow had no time for.",
        samples=[Sample(labels={"model": plane.endpoint}, value=plane.shadows.dropped) for plane in planes],
    )
    yield Family(
        name=f"{PREFIX}_shadow_failed",
        kind=FamilyKind.COUNTER,
        unit="{request}",
        what="Requests that a shadow could not predict.",
        samples=[Sample(labels={"model": plane.endpoint}, value=plane.shadows.failed) for plane in planes],
    )


def _captured(counters: Sequence[tuple[str, CaptureCounters]]) -> Iterator[Family]:
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
    yield from _behind(counters)


def _behind(counters: Sequence[tuple[str, CaptureCounters]]) -> Iterator[Family]:
    yield Family(
        name=f"{PREFIX}_capture_waiting_rows",
        unit="{row}",
        what="Predictions in memory that are not on disk yet.",
        samples=[Sample(labels={"model": model}, value=counted.waiting_rows) for model, counted in counters],
    )
    yield Family(
        name=f"{PREFIX}_capture_spooled_bytes",
        unit="By",
        what="Bytes of predictions on disk that were not shipped yet.",
        samples=[Sample(labels={"model": model}, value=counted.spooled_bytes) for model, counted in counters],
    )
    yield Family(
        name=f"{PREFIX}_capture_lag_seconds",
        unit="s",
        what="How long the oldest prediction on disk has waited to be shipped.",
        samples=[Sample(labels={"model": model}, value=counted.lag_s) for model, counted in counters],
    )


def _taken(labels: Mapping[str, str], durations: Durations) -> Distribution:
    return Distribution(labels=labels, bounds=SECONDS, counts=tuple(durations.counts), total=durations.total_s)


def _version(plane: DataPlane, version: int) -> dict[str, str]:
    return {"model": plane.endpoint, "version": str(version)}
