"""Write what is known here as the values that MLflow's client hands to its callers."""

from __future__ import annotations

from typing import Any

from mlflow.entities import (
    LifecycleStage,
    LoggedModel,
    LoggedModelStatus,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunTag,
)

from flyball.integrations.mlflow.known import KnownModel, KnownRun

_STATUS = {
    "PENDING": LoggedModelStatus.PENDING,
    "READY": LoggedModelStatus.READY,
    "FAILED": LoggedModelStatus.FAILED,
}


def run_info(known: KnownRun) -> Any:  # noqa: ANN401 -- MLflow's type
    """Write a run without what it logged."""
    return RunInfo(
        run_id=known.run_id,
        experiment_id=known.experiment_id,
        user_id=known.user_id,
        status=known.status,
        start_time=known.start_ms,
        end_time=known.end_ms,
        lifecycle_stage=LifecycleStage.ACTIVE,
        artifact_uri=known.artifact_uri,
        run_name=known.name,
    )


def run(known: KnownRun) -> Any:  # noqa: ANN401 -- MLflow's type
    """Write a run with what this process logged."""
    data = RunData(
        metrics=[Metric(key, value, at_ms, step) for key, (step, at_ms, value) in list(known.latest.items())],
        params=[Param(key, value) for key, value in list(known.params.items())],
        tags=[RunTag(key, value) for key, value in list(known.tags.items())],
    )
    inputs = RunInputs(list(known.dataset_inputs), list(known.model_inputs))
    return Run(run_info(known), data, inputs, RunOutputs(list(known.model_outputs)))


def model(known: KnownModel) -> Any:  # noqa: ANN401 -- MLflow's type
    """Write a logged model."""
    return LoggedModel(
        experiment_id=known.experiment_id,
        model_id=known.model_id,
        name=known.name,
        artifact_location=known.artifact_uri,
        creation_timestamp=known.created_ms,
        last_updated_timestamp=known.created_ms,
        model_type=known.model_type or None,
        source_run_id=known.source_run_id or None,
        status=_STATUS[known.status],
        tags=dict(known.tags),
        params=dict(known.params),
    )
