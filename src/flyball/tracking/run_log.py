"""The verbs of logging: metrics, params and tags of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from msgspec import structs

from flyball.kernel.db import Database
from flyball.kernel.errors import FlyballError, NotFound
from flyball.kernel.events import EventLog
from flyball.tracking.access import (
    is_model_id,
    is_run_id,
    lock_active_run,
    model_not_found,
    run_not_found,
)
from flyball.tracking.curve import Curve, check_points
from flyball.tracking.entities import PIPELINE_RUN_TAG, RUN_NAME_TAG, Lifecycle, Metric, Page, RunInfo
from flyball.tracking.events import TrackingEvent, made_by_pipeline, run_ref
from flyball.tracking.limits import (
    MAX_RUN_NAME_LENGTH,
    check_key,
    check_text,
)
from flyball.tracking.log_entries import LogEntry, ParamChanged
from flyball.tracking.metric_series import history_place, read_history_place
from flyball.tracking.ports import MetricStore, ModelStore, RunDataStore, RunStore
from flyball.tracking.search import check_max_results, parse_place, place_token

MAX_HISTORY = 25_000


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
        self._raise_from([LogEntry.of_batch(run_id, actor=actor, metrics=metrics, params=params, tags=tags)])

    def log_entries(self, entries: Sequence[LogEntry]) -> list[FlyballError | None]:
        """Log what several callers sent, each all or nothing, in one transaction; return each one's error.

        Raises:
            StoreFull, Unavailable: nothing of any of them was kept.
        """
        errors: list[FlyballError | None] = [None] * len(entries)
        with self._database.transaction():
            infos = self._store.lock_all({entry.run_id for entry in entries if is_run_id(entry.run_id)})
            plain: list[tuple[RunInfo, Sequence[Metric]]] = []
            for at, entry in enumerate(entries):
                info = infos.get(entry.run_id)
                if info is not None and entry.is_points_only and _takes_points(info):
                    plain.append((info, entry.metrics))
                else:
                    errors[at] = self._try(entry)
            if plain:
                self._metrics.add(plain)
        return errors

    def _raise_from(self, entries: Sequence[LogEntry]) -> None:
        for error in self.log_entries(entries):
            if error is not None:
                raise error

    def _try(self, entry: LogEntry) -> FlyballError | None:
        try:
            with self._database.savepoint():
                # Read again: an entry before this one may have renamed the run.
                self._apply(lock_active_run(self._store, entry.run_id), entry)
        except ParamChanged as error:
            return error.single() if entry.came_alone else error
        except FlyballError as error:
            return error
        return None

    def _apply(self, info: RunInfo, entry: LogEntry) -> None:
        self._add_params(info, entry.params)
        self._add_metrics(info, entry.metrics)
        self._put_tags(info, entry.tags, actor=entry.actor)
        self._amend(
            info, actor=entry.actor, metrics=[p.key for p in entry.metrics], params=entry.params, tags=entry.tags
        )

    def log_metric(self, run_id: str, metric: Metric, *, actor: str) -> None:
        """Log one point; like a batch of one, with errors that name no batch.

        Raises:
            NotFound: no such run, or no such logged model.
            InvalidInput: the run is deleted, or the point is not allowed.
        """
        self._raise_from([LogEntry.of_point(run_id, metric, actor=actor)])

    def log_param(self, run_id: str, key: str, value: str, *, actor: str) -> None:
        """Log one param; like a batch of one, with errors that name no batch.

        Raises:
            NotFound: no such run.
            InvalidInput: the run is deleted, the key is not allowed, or the param has another value already.
        """
        self._raise_from([LogEntry.of_param(run_id, key, value, actor=actor)])

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
        after, offset = read_history_place(parse_place(page_token), key)
        self._require_run(run_id)
        more = None if limit is None else limit + 1
        points = self._metrics.history(run_id, key, after=after, offset=offset, limit=more)
        if limit is None or len(points) <= limit:
            return Page(items=tuple(points))
        return Page(items=tuple(points[:limit]), next_token=place_token(history_place(points[limit - 1])))

    def draw(self, run_id: str, key: str, *, points: int) -> Curve:
        """Return the curve of a metric in at most so many points; its extremes are among them.

        Raises:
            NotFound: no such run, or it has no such metric.
            InvalidInput: fewer than 4 points, or more than 20,000.
        """
        check_points(points)
        self._require_run(run_id)
        curve = self._metrics.draw(run_id, key, points=points)
        if curve is None:
            raise NotFound(f"run {run_id} has no metric '{key}'", field="key")
        return curve

    def _require_run(self, run_id: str) -> None:
        if not is_run_id(run_id) or self._store.find(run_id) is None:
            raise run_not_found(run_id)

    def _add_params(self, info: RunInfo, params: Mapping[str, str]) -> None:
        if not params:
            return
        kept = self._data.params(info.run_id, list(params))
        changes = [(key, kept[key], value) for key, value in params.items() if kept.get(key, value) != value]
        if changes:
            raise ParamChanged(info.run_id, changes)
        self._data.add_params(info, {key: value for key, value in params.items() if key not in kept})

    def _add_metrics(self, info: RunInfo, points: Sequence[Metric]) -> None:
        if not points:
            return
        self._metrics.add([(info, points)])
        of_models = [structs.replace(point, run_id=info.run_id) for point in points if point.model_id]
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
        self._data.put_tags(info, tags)
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


def _takes_points(info: RunInfo) -> bool:
    """Tell whether points may be written without a word in the event log: what an ended run gets is an amendment."""
    return info.lifecycle is Lifecycle.ACTIVE and not info.status.ended
