"""Messages about runs. Requests name the run by `run_id`, old clients by `run_uuid`; answers carry both."""

from __future__ import annotations

from flyball.wire.mlflow.message import Int64, KeyValue, Message
from flyball.wire.mlflow.metrics import Metric, MetricPoint


class RunInfo(Message):
    """A run without what it logged."""

    run_id: str
    run_uuid: str
    run_name: str
    experiment_id: str
    user_id: str
    status: str
    start_time: int
    artifact_uri: str
    lifecycle_stage: str
    end_time: int | None = None


class RunData(Message):
    """What a run logged."""

    metrics: tuple[Metric, ...] = ()
    params: tuple[KeyValue, ...] = ()
    tags: tuple[KeyValue, ...] = ()


class Dataset(Message):
    """A dataset as the client described it; protobuf calls the column description `schema`."""

    name: str | None = None
    digest: str | None = None
    source_type: str | None = None
    source: str | None = None
    schema: str | None = None
    profile: str | None = None


class DatasetInput(Message):
    """A dataset that a run read."""

    tags: tuple[KeyValue, ...] | None = None
    dataset: Dataset | None = None


class ModelInput(Message):
    """A logged model that a run read."""

    model_id: str | None = None


class ModelOutput(Message):
    """A logged model that a run made."""

    model_id: str | None = None
    step: Int64 | None = None


class RunInputs(Message):
    """What a run read."""

    dataset_inputs: tuple[DatasetInput, ...] = ()
    model_inputs: tuple[ModelInput, ...] = ()


class RunOutputs(Message):
    """What a run made."""

    model_outputs: tuple[ModelOutput, ...] = ()


class Run(Message):
    """A run."""

    info: RunInfo
    data: RunData
    inputs: RunInputs
    outputs: RunOutputs | None = None


class RunById(Message):
    """Request that needs only the id."""

    run_id: str | None = None
    run_uuid: str | None = None


class RunAnswer(Message):
    """Answer: one run."""

    run: Run


class RunInfoAnswer(Message):
    """Answer: a run without what it logged."""

    run_info: RunInfo


class CreateRun(Message):
    """Request: start a run."""

    experiment_id: str | None = None
    user_id: str | None = None
    run_name: str | None = None
    start_time: Int64 | None = None
    tags: tuple[KeyValue, ...] | None = None


class UpdateRun(Message):
    """Request: change status, end or name; `status` is a name or its number."""

    run_id: str | None = None
    run_uuid: str | None = None
    status: str | int | None = None
    end_time: Int64 | None = None
    run_name: str | None = None


class SearchRuns(Message):
    """Request: search; `run_view_type` is a name or its number."""

    experiment_ids: tuple[str, ...] | None = None
    filter: str | None = None
    run_view_type: str | int | None = None
    max_results: Int64 | None = None
    order_by: tuple[str, ...] | None = None
    page_token: str | None = None


class Runs(Message):
    """Answer: a page of runs."""

    runs: tuple[Run, ...] = ()
    next_page_token: str | None = None


class RunText(Message):
    """Request: log a param, set a tag, or delete one (then without a value)."""

    run_id: str | None = None
    run_uuid: str | None = None
    key: str | None = None
    value: str | None = None


class LogBatch(Message):
    """Request: log many things at once."""

    run_id: str | None = None
    metrics: tuple[MetricPoint, ...] | None = None
    params: tuple[KeyValue, ...] | None = None
    tags: tuple[KeyValue, ...] | None = None


class LogModel(Message):
    """Request: add a model to the history that clients before 3.0 keep in a tag."""

    run_id: str | None = None
    model_json: str | None = None


class SearchDatasets(Message):
    """Request: the datasets that runs of experiments read."""

    experiment_ids: tuple[str, ...] | None = None


class DatasetSummary(Message):
    """A dataset that some run of an experiment read."""

    experiment_id: str
    name: str
    digest: str
    context: str | None = None


class DatasetSummaries(Message):
    """Answer: datasets of experiments."""

    dataset_summaries: tuple[DatasetSummary, ...] = ()


class LogInputs(Message):
    """Request: name what a run read."""

    run_id: str | None = None
    datasets: tuple[DatasetInput, ...] | None = None
    models: tuple[ModelInput, ...] | None = None


class LogOutputs(Message):
    """Request: name what a run made."""

    run_id: str | None = None
    models: tuple[ModelOutput, ...] | None = None
