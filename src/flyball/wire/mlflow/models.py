"""Messages about logged models."""

from __future__ import annotations

from flyball.wire.mlflow.message import Int64, KeyValue, Message
from flyball.wire.mlflow.metrics import Metric


class LoggedModelInfo(Message):
    """A logged model without its params and metrics."""

    model_id: str
    experiment_id: str
    name: str
    creation_timestamp_ms: int
    last_updated_timestamp_ms: int
    artifact_uri: str
    status: str
    model_type: str
    source_run_id: str
    status_message: str | None = None
    tags: tuple[KeyValue, ...] = ()


class LoggedModelData(Message):
    """Params and metrics of a logged model."""

    params: tuple[KeyValue, ...] = ()
    metrics: tuple[Metric, ...] = ()


class LoggedModel(Message):
    """A logged model."""

    info: LoggedModelInfo
    data: LoggedModelData


class LoggedModelAnswer(Message):
    """Answer: one logged model."""

    model: LoggedModel


class CreateLoggedModel(Message):
    """Request: make a logged model whose files follow."""

    experiment_id: str | None = None
    name: str | None = None
    model_type: str | None = None
    source_run_id: str | None = None
    params: tuple[KeyValue, ...] | None = None
    tags: tuple[KeyValue, ...] | None = None


class GetLoggedModel(Message):
    """Request: one logged model; a deleted one only if asked for."""

    allow_deleted: str | bool | None = None


class FinalizeLoggedModel(Message):
    """Request: say how the upload ended; `status` is a name or its number."""

    status: str | int | None = None


class LoggedModelTags(Message):
    """Request: set tags."""

    tags: tuple[KeyValue, ...] | None = None


class LoggedModelParams(Message):
    """Request: log params."""

    params: tuple[KeyValue, ...] | None = None


class DatasetFilter(Message):
    """A dataset whose metrics count in a search."""

    dataset_name: str | None = None
    dataset_digest: str | None = None


class OrderBy(Message):
    """A key to sort by: an attribute, or `metrics.<key>` with or without a dataset."""

    field_name: str | None = None
    ascending: bool | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class SearchLoggedModels(Message):
    """Request: search."""

    experiment_ids: tuple[str, ...] | None = None
    filter: str | None = None
    datasets: tuple[DatasetFilter, ...] | None = None
    max_results: Int64 | None = None
    order_by: tuple[OrderBy, ...] | None = None
    page_token: str | None = None


class LoggedModels(Message):
    """Answer: a page of logged models."""

    models: tuple[LoggedModel, ...] = ()
    next_page_token: str | None = None


class ListDirectory(Message):
    """Request: list the files of a logged model."""

    artifact_directory_path: str | None = None
    page_token: str | None = None
