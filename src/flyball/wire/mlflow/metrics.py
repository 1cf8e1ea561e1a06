"""Messages about metrics."""

from __future__ import annotations

from flyball.wire.mlflow.message import Int64, Message


class MetricPoint(Message):
    """A point of a metric in a request; JSON has no NaN, so `"NaN"`, `"Infinity"` and `"-Infinity"` stand for them."""

    key: str | None = None
    value: float | None = None
    timestamp: Int64 | None = None
    step: Int64 | None = None
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class LogMetric(MetricPoint):
    """Request: log one point."""

    run_id: str | None = None
    run_uuid: str | None = None


class Metric(Message, gc=False):
    """A point of a metric in an answer."""

    key: str
    value: float | str
    timestamp: int
    step: int
    dataset_name: str | None = None
    dataset_digest: str | None = None
    model_id: str | None = None
    run_id: str | None = None


class GetHistory(Message):
    """Request: the points of a metric."""

    run_id: str | None = None
    run_uuid: str | None = None
    metric_key: str | None = None
    max_results: Int64 | None = None
    page_token: str | None = None


class History(Message):
    """Answer: a page of points."""

    metrics: tuple[Metric, ...] = ()
    next_page_token: str | None = None


class GetHistories(Message):
    """Request: the points of a metric of several runs."""

    run_id: tuple[str, ...] | None = None
    metric_key: str | None = None
    max_results: Int64 | None = None


class Histories(Message, omit_defaults=False):
    """Answer: points in order of run and time; the list is there even when it is empty."""

    metrics: tuple[Metric, ...] = ()


class GetInterval(Message):
    """Request: the points of a metric of several runs, thinned out, perhaps between two steps."""

    run_ids: tuple[str, ...] | None = None
    metric_key: str | None = None
    start_step: Int64 | None = None
    end_step: Int64 | None = None
    max_results: Int64 | None = None


class Interval(Message):
    """Answer: points in order of run and step."""

    metrics: tuple[Metric, ...] = ()
