"""The ports of tracking.

For all of them: threads and processes may call at once; a write joins the transaction that the calling thread is in; what
is returned is immutable and a copy. None of them checks names, limits or lifecycles: the services do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from flyball.tracking.curve import Curve
from flyball.tracking.entities import (
    DatasetInput,
    DatasetSummary,
    Experiment,
    ExperimentId,
    LoggedModel,
    Metric,
    ModelId,
    ModelOutput,
    Run,
    RunId,
    RunInfo,
    View,
)
from flyball.tracking.search import Clause, Ordering, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRuns:
    """A page of ids, and where the next one begins (None on the last)."""

    ids: list[RunId]
    next_place: Place | None


class ExperimentStore(Protocol):
    """Keep experiments and their tags."""

    def insert(self, experiment: Experiment) -> Experiment | None:
        """Keep a new experiment; None when the name is taken, also by a deleted one.

        An empty id is replaced by the next free number, and an `{id}` in the location by the id.
        """
        ...

    def find(self, experiment_id: str) -> Experiment | None:
        """Return an experiment, deleted or not."""
        ...

    def find_name(self, name: str) -> Experiment | None:
        """Return the experiment of a name, deleted or not."""
        ...

    def lock(self, experiment_id: str) -> Experiment | None:
        """Return an experiment, and keep others from changing it until the transaction ends."""
        ...

    def update(self, experiment: Experiment) -> bool:
        """Replace name, lifecycle and time of update; False when another has the name."""
        ...

    def put_tags(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Set tags, over older values."""
        ...

    def delete_tag(self, experiment_id: str, key: str) -> bool:
        """Take a tag away; False when there is none."""
        ...

    def search(
        self, clauses: Sequence[Clause], *, view: View, order: Sequence[Ordering], offset: int, limit: int
    ) -> list[Experiment]:
        """Return the matching experiments, newest first where nothing else is asked for."""
        ...


class RunStore(Protocol):
    """Keep runs."""

    def insert(self, info: RunInfo) -> None:
        """Keep a new run."""
        ...

    def find(self, run_id: str) -> RunInfo | None:
        """Return a run, deleted or not."""
        ...

    def lock(self, run_id: str) -> RunInfo | None:
        """Return a run, and keep others from changing it until the transaction ends."""
        ...

    def lock_all(self, run_ids: Collection[str]) -> dict[str, RunInfo]:
        """Return those runs that are there, by id, locked as by `lock`; two callers with the same runs never block each other."""
        ...

    def update(self, info: RunInfo) -> None:
        """Replace all but the ids and the artifact URI."""
        ...

    def delete_with_experiment(self, experiment_id: str) -> int:
        """Put the active runs of an experiment into the bin; return how many."""
        ...

    def restore_with_experiment(self, experiment_id: str) -> int:
        """Bring back all runs of an experiment, those too that were deleted before it; return how many."""
        ...

    def load(self, run_ids: Sequence[str]) -> list[Run]:
        """Return runs with all that they logged, in the order asked for; unknown ids are left out."""
        ...

    def search(
        self,
        experiment_ids: Sequence[str],
        clauses: Sequence[Clause],
        *,
        view: View,
        order: Sequence[Ordering],
        place: Place,
        limit: int,
    ) -> FoundRuns:
        """Return the ids of a page: missing values last, NaN just before; ties by start time descending, then id.

        `place` is where the page before ended (empty for the first one, or an offset).

        Raises:
            InvalidInput: the place is none of this search.
        """
        ...


class RunDataStore(Protocol):
    """Keep what runs log, except for metrics."""

    def params(self, run_id: str, keys: Sequence[str]) -> dict[str, str]:
        """Return the values of those params that the run has."""
        ...

    def add_params(self, run: RunInfo, params: Mapping[str, str]) -> None:
        """Keep params that the run does not have yet."""
        ...

    def put_tags(self, run: RunInfo, tags: Mapping[str, str]) -> None:
        """Set tags, over older values."""
        ...

    def find_tag(self, run_id: str, key: str) -> str | None:
        """Return the value of a tag."""
        ...

    def delete_tag(self, run_id: str, key: str) -> bool:
        """Take a tag away; False when there is none."""
        ...

    def add_datasets(self, run_id: str, experiment_id: ExperimentId, inputs: Sequence[DatasetInput]) -> None:
        """Keep the inputs that the run does not have yet; name and digest tell two datasets of an experiment apart."""
        ...

    def add_model_inputs(self, run_id: str, model_ids: Sequence[ModelId]) -> None:
        """Keep that the run read models; again is no change."""
        ...

    def add_model_outputs(self, run_id: str, outputs: Sequence[ModelOutput]) -> None:
        """Keep that the run made models; again is no change."""
        ...


class DatasetStore(Protocol):
    """Know the datasets of experiments, which runs leave behind."""

    def summaries(self, experiment_ids: Sequence[str], *, limit: int) -> list[DatasetSummary]:
        """Return the datasets that runs of these experiments read, each once for each context."""
        ...


class MetricStore(Protocol):
    """Keep the points of metrics."""

    def add(self, logged: Iterable[tuple[RunInfo, Sequence[Metric]]]) -> None:
        """Keep points of runs; an exact repeat is no change. Latest, least, greatest and the curve follow at once.

        The caller holds the locks of the runs.
        """
        ...

    def draw(self, run_id: str, key: str, *, points: int) -> Curve | None:
        """Return the curve of a metric in at most so many points, None for a metric that was never logged."""
        ...

    def history(
        self, run_id: str, key: str, *, after: Metric | None = None, offset: int = 0, limit: int | None
    ) -> list[Metric]:
        """Return points in order of time, step and value (NaN as 0): those after a point, without the first `offset` of them."""
        ...


class ModelStore(Protocol):
    """Keep logged models."""

    def insert(self, model: LoggedModel) -> None:
        """Keep a new model with its tags and params."""
        ...

    def find(self, model_id: str) -> LoggedModel | None:
        """Return a model, deleted or not."""
        ...

    def update(self, model: LoggedModel) -> None:
        """Replace status, lifecycle and time of update."""
        ...

    def put_tags(self, model_id: str, tags: Mapping[str, str]) -> None:
        """Set tags, over older values."""
        ...

    def delete_tag(self, model_id: str, key: str) -> bool:
        """Take a tag away; False when there is none."""
        ...

    def add_params(self, model_id: str, params: Mapping[str, str]) -> None:
        """Keep params that the model does not have yet."""
        ...

    def add_metrics(self, metrics: Sequence[Metric]) -> None:
        """Keep points that name a model and a run; an exact repeat is no change."""
        ...

    def search(
        self,
        experiment_ids: Sequence[str],
        clauses: Sequence[Clause],
        *,
        datasets: Sequence[tuple[str, str | None]],
        order: Sequence[Ordering],
        offset: int,
        limit: int,
    ) -> list[LoggedModel]:
        """Return the active models that match; `datasets` (name, digest) narrows the metrics that count."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingStores:
    """The stores of one database, which share its transactions."""

    experiments: ExperimentStore
    runs: RunStore
    data: RunDataStore
    metrics: MetricStore
    models: ModelStore
    datasets: DatasetStore
