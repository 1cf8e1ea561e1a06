"""The verbs of a run's inputs and outputs: the datasets and models it read, the models it made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from flyball.kernel.canonical import JsonValue
from flyball.kernel.db import Database
from flyball.kernel.errors import InvalidInput
from flyball.kernel.events import Edge, EventLog
from flyball.tracking.access import is_model_id, lock_active_run, model_not_found, read_experiment_id
from flyball.tracking.entities import DatasetInput, DatasetSummary, LoggedModel, ModelId, ModelOutput
from flyball.tracking.events import TrackingEvent, dataset_edges, model_ref, run_ref
from flyball.tracking.limits import MAX_DATASETS_PER_CALL, check_dataset, check_input_tags, check_text
from flyball.tracking.ports import DatasetStore, ModelStore, RunDataStore, RunStore

MODEL_HISTORY_TAG = "mlflow.log-model.history"
MODEL_PARTS = ("artifact_path", "flavors", "run_id", "utc_time_created")
"""What the description of a model must have."""
MAX_MODEL_HISTORY_LENGTH = 1_000_000
MAX_EXPERIMENTS = 20
MAX_SUMMARIES = 1_000
_EXPERIMENTS = "experiment_ids"


class RunLineage:
    """Inputs and outputs of runs, each an edge of lineage where the platform knows the other end."""

    def __init__(
        self,
        store: RunStore,
        *,
        data: RunDataStore,
        models: ModelStore,
        datasets: DatasetStore,
        events: EventLog,
        database: Database,
    ) -> None:
        self._store = store
        self._data = data
        self._models = models
        self._datasets = datasets
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
            check_input_tags(item.tags)
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

    def record_model(self, run_id: str, description: Mapping[str, JsonValue], *, actor: str) -> None:
        """Add a model to the tag in which clients before 3.0 keep the models of a run, as a JSON list.

        Raises:
            NotFound: no such run.
            InvalidInput: the run is deleted, the description lacks a part, or the tag would become too long.
        """
        missing = sorted(set(MODEL_PARTS) - set(description))
        if missing:
            raise InvalidInput(f"Model json is missing mandatory fields: {set(missing)}", field="model_json")
        with self._database.transaction():
            info = lock_active_run(self._store, run_id)
            history = [*_read_history(self._data.find_tag(run_id, MODEL_HISTORY_TAG)), _in_short(description)]
            text = check_text(json.dumps(history), field="model_json", limit=MAX_MODEL_HISTORY_LENGTH)
            self._data.put_tags(info, {MODEL_HISTORY_TAG: text})
            self._events.record(
                TrackingEvent.RUN_OUTPUTS_LOGGED,
                actor=actor,
                subject=run_ref(run_id),
                payload={"artifact_path": description["artifact_path"]},
            )

    def datasets_of(self, experiment_ids: Sequence[str]) -> list[DatasetSummary]:
        """Return the datasets that the runs of experiments read, a thousand at most.

        Raises:
            InvalidInput: no experiment, too many, or an id that is none.
        """
        if not experiment_ids:
            raise InvalidInput("SearchDatasets request must specify at least one experiment_id.", field=_EXPERIMENTS)
        if len(experiment_ids) > MAX_EXPERIMENTS:
            raise InvalidInput(
                f"SearchDatasets request cannot specify more than {MAX_EXPERIMENTS} experiment_ids. "
                f"Received {len(experiment_ids)} experiment_ids.",
                field=_EXPERIMENTS,
            )
        return self._datasets.summaries([read_experiment_id(text) for text in experiment_ids], limit=MAX_SUMMARIES)

    def _model(self, model_id: str) -> LoggedModel:
        found = self._models.find(model_id) if is_model_id(model_id) else None
        if found is None:
            raise model_not_found(model_id)
        return found


def _read_history(text: str | None) -> list[JsonValue]:
    try:
        value = json.loads(text or "[]")
    except ValueError:
        value = None
    if not isinstance(value, list):
        raise InvalidInput(f"the tag '{MODEL_HISTORY_TAG}' of the run is no JSON list; delete it", field="model_json")
    return value


def _in_short(description: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Leave out what the tag does not hold: the signature, the example, and the configuration of flavours."""
    flavors = description["flavors"]
    named = flavors.items() if isinstance(flavors, dict) else ()
    return {
        **{key: description[key] for key in (*MODEL_PARTS, "model_uuid") if key in description},
        "flavors": {name: _without_config(each) for name, each in named},
    }


def _without_config(flavor: JsonValue) -> JsonValue:
    return {key: value for key, value in flavor.items() if key != "config"} if isinstance(flavor, dict) else flavor
