"""The verbs of experiments."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from urllib.parse import urlparse, urlsplit

from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import AlreadyExists, InvalidInput, NotFound
from flyball.kernel.events import EventLog
from flyball.tracking.access import experiment_not_found, lock_active_experiment, read_experiment_id
from flyball.tracking.entities import (
    DEFAULT_EXPERIMENT,
    DEFAULT_EXPERIMENT_NAME,
    Experiment,
    ExperimentId,
    Lifecycle,
    Page,
    View,
)
from flyball.tracking.events import TrackingEvent, experiment_ref
from flyball.tracking.limits import (
    MAX_EXPERIMENT_NAME_LENGTH,
    MAX_EXPERIMENT_TAG_LENGTH,
    MAX_LOCATION_LENGTH,
    check_key,
    check_tags,
    check_text,
)
from flyball.tracking.ports import ExperimentStore, RunStore
from flyball.tracking.search import EXPERIMENTS, Field, check_max_results, page_of, parse_filter, parse_order
from flyball.tracking.search import parse_page_token as offset_of

DEFAULT_LOCATION = "mlflow-artifacts:/{id}"
_LOCATION = "artifact_location"
MAX_RESULTS = 50_000
DEFAULT_RESULTS = 1_000


class Experiments:
    """Experiments: a name stays taken while its experiment is deleted, and runs go and come back with it."""

    def __init__(
        self, store: ExperimentStore, *, runs: RunStore, events: EventLog, clock: Clock, database: Database
    ) -> None:
        self._store = store
        self._runs = runs
        self._events = events
        self._clock = clock
        self._database = database

    def ensure_default(self, *, actor: str) -> None:
        """Make the experiment `Default` with the id 0 if it is not there."""
        if self._store.find(DEFAULT_EXPERIMENT) is None:
            draft = self._draft(DEFAULT_EXPERIMENT_NAME, experiment_id=DEFAULT_EXPERIMENT)
            with self._database.transaction():
                if (made := self._store.insert(draft)) is not None:
                    self._record(TrackingEvent.EXPERIMENT_CREATED, made, actor=actor, payload={"name": made.name})

    def create(
        self, name: str, *, actor: str, artifact_location: str = "", tags: Sequence[tuple[str, str]] = ()
    ) -> Experiment:
        """Make an experiment.

        Raises:
            AlreadyExists: the name is taken, perhaps by a deleted experiment.
            InvalidInput: a name, a location or a tag that is not allowed.
        """
        draft = self._draft(
            _check_name(name),
            location=_check_location(artifact_location),
            tags=check_tags(tags, limit=MAX_EXPERIMENT_TAG_LENGTH),
        )
        with self._database.transaction():
            made = self._store.insert(draft)
            if made is None:
                raise _taken(name, field="name")
            self._record(TrackingEvent.EXPERIMENT_CREATED, made, actor=actor, payload={"name": made.name})
            return made

    def get(self, experiment_id: str) -> Experiment:
        """Return an experiment, deleted or not.

        Raises:
            NotFound: there is none.
        """
        found = self._store.find(read_experiment_id(experiment_id))
        if found is None:
            raise experiment_not_found(experiment_id)
        return found

    def ensure(
        self, name: str, *, actor: str, artifact_location: str = "", tags: Sequence[tuple[str, str]] = ()
    ) -> Experiment:
        """Return the experiment of a name, deleted or not; make it where there is none.

        Raises:
            InvalidInput: a name, a location or a tag that is not allowed.
        """
        with self._database.transaction():
            found = self._store.find_name(_check_name(name))
            return found or self.create(name, actor=actor, artifact_location=artifact_location, tags=tags)

    def get_by_name(self, name: str) -> Experiment:
        """Return the experiment of a name, deleted or not.

        Raises:
            NotFound: there is none.
        """
        found = None if "\x00" in name else self._store.find_name(name)
        if found is None:
            raise NotFound(f"Could not find experiment with name '{name}'", field="experiment_name")
        return found

    def search(
        self,
        *,
        filter_text: str = "",
        view: View = View.ACTIVE_ONLY,
        order_by: Sequence[str] = (),
        max_results: int = DEFAULT_RESULTS,
        page_token: str | None = None,
    ) -> Page[Experiment]:
        """Return a page of experiments, newest first where nothing else is asked for.

        Raises:
            InvalidInput: a filter, order, size or token that cannot be read.
        """
        limit = check_max_results(max_results, limit=MAX_RESULTS)
        order = parse_order(order_by, EXPERIMENTS)
        if any(key.field is not Field.ATTRIBUTE for key in order):
            raise InvalidInput("Invalid order_by entity: experiments have no order by tags", field="order_by")
        offset = offset_of(page_token)
        clauses = parse_filter(filter_text, EXPERIMENTS)
        found = self._store.search(clauses, view=view, order=order, offset=offset, limit=limit + 1)
        return page_of(found, offset=offset, limit=limit)

    def rename(self, experiment_id: str, name: str, *, actor: str) -> Experiment:
        """Give an active experiment another name.

        Raises:
            AlreadyExists: the name is taken.
            InvalidInput: the experiment is deleted, or the name is not allowed.
        """
        _check_name(name, field="new_name")
        with self._database.transaction():
            before = lock_active_experiment(self._store, experiment_id)
            after = dataclasses.replace(before, name=name, updated_ms=self._clock.now_ms())
            if not self._store.update(after):
                raise _taken(name, field="new_name")
            payload = {"name": name, "previous_name": before.name}
            self._record(TrackingEvent.EXPERIMENT_RENAMED, after, actor=actor, payload=payload)
            return after

    def delete(self, experiment_id: str, *, actor: str) -> None:
        """Put an experiment and its runs into the bin.

        Raises:
            NotFound: there is none that is active.
        """
        with self._database.transaction():
            experiment = self._lock(experiment_id, lifecycle=Lifecycle.ACTIVE)
            self._move(experiment, Lifecycle.DELETED)
            count = self._runs.delete_with_experiment(experiment.experiment_id)
            self._record(TrackingEvent.EXPERIMENT_DELETED, experiment, actor=actor, payload={"run_count": count})

    def restore(self, experiment_id: str, *, actor: str) -> None:
        """Bring an experiment back with all its runs, as MLflow does: those too that were deleted before it.

        Raises:
            NotFound: there is none that is deleted.
        """
        with self._database.transaction():
            experiment = self._lock(experiment_id, lifecycle=Lifecycle.DELETED)
            self._move(experiment, Lifecycle.ACTIVE)
            count = self._runs.restore_with_experiment(experiment.experiment_id)
            self._record(TrackingEvent.EXPERIMENT_RESTORED, experiment, actor=actor, payload={"run_count": count})

    def set_tag(self, experiment_id: str, key: str, value: str, *, actor: str) -> None:
        """Set a tag of an active experiment.

        Raises:
            InvalidInput: the experiment is deleted, or the tag is not allowed.
        """
        tags = check_tags([(key, value)], limit=MAX_EXPERIMENT_TAG_LENGTH)
        with self._database.transaction():
            experiment = lock_active_experiment(self._store, experiment_id)
            self._store.put_tags(experiment.experiment_id, tags)
            self._record(TrackingEvent.EXPERIMENT_TAGGED, experiment, actor=actor, payload={"tags": tags})

    def delete_tag(self, experiment_id: str, key: str, *, actor: str) -> None:
        """Take a tag away.

        Raises:
            NotFound: the experiment has no such tag.
        """
        check_key(key, field="key")
        with self._database.transaction():
            experiment = lock_active_experiment(self._store, experiment_id)
            if not self._store.delete_tag(experiment.experiment_id, key):
                raise NotFound(f"No tag with name: {key} in experiment with id {experiment_id}", field="key")
            self._record(TrackingEvent.EXPERIMENT_UNTAGGED, experiment, actor=actor, payload={"key": key})

    def _draft(
        self,
        name: str,
        *,
        experiment_id: ExperimentId = ExperimentId(""),  # noqa: B008 -- NewType is the identity
        location: str = DEFAULT_LOCATION,
        tags: Mapping[str, str] | None = None,
    ) -> Experiment:
        now = self._clock.now_ms()
        return Experiment(
            experiment_id=experiment_id,
            name=name,
            artifact_location=location,
            lifecycle=Lifecycle.ACTIVE,
            created_ms=now,
            updated_ms=now,
            tags=tags or {},
        )

    def _lock(self, experiment_id: str, *, lifecycle: Lifecycle) -> Experiment:
        found = self._store.lock(read_experiment_id(experiment_id))
        if found is None:
            raise experiment_not_found(experiment_id)
        if found.lifecycle is not lifecycle:
            raise NotFound(f"No Experiment with id={experiment_id} exists that is {lifecycle}", field="experiment_id")
        return found

    def _move(self, experiment: Experiment, lifecycle: Lifecycle) -> None:
        self._store.update(dataclasses.replace(experiment, lifecycle=lifecycle, updated_ms=self._clock.now_ms()))

    def _record(
        self, kind: TrackingEvent, experiment: Experiment, *, actor: str, payload: Mapping[str, JsonValue]
    ) -> None:
        self._events.record(kind, actor=actor, subject=experiment_ref(experiment.experiment_id), payload=payload)


def _check_name(name: str, *, field: str = "name") -> str:
    if not name.strip():
        raise InvalidInput(f"Invalid experiment name: '{name}'. It must not be empty.", field=field)
    return check_text(name, field="name", limit=MAX_EXPERIMENT_NAME_LENGTH)


def _check_location(location: str) -> str:
    if not location:
        return DEFAULT_LOCATION
    check_text(location, field=_LOCATION, limit=MAX_LOCATION_LENGTH)
    try:
        parts = urlsplit(location)
    except ValueError as error:
        raise InvalidInput(f"'{location}' is no location: {error}", field=_LOCATION) from error
    if parts.fragment or urlparse(location).params:
        raise InvalidInput(f"'{_LOCATION}' URL can't include fragments or params.", field=_LOCATION)
    if parts.query or "{" in location:
        raise InvalidInput(f"Invalid query string or brace in '{location}'; leave it out", field=_LOCATION)
    if parts.scheme:
        return location
    # A place without a scheme is on this machine, and must mean the same wherever a later server is started.
    return os.path.abspath(location)  # noqa: PTH100 -- keeps links as they are named


def _taken(name: str, *, field: str) -> AlreadyExists:
    return AlreadyExists(
        f"Experiment(name={name}) already exists. A deleted experiment keeps its name; restore it or take another name.",
        field=field,
    )
