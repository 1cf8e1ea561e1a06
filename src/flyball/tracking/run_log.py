"""The verbs of logging: metrics, params and tags of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from flyball.kernel.db import Database
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.kernel.events import EventLog
from flyball.tracking.access import is_model_id, is_run_id, lock_active_run, model_not_found, run_not_found
from flyball.tracking.entities import PIPELINE_RUN_TAG, RUN_NAME_TAG, Metric, Page, RunInfo
from flyball.tracking.events import TrackingEvent, made_by_pipeline, run_ref
from flyball.tracking.limits import (
    MAX_PARAM_LENGTH,
    MAX_RUN_NAME_LENGTH,
    check_batch,
    check_key,
    check_metric,
    check_text,
    clip_tags,
    clip_text,
)
from flyball.tracking.ports import MetricStore, ModelStore, RunDataStore, RunStore
from flyball.tracking.search import check_max_results, page_of, parse_page_token

MAX_HISTORY = 25_000


class ParamChanged(InvalidInput):
    """Params of a run never change; `changes` holds key, kept value and new value."""

    def __init__(self, run_id: str, changes: Sequence[tuple[str, str, str]]) -> None:
        shown = [{"key": key, "old_value": old, "new_value": new} for key, old, new in changes]
        super().__init__(
            f"Changing param values is not allowed. Params were already logged='{shown}' for run ID='{run_id}'.",
            field="params",
        )
        self.run_id = run_id
        self.changes = changes

    def single(self) -> InvalidInput:
        """Say the same where only one param was sent."""
        key, old, new = self.changes[0]
        return InvalidInput(
            f"Changing param values is not allowed. Param with key='{key}' was already logged with value='{old}' for "
            f"run ID='{self.run_id}'. Attempted logging new value '{new}'.",
            field="value",
        )


class RunLog:
    """What is written to a run while it goes: all or nothing, under the run's lock."""

    def __init__(
        self,
        store: RunStore,
        *,
        data: RunDataStore,
        metrics: MetricStore,
        models: ModelStore,
        events: EventLog,
        database: Database,
    ) -> None:
        self._store = store
        self._data = data
        self._metrics = metrics
        self._models = models
        self._events = events
        self._database = database

    def log_batch(
        self,
        run_id: str,
        *,
        actor: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[tuple[str, str]] = (),
        tags: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Log params, metrics and tags, in this order, all or nothing.

        Raises:
            NotFound: no such run, or no such logged model for a metric that names one.
            InvalidInput: the run is deleted, a limit is broken, or a param has another value already.
        """
        check_batch(metrics=metrics, params=params, tags=tags)
        kept_params = {
            check_key(key, field=f"params[{at}].key", noun="Param key"): clip_text(
                value, field=f"params[{at}].value", limit=MAX_PARAM_LENGTH
            )
            for at, (key, value) in enumerate(params)
        }
        points = [check_metric(metric, field=f"metrics[{at}].") for at, metric in enumerate(metrics)]
        kept_tags = clip_tags(tags)
        with self._database.transaction():
            info = lock_active_run(self._store, run_id)
            self._add_params(info, kept_params)
            self._add_metrics(info, points)
            self._put_tags(info, kept_tags, actor=actor)
            self._amend(info, actor=actor, metrics=[point.key for point in points], params=kept_params, tags=kept_tags)

    def log_metric(self, run_id: str, metric: Metric, *, actor: str) -> None:
        """Log one point; like a batch of one, with errors that name no batch.

        Raises:
            NotFound: no such run, or no such logged model.
            InvalidInput: the run is deleted, or the point is not allowed.
        """
        self.log_batch(run_id, metrics=[check_metric(metric, field="")], actor=actor)

    def log_param(self, run_id: str, key: str, value: str, *, actor: str) -> None:
        """Log one param; like a batch of one, with errors that name no batch.

        Raises:
            NotFound: no such run.
            InvalidInput: the run is deleted, the key is not allowed, or the param has another value already.
        """
        check_key(key, field="key", noun="Param key")
        try:
            self.log_batch(run_id, params=[(key, value)], actor=actor)
        except ParamChanged as error:
            raise error.single() from error

    def set_tag(self, run_id: str, key: str, value: str, *, actor: str) -> None:
        """Set a tag of an active run; the tag `mlflow.runName` renames it.

        Raises:
            NotFound: no such run.
            InvalidInput: the run is deleted, or the key is not allowed.
        """
        self.log_batch(run_id, tags=[(check_key(key, field="key"), value)], actor=actor)

    def delete_tag(self, run_id: str, key: str, *, actor: str) -> None:
        """Take a tag away.

        Raises:
            NotFound: no such run, or it has no such tag.
            InvalidInput: the run is deleted.
        """
        check_text(key, field="key", limit=MAX_RUN_NAME_LENGTH)
        with self._database.transaction():
            info = lock_active_run(self._store, run_id)
            if not self._data.delete_tag(run_id, key):
                raise NotFound(f"No tag with name: {key} in run with id {run_id}", field="key")
            self._amend(info, actor=actor, tags={key: ""})

    def history(
        self, run_id: str, key: str, *, max_results: int | None = None, page_token: str | None = None
    ) -> Page[Metric]:
        """Return the points of a metric in order of time, step and value; none for a metric that was never logged.

        Raises:
            NotFound: no such run.
            InvalidInput: a size or token that cannot be read.
        """
        check_text(key, field="metric_key", limit=MAX_RUN_NAME_LENGTH)
        limit = None if max_results is None else min(check_max_results(max_results, limit=2**62), MAX_HISTORY)
        offset = parse_page_token(page_token)
        if not is_run_id(run_id) or self._store.find(run_id) is None:
            raise run_not_found(run_id)
        points = self._metrics.history(run_id, key, offset=offset, limit=None if limit is None else limit + 1)
        return page_of(points, offset=offset, limit=len(points) if limit is None else limit)

    def _add_params(self, info: RunInfo, params: Mapping[str, str]) -> None:
        if not params:
            return
        kept = self._data.params(info.run_id, list(params))
        changes = [(key, kept[key], value) for key, value in params.items() if kept.get(key, value) != value]
        if changes:
            raise ParamChanged(info.run_id, changes)
        self._data.add_params(info.run_id, {key: value for key, value in params.items() if key not in kept})

    def _add_metrics(self, info: RunInfo, points: Sequence[Metric]) -> None:
        if not points:
            return
        self._metrics.add(info.run_id, points)
        of_models = [dataclasses.replace(point, run_id=info.run_id) for point in points if point.model_id]
        for model_id in {point.model_id for point in of_models if point.model_id}:
            if not is_model_id(model_id) or self._models.find(model_id) is None:
                raise model_not_found(model_id)
        self._models.add_metrics(of_models)

    def _put_tags(self, info: RunInfo, given: Mapping[str, str], *, actor: str) -> None:
        # A run has a name; an empty one is passed over, as MLflow does.
        tags = {key: value for key, value in given.items() if value or key != RUN_NAME_TAG}
        if not tags:
            return
        pipeline_run = tags.get(PIPELINE_RUN_TAG)
        if pipeline_run and pipeline_run != self._data.find_tag(info.run_id, PIPELINE_RUN_TAG):
            self._events.record(
                TrackingEvent.RUN_LINKED,
                actor=actor,
                subject=run_ref(info.run_id),
                payload={"pipeline_run": pipeline_run},
                edges=[made_by_pipeline(info.run_id, pipeline_run)],
            )
        self._data.put_tags(info.run_id, tags)
        name = tags.get(RUN_NAME_TAG)
        if name and name != info.name:
            self._store.update(dataclasses.replace(info, name=name))
            payload = {"name": name, "previous_name": info.name}
            self._events.record(TrackingEvent.RUN_RENAMED, actor=actor, subject=run_ref(info.run_id), payload=payload)

    def _amend(
        self,
        info: RunInfo,
        *,
        actor: str,
        metrics: Sequence[str] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Put on record that a run whose digest is on record was written to afterwards."""
        if not info.status.ended:
            return
        payload = {"metrics": sorted(set(metrics)), "params": sorted(params or ()), "tags": sorted(tags or ())}
        self._events.record(TrackingEvent.RUN_AMENDED, actor=actor, subject=run_ref(info.run_id), payload=payload)
