"""What a server answers, read into our words; an answer that lacks what the protocol promises is refused."""

from __future__ import annotations

import math
from typing import cast

from flyball.kernel.canonical import Digest
from flyball.kernel.errors import InvalidInput
from flyball.registry.entities import ModelVersion, Stage
from flyball.tracking.entities import (
    DatasetInput,
    ExperimentId,
    Lifecycle,
    LoggedDataset,
    LoggedModel,
    Metric,
    ModelId,
    ModelOutput,
    ModelStatus,
    Run,
    RunId,
    RunInfo,
    RunStatus,
)
from flyball.transfer.locations import whereabouts
from flyball.transfer.mlflow.http import Answer

STATUSES = {
    "LOGGED_MODEL_PENDING": ModelStatus.PENDING,
    "LOGGED_MODEL_READY": ModelStatus.READY,
    "LOGGED_MODEL_UPLOAD_FAILED": ModelStatus.FAILED,
}


def read_text(answer: Answer, key: str) -> str:
    """Return a text, empty where there is none."""
    value = answer.get(key)
    return "" if value is None else str(value)


def read_number(answer: Answer, key: str) -> int:
    """Return a whole number, 0 where there is none; servers send them as numbers or as text.

    Raises:
        InvalidInput: it is none.
    """
    value = answer.get(key)
    try:
        return int(str(value)) if value is not None else 0
    except ValueError as error:
        raise InvalidInput(f"the server answers '{key}' with '{str(value)[:40]}', no whole number") from error


def read_pairs(items: object) -> dict[str, str]:
    """Read a list of keys and values."""
    return {read_text(each, "key"): read_text(each, "value") for each in read_list(items)}


def read_list(items: object) -> list[Answer]:
    """Return a list of objects, empty where there is none."""
    return cast("list[Answer]", items) if isinstance(items, list) else []


def read_run(answer: Answer) -> Run:
    """Read a run without its metrics."""
    info = cast("Answer", answer["info"])
    data = cast("Answer", answer.get("data") or {})
    inputs = cast("Answer", answer.get("inputs") or {})
    outputs = cast("Answer", answer.get("outputs") or {})
    datasets = sorted(map(_dataset, read_list(inputs.get("dataset_inputs"))), key=_name_and_digest)
    return Run(
        info=_info(info),
        params=read_pairs(data.get("params")),
        tags=read_pairs(data.get("tags")),
        datasets=tuple(datasets),
        model_inputs=tuple(ModelId(read_text(each, "model_id")) for each in read_list(inputs.get("model_inputs"))),
        model_outputs=tuple(
            ModelOutput(model_id=ModelId(read_text(each, "model_id")), step=read_number(each, "step"))
            for each in read_list(outputs.get("model_outputs"))
        ),
    )


def _info(info: Answer) -> RunInfo:
    return RunInfo(
        run_id=RunId(read_text(info, "run_id") or read_text(info, "run_uuid")),
        experiment_id=ExperimentId(read_text(info, "experiment_id")),
        name=read_text(info, "run_name"),
        user_id=read_text(info, "user_id"),
        status=RunStatus(read_text(info, "status")),
        start_ms=read_number(info, "start_time"),
        end_ms=read_number(info, "end_time") or None,
        artifact_uri=read_text(info, "artifact_uri"),
        lifecycle=Lifecycle(read_text(info, "lifecycle_stage") or "active"),
    )


def _dataset(answer: Answer) -> DatasetInput:
    found = cast("Answer", answer.get("dataset") or {})
    dataset = LoggedDataset(
        name=read_text(found, "name"),
        digest=read_text(found, "digest"),
        source_type=read_text(found, "source_type"),
        source=read_text(found, "source"),
        schema=read_text(found, "schema"),
        profile=read_text(found, "profile"),
    )
    return DatasetInput(dataset=dataset, tags=read_pairs(answer.get("tags")))


def _name_and_digest(item: DatasetInput) -> tuple[str, str]:
    return item.dataset.name, item.dataset.digest


def read_logged_model(answer: Answer) -> LoggedModel:
    """Read a logged model."""
    info = cast("Answer", answer["info"])
    data = cast("Answer", answer.get("data") or {})
    model_id = read_text(info, "model_id")
    return LoggedModel(
        model_id=ModelId(model_id),
        experiment_id=ExperimentId(read_text(info, "experiment_id")),
        name=read_text(info, "name"),
        artifact_uri=read_text(info, "artifact_uri"),
        status=STATUSES.get(read_text(info, "status"), ModelStatus.FAILED),
        status_message=read_text(info, "status_message"),
        model_type=read_text(info, "model_type"),
        source_run_id=RunId(read_text(info, "source_run_id")) if info.get("source_run_id") else None,
        created_ms=read_number(info, "creation_timestamp_ms"),
        updated_ms=read_number(info, "last_updated_timestamp_ms"),
        tags=read_pairs(info.get("tags")),
        params=read_pairs(data.get("params")),
        metrics=tuple(_metric(model_id, each) for each in read_list(data.get("metrics"))),
    )


def _metric(model_id: str, answer: Answer) -> Metric:
    return Metric(
        key=read_text(answer, "key"),
        value=float(str(answer.get("value", math.nan))),
        timestamp_ms=read_number(answer, "timestamp"),
        step=read_number(answer, "step"),
        model_id=model_id,
        run_id=read_text(answer, "run_id"),
        dataset_name=read_text(answer, "dataset_name") or None,
        dataset_digest=read_text(answer, "dataset_digest") or None,
    )


def read_version(answer: Answer) -> ModelVersion:
    """Read a model version."""
    source = read_text(answer, "source")
    place = whereabouts(source)
    inferred = place.key if place is not None and place.kind == "model" else ""
    return ModelVersion(
        name=read_text(answer, "name"),
        version=read_number(answer, "version"),
        source=source,
        location=source,
        run_id=read_text(answer, "run_id"),
        model_id=read_text(answer, "model_id") or inferred,
        run_link=read_text(answer, "run_link"),
        digest=Digest(""),
        status=read_text(answer, "status") or "READY",
        stage=Stage(read_text(answer, "current_stage") or "None"),
        description=read_text(answer, "description"),
        tags=read_pairs(answer.get("tags")),
        created_ms=read_number(answer, "creation_timestamp"),
        updated_ms=read_number(answer, "last_updated_timestamp"),
        created_by=read_text(answer, "user_id"),
    )
