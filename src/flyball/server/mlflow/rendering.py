"""Write what the rooms return in the shapes of the protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flyball.tracking import entities
from flyball.wire.mlflow import experiments, models, runs
from flyball.wire.mlflow.message import KeyValue, encode_number
from flyball.wire.mlflow.metrics import Metric

MODEL_STATUS_NAMES: Mapping[entities.ModelStatus, str] = {
    entities.ModelStatus.PENDING: "LOGGED_MODEL_PENDING",
    entities.ModelStatus.READY: "LOGGED_MODEL_READY",
    entities.ModelStatus.FAILED: "LOGGED_MODEL_UPLOAD_FAILED",
}


def key_values(values: Mapping[str, str]) -> tuple[KeyValue, ...]:
    """Write params or tags."""
    return tuple(KeyValue(key=key, value=value) for key, value in values.items())


def metric(point: entities.Metric) -> Metric:
    """Write a point of a metric."""
    return Metric(
        key=point.key,
        value=encode_number(point.value),
        timestamp=point.timestamp_ms,
        step=point.step,
        model_id=point.model_id,
        dataset_name=point.dataset_name,
        dataset_digest=point.dataset_digest,
        run_id=point.run_id,
    )


def series(points: Sequence[entities.Metric]) -> tuple[Metric, ...]:
    """Write the points of one series, which have nothing but their place and value: a page holds 25,000."""
    return tuple(
        [
            Metric(key=point.key, value=encode_number(point.value), timestamp=point.timestamp_ms, step=point.step)
            for point in points
        ]
    )


def experiment(found: entities.Experiment) -> experiments.Experiment:
    """Write an experiment."""
    return experiments.Experiment(
        experiment_id=found.experiment_id,
        name=found.name,
        artifact_location=found.artifact_location,
        lifecycle_stage=found.lifecycle.value,
        creation_time=found.created_ms,
        last_update_time=found.updated_ms,
        tags=key_values(found.tags),
    )


def run_info(info: entities.RunInfo) -> runs.RunInfo:
    """Write a run without what it logged."""
    return runs.RunInfo(
        run_id=info.run_id,
        run_uuid=info.run_id,
        run_name=info.name,
        experiment_id=info.experiment_id,
        user_id=info.user_id,
        status=info.status.value,
        start_time=info.start_ms,
        end_time=info.end_ms,
        artifact_uri=info.artifact_uri,
        lifecycle_stage=info.lifecycle.value,
    )


def run(found: entities.Run) -> runs.Run:
    """Write a run."""
    return runs.Run(
        info=run_info(found.info),
        data=runs.RunData(
            metrics=tuple(metric(summary.latest) for summary in found.metrics.values()),
            params=key_values(found.params),
            tags=key_values(found.tags),
        ),
        inputs=runs.RunInputs(
            dataset_inputs=tuple(dataset_input(item) for item in found.datasets),
            model_inputs=tuple(runs.ModelInput(model_id=model_id) for model_id in found.model_inputs),
        ),
        outputs=runs.RunOutputs(
            model_outputs=tuple(
                runs.ModelOutput(model_id=output.model_id, step=output.step) for output in found.model_outputs
            )
        ),
    )


def new_run(found: entities.Run) -> runs.Run:
    """Write a run that was just made: MLflow's server says nothing about outputs then."""
    written = run(found)
    return runs.Run(info=written.info, data=written.data, inputs=written.inputs)


def dataset_input(item: entities.DatasetInput) -> runs.DatasetInput:
    """Write a dataset that a run read."""
    return runs.DatasetInput(
        tags=key_values(item.tags) or None,
        dataset=runs.Dataset(
            name=item.dataset.name,
            digest=item.dataset.digest,
            source_type=item.dataset.source_type,
            source=item.dataset.source,
            schema=item.dataset.schema or None,
            profile=item.dataset.profile or None,
        ),
    )


def dataset_summary(found: entities.DatasetSummary) -> runs.DatasetSummary:
    """Write a dataset of an experiment."""
    return runs.DatasetSummary(
        experiment_id=found.experiment_id, name=found.name, digest=found.digest, context=found.context
    )


def logged_model(found: entities.LoggedModel) -> models.LoggedModel:
    """Write a logged model."""
    return models.LoggedModel(
        info=models.LoggedModelInfo(
            model_id=found.model_id,
            experiment_id=found.experiment_id,
            name=found.name,
            creation_timestamp_ms=found.created_ms,
            last_updated_timestamp_ms=found.updated_ms,
            artifact_uri=found.artifact_uri,
            status=MODEL_STATUS_NAMES[found.status],
            model_type=found.model_type,
            source_run_id=found.source_run_id or "",
            status_message=found.status_message or None,
            tags=key_values(found.tags),
        ),
        data=models.LoggedModelData(
            params=key_values(found.params), metrics=tuple(metric(point) for point in found.metrics)
        ),
    )
