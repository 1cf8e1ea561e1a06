"""The verbs of a run's inputs and outputs: the datasets and models it read, the models it made."""

from __future__ import annotations

from collections.abc import Sequence

from flyball.kernel.canonical import JsonValue
from flyball.kernel.db import Database
from flyball.kernel.errors import InvalidInput
from flyball.kernel.events import Edge, EventLog
from flyball.tracking.access import is_model_id, lock_active_run, model_not_found
from flyball.tracking.entities import DatasetInput, LoggedModel, ModelId, ModelOutput
from flyball.tracking.events import TrackingEvent, dataset_edges, model_ref, run_ref
from flyball.tracking.limits import MAX_DATASETS_PER_CALL, MAX_TAG_LENGTH, check_dataset, check_tags
from flyball.tracking.ports import ModelStore, RunDataStore, RunStore


class RunLineage:
    """Inputs and outputs of runs, each an edge of lineage where the platform knows the other end."""

    def __init__(
        self, store: RunStore, *, data: RunDataStore, models: ModelStore, events: EventLog, database: Database
    ) -> None:
        self._store = store
        self._data = data
        self._models = models
        self._events = events
        self._database = database

    def log_inputs(
        self,
        run_id: str,
        *,
        actor: str,
        datasets: Sequence[DatasetInput] = (),
        model_ids: Sequence[ModelId] = (),
    ) -> None:
        """Keep which datasets and models an active run read; one that is known already is no change.

        Raises:
            NotFound: no such run or model.
            InvalidInput: the run is deleted, or a dataset lacks a part or breaks a limit.
        """
        if len(datasets) > MAX_DATASETS_PER_CALL:
            raise InvalidInput(f"at most {MAX_DATASETS_PER_CALL} datasets fit into one call", field="datasets")
        for item in datasets:
            check_dataset(item.dataset)
            check_tags(item.tags.items(), limit=MAX_TAG_LENGTH)
        with self._database.transaction():
            info = lock_active_run(self._store, run_id)
            models = [self._model(model_id) for model_id in model_ids]
            self._data.add_datasets(run_id, info.experiment_id, datasets)
            self._data.add_model_inputs(run_id, [model.model_id for model in models])
            read = [Edge(subject=run_ref(run_id), relation="used", object=model_ref(m.model_id)) for m in models]
            self._events.record(
                TrackingEvent.RUN_INPUTS_LOGGED,
                actor=actor,
                subject=run_ref(run_id),
                payload={
                    "datasets": [[item.dataset.name, item.dataset.digest] for item in datasets],
                    "models": list(model_ids),
                },
                edges=[*dataset_edges(run_id, datasets), *read],
            )

    def log_outputs(self, run_id: str, outputs: Sequence[ModelOutput], *, actor: str) -> None:
        """Keep which models an active run made.

        Raises:
            NotFound: no such run or model.
            InvalidInput: the run is deleted.
        """
        with self._database.transaction():
            lock_active_run(self._store, run_id)
            models = [self._model(output.model_id) for output in outputs]
            self._data.add_model_outputs(run_id, outputs)
            payload: dict[str, JsonValue] = {"models": [[item.model_id, str(item.step)] for item in outputs]}
            # A model made within a run has this edge since it was created.
            edges = [
                Edge(subject=model_ref(model.model_id), relation="made-by", object=run_ref(run_id))
                for model in models
                if model.source_run_id != run_id
            ]
            self._events.record(
                TrackingEvent.RUN_OUTPUTS_LOGGED, actor=actor, subject=run_ref(run_id), payload=payload, edges=edges
            )

    def _model(self, model_id: str) -> LoggedModel:
        found = self._models.find(model_id) if is_model_id(model_id) else None
        if found is None:
            raise model_not_found(model_id)
        return found
