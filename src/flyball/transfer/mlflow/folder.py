"""An `mlruns` folder as a source: MLflow's file store, with its bin and its registry."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from flyball.kernel.errors import InvalidInput
from flyball.tracking.entities import (
    DatasetInput,
    Experiment,
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
from flyball.transfer.entities import Census, FoundModel, FoundRun, Kind, SourceDescription
from flyball.transfer.mlflow.documents import Document, read_document, read_text_tree
from flyball.transfer.mlflow.files import LocatedFiles, MovedFolders
from flyball.transfer.mlflow.folder_metrics import model_points, run_points
from flyball.transfer.mlflow.folder_registry import registered_models
from flyball.transfer.mlflow.proxy import ProxyFiles
from flyball.transfer.ports import FileSource

BIN = ".trash"
REGISTRY = "models"
# Numbers of MLflow's protocol.
RUN_STATUSES = dict(enumerate(RunStatus, start=1))
MODEL_STATUSES = dict(enumerate(ModelStatus, start=1))


class MlflowFolder:
    """The source behind an `mlruns` folder."""

    def __init__(self, root: Path, *, behind: Path | ProxyFiles | None = None) -> None:
        self._root = root.resolve()
        self._damaged: list[str] = []
        self._moved = MovedFolders()
        self._files = LocatedFiles(behind=behind, beside=self._moved)
        self._experiments = {str(document.need("experiment_id")): document for document in self._documents()}
        if not self._experiments:
            raise InvalidInput(f"{root} is no mlruns folder: it has no experiment (<id>/meta.yaml)", field="source")

    @property
    def description(self) -> SourceDescription:
        return SourceDescription(name=self._root.as_uri(), kind="mlruns folder")

    @property
    def files(self) -> FileSource:
        return self._files

    def census(self) -> Census:
        runs = sum(len(_marked(document.folder)) for document in self._experiments.values())
        models = sum(len(_marked(document.folder / "models")) for document in self._experiments.values())
        registered = len(_marked(self._root / REGISTRY))
        return Census(experiments=len(self._experiments), runs=runs, logged_models=models, registered_models=registered)

    def experiments(self) -> Iterator[Experiment]:
        for key, document in self._experiments.items():
            yield Experiment(
                experiment_id=ExperimentId(key),
                name=str(document.need("name")),
                artifact_location=document.text("artifact_location"),
                lifecycle=Lifecycle(document.text("lifecycle_stage") or "active"),
                created_ms=document.number("creation_time"),
                updated_ms=document.number("last_update_time"),
                tags=read_text_tree(document.folder / "tags"),
            )

    def runs(self, experiment_id: str) -> Iterator[FoundRun]:
        above = self._experiments[experiment_id].folder
        datasets = {folder.name: read_document(folder) for folder in _marked(above / "datasets")}
        for folder in _marked(above):
            try:
                run = _run(read_document(folder), datasets)
            except InvalidInput as error:
                self._damaged.append(error.message)
                continue
            self._moved.note((Kind.RUN, run.info.run_id), folder / "artifacts")
            yield FoundRun(run=run, batches=run_points(folder / "metrics"))

    def logged_models(self, experiment_id: str) -> Iterator[LoggedModel]:
        for folder in _marked(self._experiments[experiment_id].folder / "models"):
            try:
                model = _logged_model(read_document(folder))
            except InvalidInput as error:
                self._damaged.append(error.message)
                continue
            self._moved.note((Kind.LOGGED_MODEL, model.model_id), folder / "artifacts")
            yield model

    def registered_models(self) -> Iterator[FoundModel]:
        return registered_models(self._root / REGISTRY, damaged=self._damaged)

    def not_taken(self) -> Mapping[str, int]:
        traces = sum(len(_folders(document.folder / "traces")) for document in self._experiments.values())
        return {"traces": traces} if traces else {}

    def damaged(self) -> Sequence[str]:
        return self._damaged

    def close(self) -> None:
        self._moved.clear()

    def _documents(self) -> Iterator[Document]:
        for above in (self._root, self._root / BIN):
            for folder in _marked(above):
                if folder.name == REGISTRY:
                    continue
                try:
                    document = read_document(folder)
                    document.need("experiment_id"), document.need("name")
                except InvalidInput as error:
                    self._damaged.append(error.message)
                    continue
                yield document


def _folders(above: Path) -> list[Path]:
    if not above.is_dir():
        return []
    return sorted(Path(entry.path) for entry in os.scandir(above) if entry.is_dir(follow_symlinks=False))


def _marked(above: Path) -> list[Path]:
    """Return the folders that hold a `meta.yaml`."""
    return [folder for folder in _folders(above) if (folder / "meta.yaml").is_file()]


def _run(document: Document, datasets: Mapping[str, Document]) -> Run:
    folder = document.folder
    tags = read_text_tree(folder / "tags")
    inputs, models = [], []
    for link in map(read_document, _marked(folder / "inputs")):
        if link.text("source_type") == "DATASET" and link.text("source_id") in datasets:
            inputs.append(_dataset(datasets[link.text("source_id")], link.texts("tags")))
        elif link.text("source_type") != "DATASET":
            models.append(ModelId(link.text("destination_id")))
    outputs = [
        ModelOutput(model_id=ModelId(link.text("destination_id")), step=link.number("step"))
        for link in map(read_document, _marked(folder / "outputs"))
    ]
    return Run(
        info=_info(document, tags),
        params=read_text_tree(folder / "params"),
        tags=tags,
        datasets=tuple(sorted(inputs, key=lambda item: (item.dataset.name, item.dataset.digest))),
        model_inputs=tuple(models),
        model_outputs=tuple(outputs),
    )


def _info(document: Document, tags: Mapping[str, str]) -> RunInfo:
    return RunInfo(
        run_id=RunId(document.text("run_id") or str(document.need("run_uuid"))),
        experiment_id=ExperimentId(str(document.need("experiment_id"))),
        name=document.text("run_name") or tags.get("mlflow.runName", ""),
        user_id=document.text("user_id"),
        status=RUN_STATUSES.get(document.number("status"), RunStatus.FAILED),
        start_ms=document.number("start_time"),
        end_ms=document.number("end_time") or None,
        artifact_uri=document.text("artifact_uri"),
        lifecycle=Lifecycle(document.text("lifecycle_stage") or "active"),
    )


def _dataset(document: Document, tags: Mapping[str, str]) -> DatasetInput:
    dataset = LoggedDataset(
        name=document.text("name"),
        digest=document.text("digest"),
        source_type=document.text("source_type"),
        source=document.text("source"),
        schema=document.text("schema"),
        profile=document.text("profile"),
    )
    return DatasetInput(dataset=dataset, tags=tags)


def _logged_model(document: Document) -> LoggedModel:
    model_id = str(document.need("model_id"))
    points = model_points(document.folder / "metrics")
    return LoggedModel(
        model_id=ModelId(model_id),
        experiment_id=ExperimentId(str(document.need("experiment_id"))),
        name=document.text("name"),
        artifact_uri=document.text("artifact_location"),
        status=MODEL_STATUSES.get(document.number("status"), ModelStatus.FAILED),
        status_message=document.text("status_message"),
        model_type=document.text("model_type"),
        source_run_id=RunId(document.text("source_run_id")) if document.text("source_run_id") else None,
        lifecycle=Lifecycle(document.text("lifecycle_stage") or "active"),
        created_ms=document.number("creation_timestamp"),
        updated_ms=document.number("last_updated_timestamp"),
        tags=read_text_tree(document.folder / "tags"),
        params=read_text_tree(document.folder / "params"),
        metrics=tuple(_metric(model_id, each) for each in points),
    )


def _metric(model_id: str, point: tuple[str, int, int, float, str, str, str]) -> Metric:
    key, timestamp_ms, step, value, run_id, name, digest = point
    return Metric(
        key=key,
        value=value,
        timestamp_ms=timestamp_ms,
        step=step,
        model_id=model_id,
        run_id=run_id,
        dataset_name=name or None,
        dataset_digest=digest or None,
    )
