"""The words of tracking: experiments, runs, what a run logs, and the models it leaves behind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, NewType, TypeVar

import msgspec

ItemT = TypeVar("ItemT")
ExperimentId = NewType("ExperimentId", str)
"""A whole number as text; `"0"` is the experiment `Default`."""
RunId = NewType("RunId", str)
"""32 hexadecimal digits, ordered by time."""
ModelId = NewType("ModelId", str)
"""`m-` and 32 hexadecimal digits."""

DEFAULT_EXPERIMENT = ExperimentId("0")
DEFAULT_EXPERIMENT_NAME = "Default"
RUN_NAME_TAG = "mlflow.runName"
USER_TAG = "mlflow.user"
COMMIT_TAG = "mlflow.source.git.commit"
DATASET_CONTEXT_TAG = "mlflow.data.context"
PIPELINE_RUN_TAG = "flyball.pipeline_run"
"""Set on a run by the pipeline that made it; the value is the id of the pipeline run."""


class Lifecycle(StrEnum):
    """Whether a thing is in use or in the bin; nothing is destroyed by deleting it."""

    ACTIVE = "active"
    DELETED = "deleted"


class View(StrEnum):
    """Which lifecycles a search looks at."""

    ACTIVE_ONLY = "ACTIVE_ONLY"
    DELETED_ONLY = "DELETED_ONLY"
    ALL = "ALL"

    @property
    def lifecycles(self) -> tuple[Lifecycle, ...]:
        """The lifecycles that are seen."""
        match self:
            case View.ACTIVE_ONLY:
                return (Lifecycle.ACTIVE,)
            case View.DELETED_ONLY:
                return (Lifecycle.DELETED,)
            case View.ALL:
                return (Lifecycle.ACTIVE, Lifecycle.DELETED)


class RunStatus(StrEnum):
    """How far a run is."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"

    @property
    def ended(self) -> bool:
        """Whether a run with this status is over."""
        return self in {RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED}


class ModelStatus(StrEnum):
    """How far the upload of a logged model is."""

    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A named group of runs."""

    experiment_id: ExperimentId
    name: str
    artifact_location: str
    lifecycle: Lifecycle
    created_ms: int
    updated_ms: int
    tags: Mapping[str, str] = field(default_factory=dict)


# A struct and not a dataclass, because a frozen one takes ten times as long to make: a training run makes a million.
class Metric(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One point of a metric. `model_id` and the dataset say what was measured, where the client knew it."""

    key: str
    value: float
    timestamp_ms: int
    step: int = 0
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None
    run_id: str | None = None

    @property
    def age(self) -> tuple[int, int, float]:
        """What "latest" compares: the step, then the time, then the value, in which NaN counts as smallest."""
        return self.step, self.timestamp_ms, -math.inf if math.isnan(self.value) else self.value


class MetricSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A metric of a run in short: its latest point, and its extremes over all points that are not NaN."""

    latest: Metric
    minimum: float | None
    maximum: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDataset:
    """A dataset as the client described it. `source` names a dataset version as `dataset-version:<name>/<n>`."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str = ""
    profile: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInput:
    """A dataset that a run read, with tags such as its context (`training`, `eval`)."""

    dataset: LoggedDataset
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """A dataset that some run of an experiment read, and as what (None: it was not said)."""

    experiment_id: ExperimentId
    name: str
    digest: str
    context: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutput:
    """A logged model that a run made, and at which step."""

    model_id: ModelId
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """A run without what it logged."""

    run_id: RunId
    experiment_id: ExperimentId
    name: str
    user_id: str
    status: RunStatus
    start_ms: int
    artifact_uri: str
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    end_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run and what it logged."""

    info: RunInfo
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, MetricSummary] = field(default_factory=dict)
    datasets: tuple[DatasetInput, ...] = ()
    model_inputs: tuple[ModelId, ...] = ()
    model_outputs: tuple[ModelOutput, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedModel:
    """A model that a client uploads or has uploaded; `FAILED` says that the upload did not end well."""

    model_id: ModelId
    experiment_id: ExperimentId
    name: str
    artifact_uri: str
    status: ModelStatus
    created_ms: int
    updated_ms: int
    status_message: str = ""
    model_type: str = ""
    source_run_id: RunId | None = None
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[ItemT]):
    """A page of answers; `next_token` is None on the last one."""

    items: tuple[ItemT, ...]
    next_token: str | None = None
