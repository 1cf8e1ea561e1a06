"""Messages about experiments."""

from __future__ import annotations

from flyball.wire.mlflow.message import Int64, KeyValue, Message


class Experiment(Message):
    """An experiment."""

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str
    creation_time: int
    last_update_time: int
    tags: tuple[KeyValue, ...] = ()


class CreateExperiment(Message):
    """Request: make an experiment."""

    name: str | None = None
    artifact_location: str | None = None
    tags: tuple[KeyValue, ...] | None = None


class ExperimentCreated(Message):
    """Answer: its id."""

    experiment_id: str


class ExperimentById(Message):
    """Request that needs only the id."""

    experiment_id: str | None = None


class ExperimentByName(Message):
    """Request: find by name."""

    experiment_name: str | None = None


class ExperimentAnswer(Message):
    """Answer: one experiment."""

    experiment: Experiment


class SearchExperiments(Message):
    """Request: search; `view_type` is a name or its number."""

    max_results: Int64 | None = None
    page_token: str | None = None
    filter: str | None = None
    order_by: tuple[str, ...] | None = None
    view_type: str | int | None = None


class Experiments(Message):
    """Answer: a page of experiments."""

    experiments: tuple[Experiment, ...] = ()
    next_page_token: str | None = None


class UpdateExperiment(Message):
    """Request: rename."""

    experiment_id: str | None = None
    new_name: str | None = None


class ExperimentTag(Message):
    """Request: set a tag, or delete it (then without a value)."""

    experiment_id: str | None = None
    key: str | None = None
    value: str | None = None
