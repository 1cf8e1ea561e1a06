"""Read the parts of a request, and say in MLflow's words what is missing or wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from flyball.kernel.errors import InvalidInput
from flyball.server.mlflow.requests import SEE_DOCS, invalid_value
from flyball.tracking.entities import Metric, ModelStatus, RunStatus, View
from flyball.wire.mlflow.message import KeyValue
from flyball.wire.mlflow.metrics import MetricPoint
from flyball.wire.mlflow.runs import RunById, RunText, UpdateRun

ValueT = TypeVar("ValueT")

# The numbers are those of the protocol's enumerations, which it accepts in the place of the names.
VIEWS: Mapping[str, View] = {
    "ACTIVE_ONLY": View.ACTIVE_ONLY,
    "1": View.ACTIVE_ONLY,
    "DELETED_ONLY": View.DELETED_ONLY,
    "2": View.DELETED_ONLY,
    "ALL": View.ALL,
    "3": View.ALL,
}
RUN_STATUSES: Mapping[str, RunStatus] = {
    **{status.value: status for status in RunStatus},
    **{str(number): status for number, status in enumerate(RunStatus, start=1)},
}
MODEL_STATUSES: Mapping[str, ModelStatus] = {
    "LOGGED_MODEL_PENDING": ModelStatus.PENDING,
    "1": ModelStatus.PENDING,
    "LOGGED_MODEL_READY": ModelStatus.READY,
    "2": ModelStatus.READY,
    "LOGGED_MODEL_UPLOAD_FAILED": ModelStatus.FAILED,
    "3": ModelStatus.FAILED,
}


def required(value: ValueT | None, name: str) -> ValueT:
    """Return a value that must be there.

    Raises:
        InvalidInput: it is absent, or empty text.
    """
    if value is None or value == "":
        raise InvalidInput(f"Missing value for required parameter '{name}'.{SEE_DOCS}", field=name)
    return value


def run_id_of(body: RunById | RunText | UpdateRun) -> str:
    """Return the run's id, which old clients call `run_uuid`."""
    return required(body.run_id or body.run_uuid, "run_id")


def one_of(value: str | int | None, names: Mapping[str, ValueT], *, field: str) -> ValueT:
    """Read an enumeration by name or number.

    Raises:
        InvalidInput: it is absent, or has no such value.
    """
    found = names.get(str(required(value, field)))
    if found is None:
        known = ", ".join(name for name in names if not name.isdigit())
        raise invalid_value(value, field, hint=f" Hint: Value was of type '{type(value).__name__}'; known are {known}")
    return found


def view_of(value: str | int | None, *, field: str) -> View:
    """Read a view; active things where none is asked for."""
    return View.ACTIVE_ONLY if value is None else one_of(value, VIEWS, field=field)


def pairs(items: Iterable[KeyValue] | None, *, field: str) -> list[tuple[str, str]]:
    """Read params or tags; a value that is left out is empty text."""
    return [(required(item.key, f"{field}[{at}].key"), item.value or "") for at, item in enumerate(items or ())]


def metric(point: MetricPoint, *, prefix: str = "") -> Metric:
    """Read a point of a metric."""
    required(point.key, f"{prefix}key")
    required(point.value, f"{prefix}value")
    required(point.timestamp, f"{prefix}timestamp")
    whole = _whole(point)
    assert whole is not None
    return whole


def metrics(points: Sequence[MetricPoint] | None) -> list[Metric]:
    """Read the points of a batch."""
    return [_whole(point) or metric(point, prefix=f"metrics[{at}].") for at, point in enumerate(points or ())]


def _whole(point: MetricPoint) -> Metric | None:
    """Read a point that has all its parts, which nearly every one has: a batch holds a thousand."""
    if not point.key or point.value is None or point.timestamp is None:
        return None
    return Metric(
        key=point.key,
        value=point.value,
        timestamp_ms=point.timestamp,
        step=point.step or 0,
        model_id=point.model_id or None,
        dataset_name=point.dataset_name or None,
        dataset_digest=point.dataset_digest or None,
    )
