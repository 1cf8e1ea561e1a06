"""The verbs of logged models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import AlreadyExists, InvalidInput, NotFound
from flyball.kernel.events import Edge, EventLog
from flyball.kernel.ids import new_id
from flyball.tracking.access import (
    is_model_id,
    is_run_id,
    lock_active_experiment,
    model_not_found,
    read_experiment_id,
)
from flyball.tracking.entities import Lifecycle, LoggedModel, ModelId, ModelStatus, Page, RunId
from flyball.tracking.events import TrackingEvent, model_ref, run_ref
from flyball.tracking.limits import MAX_KEY_LENGTH, MAX_USER_TEXT_LENGTH, check_model_name
from flyball.tracking.limits import check_text as check
from flyball.tracking.model_pages import Question
from flyball.tracking.names import random_name
from flyball.tracking.ports import ExperimentStore, ModelStore, RunStore
from flyball.tracking.search import MODELS, Ordering, check_max_results, parse_filter

MAX_RESULTS = 50_000
DEFAULT_RESULTS = 100
MAX_SOURCE_RUN_LENGTH = 32
MAX_TAG_LENGTH = 100_000
"""As long as a registry tag: `mlflow.modelVersions` grows with every registration."""


class LoggedModels:
    """Logged models: made PENDING, uploaded by the client, finalised READY or FAILED."""

    def __init__(
        self,
        store: ModelStore,
        *,
        runs: RunStore,
        experiments: ExperimentStore,
        events: EventLog,
        clock: Clock,
        database: Database,
    ) -> None:
        self._store = store
        self._runs = runs
        self._experiments = experiments
        self._events = events
        self._clock = clock
        self._database = database

    def create(
        self,
        experiment_id: str,
        *,
        actor: str,
        name: str = "",
        model_type: str = "",
        source_run_id: str = "",
        params: Sequence[tuple[str, str]] = (),
        tags: Sequence[tuple[str, str]] = (),
        model_id: str = "",
    ) -> LoggedModel:
        """Make a model whose files follow; without an id it gets a new one.

        Raises:
            NotFound: no such experiment.
            AlreadyExists: there is a model with the id.
            InvalidInput: the experiment is deleted, or an id, name, param or tag is not allowed.
        """
        kept_id = self._free_id(model_id)
        kept_params = _check_values(params, field="params")
        kept_tags = _check_values(tags, field="tags")
        with self._database.transaction():
            experiment = lock_active_experiment(self._experiments, experiment_id)
            now = self._clock.now_ms()
            model = LoggedModel(
                model_id=kept_id,
                experiment_id=experiment.experiment_id,
                name=check_model_name(name or random_name()),
                artifact_uri=f"{experiment.artifact_location.rstrip('/')}/models/{kept_id}/artifacts",
                status=ModelStatus.PENDING,
                created_ms=now,
                updated_ms=now,
                model_type=check(model_type, field="model_type", limit=MAX_USER_TEXT_LENGTH),
                source_run_id=self._source_run(source_run_id),
                tags=kept_tags,
                params=kept_params,
            )
            self._store.insert(model)
            payload = {"experiment_id": model.experiment_id, "name": model.name, "model_type": model.model_type}
            edges = self._edges(model)
            self._record(TrackingEvent.LOGGED_MODEL_CREATED, model, actor=actor, payload=payload, edges=edges)
        return model

    def get(self, model_id: str, *, deleted: bool = False) -> LoggedModel:
        """Return a model; one in the bin only if asked for.

        Raises:
            NotFound: there is none.
        """
        found = self._store.find(model_id) if is_model_id(model_id) else None
        if found is None or (found.lifecycle is Lifecycle.DELETED and not deleted):
            raise model_not_found(model_id)
        return found

    def finalize(self, model_id: str, status: ModelStatus, *, actor: str) -> LoggedModel:
        """Say how the upload ended.

        Raises:
            NotFound: there is no such model.
            InvalidInput: PENDING is no end.
        """
        if status is ModelStatus.PENDING:
            raise InvalidInput("Invalid model status: a model is finalized as READY or FAILED", field="status")
        with self._database.transaction():
            model = dataclasses.replace(self.get(model_id), status=status, updated_ms=self._clock.now_ms())
            self._store.update(model)
            payload = {"status": status.value}
            self._record(TrackingEvent.LOGGED_MODEL_FINALIZED, model, actor=actor, payload=payload)
            return model

    def delete(self, model_id: str, *, actor: str) -> None:
        """Put a model into the bin.

        Raises:
            NotFound: there is no such model.
        """
        with self._database.transaction():
            model = self.get(model_id)
            self._store.update(dataclasses.replace(model, lifecycle=Lifecycle.DELETED, updated_ms=self._clock.now_ms()))
            self._record(TrackingEvent.LOGGED_MODEL_DELETED, model, actor=actor, payload={"name": model.name})

    def set_tags(self, model_id: str, tags: Sequence[tuple[str, str]], *, actor: str) -> LoggedModel:
        """Set tags.

        Raises:
            NotFound: there is no such model.
            InvalidInput: a tag is not allowed.
        """
        kept = _check_values(tags, field="tags")
        with self._database.transaction():
            model = self.get(model_id)
            self._store.put_tags(model_id, kept)
            self._record(TrackingEvent.LOGGED_MODEL_AMENDED, model, actor=actor, payload={"tags": sorted(kept)})
            return self.get(model_id)

    def delete_tag(self, model_id: str, key: str, *, actor: str) -> None:
        """Take a tag away.

        Raises:
            NotFound: there is no such model, or it has no such tag.
        """
        check(key, field="tag_key", limit=MAX_KEY_LENGTH)
        with self._database.transaction():
            model = self.get(model_id)
            if not self._store.delete_tag(model_id, key):
                raise NotFound(f"No tag with key '{key}' found for model with ID '{model_id}'.", field="tag_key")
            self._record(TrackingEvent.LOGGED_MODEL_AMENDED, model, actor=actor, payload={"tags_deleted": [key]})

    def log_params(self, model_id: str, params: Sequence[tuple[str, str]], *, actor: str) -> None:
        """Log params; like those of runs they never change.

        Raises:
            NotFound: there is no such model.
            InvalidInput: a param has another value already, or is not allowed.
        """
        kept = _check_values(params, field="params")
        with self._database.transaction():
            model = self.get(model_id)
            changed = sorted(key for key, value in kept.items() if model.params.get(key, value) != value)
            if changed:
                raise InvalidInput(
                    f"Changing param values is not allowed: {', '.join(changed)} of model '{model_id}'", field="params"
                )
            self._store.add_params(model_id, kept)
            self._record(TrackingEvent.LOGGED_MODEL_AMENDED, model, actor=actor, payload={"params": sorted(kept)})

    def search(
        self,
        experiment_ids: Sequence[str],
        *,
        filter_text: str = "",
        datasets: Sequence[tuple[str, str | None]] = (),
        order_by: Sequence[Ordering] = (),
        max_results: int = DEFAULT_RESULTS,
        page_token: str | None = None,
    ) -> Page[LoggedModel]:
        """Return a page of models; `datasets` (name, digest) narrows the metrics that count.

        Raises:
            InvalidInput: a filter, size or token that cannot be read.
        """
        limit = check_max_results(max_results, limit=MAX_RESULTS)
        experiments = [read_experiment_id(text) for text in experiment_ids]
        question = Question(experiments=experiments, filter_text=filter_text, order=order_by)
        offset = question.offset(page_token)
        found = self._store.search(
            experiments,
            parse_filter(filter_text, MODELS),
            datasets=datasets,
            order=order_by,
            offset=offset,
            limit=limit + 1,
        )
        token = question.token(offset + limit) if len(found) > limit else None
        return Page(items=tuple(found[:limit]), next_token=token)

    def _free_id(self, model_id: str) -> ModelId:
        if not model_id:
            return ModelId(f"m-{new_id()}")
        if not is_model_id(model_id):
            raise InvalidInput(
                f"'{model_id}' is no id of a logged model: m- and 32 hexadecimal digits", field="model_id"
            )
        if self._store.find(model_id) is not None:
            raise AlreadyExists(f"there is a logged model with the id {model_id} already", field="model_id")
        return ModelId(model_id)

    def _source_run(self, run_id: str) -> RunId | None:
        """Take the run as it is named: the run of a model may be on another server, or removed."""
        return RunId(check(run_id, field="source_run_id", limit=MAX_SOURCE_RUN_LENGTH)) if run_id else None

    def _edges(self, model: LoggedModel) -> list[Edge]:
        run_id = model.source_run_id
        if run_id is None or not is_run_id(run_id) or self._runs.find(run_id) is None:
            return []
        return [Edge(subject=model_ref(model.model_id), relation="made-by", object=run_ref(run_id))]

    def _record(
        self,
        kind: TrackingEvent,
        model: LoggedModel,
        *,
        actor: str,
        payload: Mapping[str, JsonValue],
        edges: Sequence[Edge] = (),
    ) -> None:
        self._events.record(kind, actor=actor, subject=model_ref(model.model_id), payload=payload, edges=edges)


def _check_values(items: Sequence[tuple[str, str]], *, field: str) -> dict[str, str]:
    """Accept params or tags: the protocol takes any key here, and cuts no value."""
    kept: dict[str, str] = {}
    for at, (key, value) in enumerate(items):
        if not key:
            raise InvalidInput(f"Missing value for required parameter '{field}[{at}].key'.", field=f"{field}[{at}].key")
        name = check(key, field=f"{field}[{at}].key", limit=MAX_KEY_LENGTH)
        kept[name] = check(value, field=f"{field}[{at}].value", limit=MAX_TAG_LENGTH)
    return kept
