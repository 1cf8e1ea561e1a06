"""From a record of a journal to the verb of tracking that carries it out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import assert_never

from flyball.artifacts import Artifacts
from flyball.kernel.errors import InvalidInput
from flyball.server.mlflow.locations import model_root, run_root
from flyball.tracking.entities import DatasetInput, LoggedDataset, Metric, ModelId, ModelOutput, ModelStatus, RunStatus
from flyball.tracking.service import Tracking
from flyball.tracking.shipping import Act, Change, Logging
from flyball.wire.v1 import journals as shapes


class Translator:
    """Make changes of records, in the name of one caller."""

    def __init__(self, tracking: Tracking, artifacts: Artifacts, *, actor: str) -> None:
        self._tracking = tracking
        self._artifacts = artifacts
        self._actor = actor

    def __call__(self, record: shapes.Record) -> Change:
        """Return what carries the record out."""
        if isinstance(record, shapes.Point):
            return Logging(run_id=record.run_id, metrics=(_metric(record),))
        if isinstance(record, shapes.Batch):
            points = tuple(map(_metric, record.points))
            return Logging(run_id=record.run_id, metrics=points, params=record.params, tags=record.tags)
        return Act(verb=self._of_run(record))

    def _of_run(self, record: shapes.RunRecord | shapes.ModelRecord | shapes.OtherRecord) -> Callable[[], object]:
        match record:
            case shapes.MakeRun():
                return partial(self._make_run, record)
            case shapes.ChangeRun():
                return partial(self._change_run, record)
            case shapes.DropTag():
                return partial(self._tracking.log.delete_tag, record.run_id, record.key, actor=self._actor)
            case shapes.Inputs():
                return partial(self._inputs, record)
            case shapes.Outputs():
                return partial(self._outputs, record)
            case _:
                return self._of_model(record)

    def _of_model(self, record: shapes.ModelRecord | shapes.OtherRecord) -> Callable[[], object]:
        models, actor = self._tracking.models, self._actor
        match record:
            case shapes.MakeModel():
                return partial(self._make_model, record)
            case shapes.FinishModel():
                return partial(models.finalize, record.model_id, ModelStatus(record.status), actor=actor)
            case shapes.ModelTexts():
                return partial(self._model_texts, record)
            case shapes.DropModelTag():
                return partial(models.delete_tag, record.model_id, record.key, actor=actor)
            case shapes.File():
                return partial(self._file, record)
            case shapes.MakeExperiment():
                return partial(self._make_experiment, record)
            case _:
                assert_never(record)

    def _make_experiment(self, record: shapes.MakeExperiment) -> None:
        self._tracking.experiments.ensure(
            record.name, artifact_location=record.location, tags=record.tags, actor=self._actor
        )

    def _change_run(self, record: shapes.ChangeRun) -> None:
        self._tracking.runs.update(
            record.run_id,
            status=RunStatus(record.status) if record.status else None,
            end_ms=record.end_ms,
            name=record.name,
            actor=self._actor,
        )

    def _outputs(self, record: shapes.Outputs) -> None:
        outputs = [ModelOutput(model_id=ModelId(model_id), step=step) for model_id, step in record.models]
        self._tracking.lineage.log_outputs(record.run_id, outputs, actor=self._actor)

    def _experiment(self, experiment_id: str, name: str) -> str:
        if experiment_id:
            return experiment_id
        return self._tracking.experiments.ensure(name, actor=self._actor).experiment_id

    def _make_run(self, record: shapes.MakeRun) -> None:
        self._tracking.runs.create(
            self._experiment(record.experiment_id, record.experiment_name),
            run_id=record.run_id,
            name=record.name,
            user_id=record.user_id,
            start_ms=record.start_ms,
            tags=record.tags,
            actor=self._actor,
        )

    def _make_model(self, record: shapes.MakeModel) -> None:
        self._tracking.models.create(
            self._experiment(record.experiment_id, record.experiment_name),
            model_id=record.model_id,
            name=record.name,
            model_type=record.model_type,
            source_run_id=record.source_run_id,
            params=record.params,
            tags=record.tags,
            actor=self._actor,
        )

    def _inputs(self, record: shapes.Inputs) -> None:
        self._tracking.lineage.log_inputs(
            record.run_id,
            datasets=[_dataset(row) for row in record.datasets],
            model_ids=[ModelId(model_id) for model_id in record.model_ids],
            actor=self._actor,
        )

    def _model_texts(self, record: shapes.ModelTexts) -> None:
        if record.params:
            self._tracking.models.log_params(record.model_id, record.params, actor=self._actor)
        if record.tags:
            self._tracking.models.set_tags(record.model_id, record.tags, actor=self._actor)

    def _file(self, record: shapes.File) -> None:
        """See to it that the file came before its record; a later one of the same name is as good."""
        if record.owner == "run":
            root = run_root(self._tracking.runs.get_info(record.owner_id).run_id)
        else:
            root = model_root(self._tracking.models.get(record.owner_id, deleted=True).model_id)
        if self._artifacts.find(root, record.path) is None:
            raise InvalidInput(f"the file '{record.path}' of {root} did not come before its record", field="path")


def _metric(row: shapes.Point | shapes.Measured) -> Metric:
    return Metric(
        key=row.key,
        value=row.value,
        timestamp_ms=row.timestamp_ms,
        step=row.step,
        model_id=row.model_id or None,
        dataset_name=row.dataset_name or None,
        dataset_digest=row.dataset_digest or None,
    )


def _dataset(row: shapes.DatasetRow) -> DatasetInput:
    return DatasetInput(
        tags=dict(row.tags),
        dataset=LoggedDataset(
            name=row.name,
            digest=row.digest,
            source_type=row.source_type,
            source=row.source,
            schema=row.schema,
            profile=row.profile,
        ),
    )
