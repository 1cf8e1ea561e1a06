"""What the model server counts, in Prometheus' text format: requests, waiting, batches, capture.

Counting costs a request two additions; everything else is done when somebody looks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from flyball.governance.permissions import Permission
from flyball.server.inference.answering import Answering
from flyball.server.inference.http import Answer, Call
from flyball.server.inference.routes import Route, get
from flyball.serving.batching import SIZE_CLASSES
from flyball.serving.plane import DataPlane, Queue
from flyball.serving.spool import Spool

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
# From what a small model needs to what nobody waits for.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PREFIX = "flyball_inference"


class RequestCounts:
    """Requests by route and status, and how long each route took. Belongs to one event loop."""

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
            durations = self.durations[route] = [0] * (len(SECONDS) + 1)
        durations[bisect_left(SECONDS, took_s)] += 1
        self.seconds[route] = self.seconds.get(route, 0.0) + took_s


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
        return Answer("".join(self._lines()).encode(), content_type=CONTENT_TYPE)

    def _lines(self) -> Iterator[str]:
        counts, planes = self._counts, self._answering.host.planes()
        queues = [(plane, version, queue) for plane in planes for version, queue in plane.queues().items()]
        yield from _head(
            "requests_total", "counter", "Requests by route and HTTP status; 499 is a client that went away."
        )
        for (route, status), count in sorted(counts.statuses.items()):
            yield _line("requests_total", {"route": route, "code": str(status)}, count)
        yield from _head("request_seconds", "histogram", "Time from the head of a request to its answer.")
        for route, durations in sorted(counts.durations.items()):
            yield from _histogram("request_seconds", {"route": route}, SECONDS, durations, counts.seconds[route])
        yield from _head("in_flight", "gauge", "Requests that wait for their prediction.")
        yield _line("in_flight", {}, self._answering.waiting_count)
        yield from _head(
            "queue_requests", "gauge", "Requests in the queue of a version, those being predicted not counted."
        )
        for plane, version, queue in queues:
            yield _line("queue_requests", _version(plane, version), queue.waiting_count)
        yield from _head("batch_rows", "histogram", "Rows in one batch of a version.")
        for plane, version, queue in queues:
            yield from _batches(plane, version, queue)
        yield from _head("shadow_dropped_total", "counter", "Requests that a shadow had no time for.")
        for plane in planes:
            yield _line("shadow_dropped_total", {"model": plane.endpoint}, plane.shadows_dropped)
        yield from _captured(planes)


def _batches(plane: DataPlane, version: int, queue: Queue) -> Iterator[str]:
    return _histogram("batch_rows", _version(plane, version), SIZE_CLASSES, queue.size_counts, queue.row_count)


def _captured(planes: Sequence[DataPlane]) -> Iterator[str]:
    counters = [(plane.endpoint, plane.capture.counters) for plane in planes if isinstance(plane.capture, Spool)]
    yield from _head("captured_rows_total", "counter", "Predictions by how far capture has brought them.")
    for model, counted in counters:
        for state, rows in (
            ("offered", counted.offered_rows),
            ("written", counted.written_rows),
            ("shipped", counted.shipped_rows),
        ):
            yield _line("captured_rows_total", {"model": model, "state": state}, rows)
    yield from _head("capture_lost_rows_total", "counter", "Predictions that were answered and are lost, by reason.")
    for model, counted in counters:
        for reason, rows in sorted(counted.lost_rows.items()):
            yield _line("capture_lost_rows_total", {"model": model, "reason": reason.value}, rows)
    yield from _head("capture_waiting_rows", "gauge", "Predictions in memory that are not on disk yet.")
    for model, counted in counters:
        yield _line("capture_waiting_rows", {"model": model}, counted.waiting_rows)


def _version(plane: DataPlane, version: int) -> dict[str, str]:
    return {"model": plane.endpoint, "version": str(version)}


def _histogram(
    name: str, labels: Mapping[str, str], bounds: Sequence[float], counts: Sequence[int], total: float
) -> Iterator[str]:
    """Yield the lines of a histogram; `counts` has one entry more than `bounds`, for what lies above them all."""
    so_far = 0
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        so_far += count
        yield _line(f"{name}_bucket", {**labels, "le": bound}, so_far)
    yield _line(f"{name}_sum", labels, total)
    yield _line(f"{name}_count", labels, so_far)


def _head(name: str, kind: str, what: str) -> tuple[str, str]:
    return f"# HELP {PREFIX}_{name} {what}\n", f"# TYPE {PREFIX}_{name} {kind}\n"


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    said = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{PREFIX}_{name}{{{said}}} {value}\n" if said else f"{PREFIX}_{name} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
