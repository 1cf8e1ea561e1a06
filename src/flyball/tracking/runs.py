"""The verbs of runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import AlreadyExists, InvalidInput
from flyball.kernel.events import Edge, EventLog
from flyball.kernel.ids import new_id
from flyball.tracking.access import (
    is_run_id,
    lock_active_experiment,
    lock_active_run,
    lock_run,
    read_experiment_id,
    run_not_found,
)
from flyball.tracking.entities import (
    COMMIT_TAG,
    PIPELINE_RUN_TAG,
    RUN_NAME_TAG,
    USER_TAG,
    Experiment,
    Lifecycle,
    Page,
    Run,
    RunId,
    RunInfo,
    RunStatus,
    View,
)
from flyball.tracking.events import TrackingEvent, logged_digest, made_by_pipeline, run_ref
from flyball.tracking.limits import MAX_RUN_NAME_LENGTH, MAX_USER_TEXT_LENGTH, check_text, first_tags
from flyball.tracking.names import random_name
from flyball.tracking.ports import ExperimentStore, RunDataStore, RunStore
from flyball.tracking.search import RUNS, check_max_results, parse_filter, parse_order, parse_place, place_token

MAX_RESULTS = 50_000
DEFAULT_RESULTS = 1_000


class Runs:
    """Runs: made in an active experiment, ended once or more, put into the bin and brought back."""

    def __init__(
        self,
        store: RunStore,
        *,
        data: RunDataStore,
        experiments: ExperimentStore,
        events: EventLog,
        clock: Clock,
        database: Database,
    ) -> None:
        self._store = store
        self._data = data
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
        user_id: str = "",
        start_ms: int | None = None,
        tags: Sequence[tuple[str, str]] = (),
        run_id: str = "",
    ) -> Run:
        """Start a run; without a name it gets a made-up one, and without an id a new one.

        Raises:
            NotFound: no such experiment.
            AlreadyExists: there is a run with the id.
            InvalidInput: the experiment is deleted, `name` contradicts the tag `mlflow.runName`, or the id has no id's form.
        """
        if run_id and not is_run_id(run_id):
            raise InvalidInput(f"'{run_id}' is no id of a run: 32 hexadecimal digits", field="run_id")
        kept_tags = first_tags(tags)
        kept_tags[RUN_NAME_TAG] = run_name = _agree_on_name(name, kept_tags.get(RUN_NAME_TAG, ""))
        with self._database.transaction():
            experiment = lock_active_experiment(self._experiments, experiment_id)
            if run_id and self._store.find(run_id) is not None:
                raise AlreadyExists(f"there is a run with the id {run_id} already", field="run_id")
            info = self._new_info(
                experiment,
                run_id=RunId(run_id or new_id()),
                name=run_name,
                user_id=check_text(user_id or kept_tags.get(USER_TAG, ""), field="user_id", limit=MAX_USER_TEXT_LENGTH),
                start_ms=start_ms,
            )
            self._store.insert(info)
            self._data.put_tags(info, kept_tags)
            payload = {"experiment_id": experiment_id, "name": run_name, "start_ms": str(info.start_ms)}
            self._record(TrackingEvent.RUN_CREATED, info, actor=actor, payload=payload, edges=_edges(info, kept_tags))
        return Run(info=info, tags=kept_tags)

    def get(self, run_id: str) -> Run:
        """Return a run with all that it logged, deleted or not.

        Raises:
            NotFound: there is none.
        """
        found = self._store.load([run_id]) if is_run_id(run_id) else []
        if not found:
            raise run_not_found(run_id)
        return found[0]

    def get_all(self, run_ids: Sequence[str]) -> dict[str, Run]:
        """Return those runs that are there, by id, with all that they logged."""
        return {run.info.run_id: run for run in self._store.load([item for item in run_ids if is_run_id(item)])}

    def get_info(self, run_id: str) -> RunInfo:
        """Return a run without what it logged.

        Raises:
            NotFound: there is none.
        """
        found = self._store.find(run_id) if is_run_id(run_id) else None
        if found is None:
            raise run_not_found(run_id)
        return found

    def update(
        self,
        run_id: str,
        *,
        actor: str,
        status: RunStatus | None = None,
        end_ms: int | None = None,
        name: str = "",
    ) -> RunInfo:
        """Change status, end or name of an active run. Ending it puts the digest of all that it logged on record.

        Raises:
            NotFound: there is none.
            InvalidInput: it is deleted.
        """
        check_text(name, field="run_name", limit=MAX_RUN_NAME_LENGTH)
        with self._database.transaction():
            before = lock_active_run(self._store, run_id)
            after = dataclasses.replace(
                before,
                status=status or before.status,
                end_ms=_end_ms(before, status=status, end_ms=end_ms),
                name=name or before.name,
            )
            self._store.update(after)
            if after.name != before.name:
                self._data.put_tags(after, {RUN_NAME_TAG: after.name})
                payload = {"name": after.name, "previous_name": before.name}
                self._record(TrackingEvent.RUN_RENAMED, after, actor=actor, payload=payload)
            if status is not None:
                self._record_status(before, after, actor=actor)
            return after

    def delete(self, run_id: str, *, actor: str) -> None:
        """Put a run into the bin; one that is there already stays there.

        Raises:
            NotFound: there is none.
        """
        self._move(run_id, Lifecycle.DELETED, kind=TrackingEvent.RUN_DELETED, actor=actor)

    def restore(self, run_id: str, *, actor: str) -> None:
        """Bring a run back; one that is in use stays so.

        Raises:
            NotFound: there is none.
        """
        self._move(run_id, Lifecycle.ACTIVE, kind=TrackingEvent.RUN_RESTORED, actor=actor)

    def search(
        self,
        experiment_ids: Sequence[str],
        *,
        filter_text: str = "",
        view: View = View.ACTIVE_ONLY,
        order_by: Sequence[str] = (),
        max_results: int = DEFAULT_RESULTS,
        page_token: str | None = None,
    ) -> Page[Run]:
        """Return a page of runs; ties are sorted by start time descending, then by id.

        Raises:
            InvalidInput: a filter, order, size or token that cannot be read.
        """
        limit = check_max_results(max_results, limit=MAX_RESULTS)
        found = self._store.search(
            [read_experiment_id(text) for text in experiment_ids],
            parse_filter(filter_text, RUNS),
            view=view,
            order=parse_order(order_by, RUNS),
            place=parse_place(page_token),
            limit=limit,
        )
        token = None if found.next_place is None else place_token(found.next_place)
        return Page(items=tuple(self._store.load(found.ids)), next_token=token)

    def _new_info(
        self, experiment: Experiment, *, run_id: RunId, name: str, user_id: str, start_ms: int | None
    ) -> RunInfo:
        return RunInfo(
            run_id=run_id,
            experiment_id=experiment.experiment_id,
            name=name,
            user_id=user_id,
            status=RunStatus.RUNNING,
            start_ms=self._clock.now_ms() if start_ms is None else start_ms,
            artifact_uri=f"{experiment.artifact_location.rstrip('/')}/{run_id}/artifacts",
        )

    def _record_status(self, before: RunInfo, after: RunInfo, *, actor: str) -> None:
        if not after.status.ended:
            if before.status is not after.status:
                self._record(TrackingEvent.RUN_RESUMED, after, actor=actor, payload={"status": after.status.value})
            return
        run = self._store.load([after.run_id])[0]
        payload: dict[str, JsonValue] = {
            "status": after.status.value,
            "end_ms": "" if after.end_ms is None else str(after.end_ms),
            "digest": logged_digest(run),
            "param_count": len(run.params),
            "metric_count": len(run.metrics),
            "commit": run.tags.get(COMMIT_TAG, ""),
        }
        self._record(TrackingEvent.RUN_FINISHED, after, actor=actor, payload=payload)

    def _move(self, run_id: str, lifecycle: Lifecycle, *, kind: TrackingEvent, actor: str) -> None:
        with self._database.transaction():
            info = lock_run(self._store, run_id)
            if info.lifecycle is not lifecycle:
                self._store.update(dataclasses.replace(info, lifecycle=lifecycle))
                self._record(kind, info, actor=actor, payload={"name": info.name})

    def _record(
        self,
        kind: TrackingEvent,
        info: RunInfo,
        *,
        actor: str,
        payload: Mapping[str, JsonValue],
        edges: Sequence[Edge] = (),
    ) -> None:
        self._events.record(kind, actor=actor, subject=run_ref(info.run_id), payload=payload, edges=edges)


def _agree_on_name(name: str, tag: str) -> str:
    check_text(name, field="run_name", limit=MAX_RUN_NAME_LENGTH)
    if name and tag and name != tag:
        raise InvalidInput(
            f"Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{name}', mlflow.runName='{tag}').",
            field="run_name",
        )
    return name or tag or random_name()


def _edges(info: RunInfo, tags: Mapping[str, str]) -> list[Edge]:
    pipeline_run = tags.get(PIPELINE_RUN_TAG)
    return [made_by_pipeline(info.run_id, pipeline_run)] if pipeline_run else []


def _end_ms(before: RunInfo, *, status: RunStatus | None, end_ms: int | None) -> int | None:
    """Return the end as it was told: who says that a run ended without saying when leaves it open."""
    if end_ms is not None:
        return end_ms or None
    return None if status is not None and not status.ended else before.end_ms
