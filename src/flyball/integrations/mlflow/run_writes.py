"""What MLflow's client writes about runs, as records of the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from mlflow.entities import RunStatus
from mlflow.utils.async_logging.run_operations import RunOperations

from flyball.client.journal.folder import Made
from flyball.integrations.mlflow import rendering
from flyball.integrations.mlflow.experiments import whereabouts
from flyball.integrations.mlflow.known import KnownRun
from flyball.integrations.mlflow.session import Session, as_mlflow_error
from flyball.integrations.mlflow.spilling import Spilled, fit, fit_json, fit_key
from flyball.kernel.errors import FlyballError, InvalidInput, StoreFull
from flyball.kernel.ids import new_id
from flyball.tracking.entities import RUN_NAME_TAG
from flyball.tracking.limits import (
    MAX_DATASET_PROFILE_LENGTH,
    MAX_DATASET_SCHEMA_LENGTH,
    MAX_PARAM_LENGTH,
    MAX_PARAMS_PER_BATCH,
    MAX_TAG_LENGTH,
    check_key,
)
from flyball.tracking.names import random_name
from flyball.wire.v1 import journals as shapes

POINTS_PER_RECORD = 1_000
_MOST = 2**63
ItemT = TypeVar("ItemT")


class RunWrites:
    """The writing half of a tracking store, for runs. Every method may be called from any thread."""

    def __init__(self, session: Session, *, look_for: Callable[[str], KnownRun]) -> None:
        self._session = session
        self._look_for = look_for
        self._experiments: dict[str, Any] = {}
        self._keys: dict[str, str] = {}

    def create_run(self, experiment_id: str, user_id: str, start_time: int, tags: Iterable[Any], run_name: str) -> Any:  # noqa: ANN401 -- MLflow's type
        """Begin a run with an id of our own making, whether the server is there or not."""
        try:
            known, spilled = self._begun(str(experiment_id), user_id or "", start_time, tags, run_name or "")
        except (FlyballError, StoreFull) as error:
            raise as_mlflow_error(error) from error
        self._keep_spilled(known.run_id, spilled)
        return rendering.run(known)

    def update_run_info(self, run_id: str, run_status: int | None, end_time: int | None, run_name: str | None) -> Any:  # noqa: ANN401 -- as above
        """Write down how a run goes on or ended."""
        known = self._met(run_id)
        status = RunStatus.to_string(run_status) if run_status is not None else None
        self._session.mark_dropped(run_id)
        self._session.write(shapes.ChangeRun(run_id, status, end_time, run_name or ""), run_id=run_id)
        known.status = status or known.status
        known.end_ms = end_time
        if run_name:
            known.name = known.tags[RUN_NAME_TAG] = run_name
        return rendering.run_info(known)

    def log_metric(self, run_id: str, metric: Any) -> None:  # noqa: ANN401 -- as above
        """Write down a point; this is the hot path of a training."""
        self._log_point(self._session.runs.get(run_id) or self._met(run_id), metric)

    def log_param(self, run_id: str, param: Any) -> None:  # noqa: ANN401 -- as above
        """Write down a param."""
        self.log_batch(run_id, (), (param,), ())

    def set_tag(self, run_id: str, tag: Any) -> None:  # noqa: ANN401 -- as above
        """Write down a tag."""
        self.log_batch(run_id, (), (), (tag,))

    def delete_tag(self, run_id: str, key: str) -> None:
        """Write down that a tag is taken away."""
        self._met(run_id).tags.pop(key, None)
        self._session.write(shapes.DropTag(run_id, self._key(run_id, key)), run_id=run_id)

    def log_batch(self, run_id: str, metrics: Iterable[Any], params: Iterable[Any], tags: Iterable[Any]) -> None:
        """Write down points, params and tags; a batch of any size is cut into records that the server takes whole."""
        known = self._met(run_id)
        spilled: list[Spilled] = []
        try:
            kept_params = self._params(known, params, spilled)
            kept_tags = _texts(tags, MAX_TAG_LENGTH, spilled)
            points = [self._measured(known, metric) for metric in metrics]
        except InvalidInput as error:
            raise as_mlflow_error(error) from error
        for some in _cut(kept_params, MAX_PARAMS_PER_BATCH):
            self._session.write(shapes.Batch(run_id, params=some), run_id=run_id)
        for measured in _cut(points, POINTS_PER_RECORD):
            self._session.write(shapes.Batch(run_id, points=measured), run_id=run_id, vital=False)
        for some in _cut(kept_tags, MAX_PARAMS_PER_BATCH):
            self._session.write(shapes.Batch(run_id, tags=some), run_id=run_id)
        known.params.update(kept_params)
        known.tags.update(kept_tags)
        known.name = known.tags.get(RUN_NAME_TAG, known.name)
        self._keep_spilled(run_id, spilled)

    def log_batch_async(self, run_id: str, metrics: Iterable[Any], params: Iterable[Any], tags: Iterable[Any]) -> Any:  # noqa: ANN401 -- as above
        """Write down at once, which is faster than handing it to a thread."""
        self.log_batch(run_id, metrics, params, tags)
        return RunOperations([])

    def flush_async_logging(self) -> None:
        """Ship for a bounded time; what is left is said and shipped later."""
        self._session.flush()

    def end_async_logging(self) -> None:
        """Ship soon what is written; the journal itself ends with the process."""
        self._session.hurry()

    def shut_down_async_logging(self) -> None:
        """Ship soon what is written. MLflow asks for this at the end of every run, which waits for nothing."""
        self._session.hurry()

    def log_inputs(
        self, run_id: str, datasets: Sequence[Any] | None = None, models: Sequence[Any] | None = None
    ) -> None:
        """Write down what a run read."""
        known = self._met(run_id)
        spilled: list[Spilled] = []
        rows = tuple(_dataset_row(item, spilled) for item in datasets or ())
        model_ids = tuple(model.model_id for model in models or ())
        self._session.write(shapes.Inputs(run_id, rows, model_ids), run_id=run_id)
        known.dataset_inputs += list(datasets or ())
        known.model_inputs += list(models or ())
        self._keep_spilled(run_id, spilled)

    def log_outputs(self, run_id: str, models: Sequence[Any]) -> None:
        """Write down which models a run made."""
        known = self._met(run_id)
        made = tuple((model.model_id, model.step) for model in models)
        self._session.write(shapes.Outputs(run_id, made), run_id=run_id)
        known.model_outputs += list(models)

    def _met(self, run_id: str) -> KnownRun:
        """Return what is known of a run; one that this process did not make is looked for once."""
        known = self._session.runs.get(run_id)
        if known is None:
            known = self._session.runs[run_id] = self._look_for(run_id)
        return known

    def _recalled(self, run_id: str) -> KnownRun | None:
        """Return what another process of this machine makes."""
        made = self._session.recall(run_id)
        if made is None:
            return None
        return KnownRun(
            run_id=run_id,
            made_here=False,
            experiment_id=made.experiment_id,
            artifact_uri=made.artifact_uri,
            name=made.name,
            user_id=made.user_id,
            start_ms=made.start_ms,
        )

    def _begun(
        self, experiment_id: str, user_id: str, start_ms: int, tags: Iterable[Any], run_name: str
    ) -> tuple[KnownRun, list[Spilled]]:
        spilled: list[Spilled] = []
        run_id = new_id()
        kept = dict(_texts(tags, MAX_TAG_LENGTH, spilled))
        name = run_name or kept.get(RUN_NAME_TAG, "") or random_name()
        if kept.setdefault(RUN_NAME_TAG, name) != name:
            raise InvalidInput(
                f"Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
                f"(run_name='{name}', mlflow.runName='{kept[RUN_NAME_TAG]}').",
                field="run_name",
            )
        where = whereabouts(experiment_id, self._experiments)
        known = KnownRun(
            run_id=run_id,
            made_here=True,
            experiment_id=experiment_id,
            artifact_uri=f"{where.location}/{run_id}/artifacts",
            name=name,
            user_id=user_id,
            start_ms=start_ms,
            tags=kept,
        )
        record = shapes.MakeRun(
            run_id, where.experiment_id, where.name, name, user_id, start_ms, tuple(kept.items())
        )  # fmt: skip
        self._session.runs[run_id] = known
        self._session.write_first(record, run_id, _made(known))
        return known, spilled

    def _log_point(self, known: KnownRun, metric: Any) -> None:  # noqa: ANN401 -- MLflow's type
        run_id = known.run_id
        try:
            row = self._measured(known, metric)
            self._session.put(
                shapes.Point(
                    run_id,
                    row.key,
                    row.value,
                    row.timestamp_ms,
                    row.step,
                    row.model_id,
                    row.dataset_name,
                    row.dataset_digest,
                )
            )
        except StoreFull as error:
            self._session.drop(run_id, "Point", error)
        except InvalidInput as error:
            raise as_mlflow_error(error) from error

    def _measured(self, known: KnownRun, metric: Any) -> shapes.Measured:  # noqa: ANN401 -- as above
        key = metric.key
        if key not in self._keys:
            self._key(known.run_id, key)
        value, timestamp_ms, step = float(metric.value), int(metric.timestamp), int(metric.step or 0)
        if not 0 <= timestamp_ms < _MOST or not -_MOST <= step < _MOST:
            raise InvalidInput(
                f"metric '{key}': time {timestamp_ms} and step {step} must be 64-bit numbers, the time not negative"
            )
        kept = self._keys[key]
        known.note_point(kept, step, timestamp_ms, value)
        return shapes.Measured(
            kept,
            value,
            timestamp_ms,
            step,
            metric.model_id or "",
            metric.dataset_name or "",
            metric.dataset_digest or "",
        )

    def _key(self, run_id: str, key: str) -> str:
        """Return a name as a row can hold it.

        Raises:
            InvalidInput: it has characters that no name may have.
        """
        if key not in self._keys:
            kept, spilled = fit_key(key)
            self._keys[key] = check_key(kept, field="key")
            self._keep_spilled(run_id, [spilled] if spilled else [])
        return self._keys[key]

    def _params(self, known: KnownRun, params: Iterable[Any], spilled: list[Spilled]) -> shapes.Pairs:
        kept = _texts(params, MAX_PARAM_LENGTH, spilled)
        fresh: dict[str, str] = {}
        for key, value in kept:
            before = fresh.get(key, known.params.get(key, value))
            if before != value:
                raise InvalidInput(
                    f"Changing param values is not allowed. Param with key='{key}' was already logged with "
                    f"value='{before}' for run ID='{known.run_id}'. Attempted logging new value '{value}'.",
                    field="params",
                )
            fresh[key] = value
        return tuple(fresh.items())

    def _keep_spilled(self, run_id: str, spilled: Iterable[Spilled]) -> None:
        for one in spilled:
            self._session.keep_file("run", run_id, one.path, one.content)


def _texts(pairs: Iterable[Any], limit: int, spilled: list[Spilled]) -> shapes.Pairs:
    found: list[tuple[str, str]] = []
    for pair in pairs or ():
        value, whole = fit(str(pair.value), limit=limit)
        key, whole_key = fit_key(pair.key)
        found.append((check_key(key, field="key"), value))
        spilled += [one for one in (whole, whole_key) if one is not None]
    return tuple(found)


def _made(known: KnownRun) -> Made:
    return Made(
        journal="",
        experiment_id=known.experiment_id,
        artifact_uri=known.artifact_uri,
        name=known.name,
        user_id=known.user_id,
        start_ms=known.start_ms,
    )


def _dataset_row(item: Any, spilled: list[Spilled]) -> shapes.DatasetRow:  # noqa: ANN401 -- MLflow's type
    dataset = item.dataset
    schema, whole_schema = fit_json(dataset.schema or "", limit=MAX_DATASET_SCHEMA_LENGTH)
    profile, whole_profile = fit_json(dataset.profile or "", limit=MAX_DATASET_PROFILE_LENGTH)
    spilled += [one for one in (whole_schema, whole_profile) if one is not None]
    tags = tuple((tag.key, tag.value) for tag in item.tags or ())
    return shapes.DatasetRow(
        dataset.name, dataset.digest, dataset.source_type, dataset.source, schema, profile, tags
    )  # fmt: skip


def _cut(items: Iterable[ItemT], size: int) -> Iterable[tuple[ItemT, ...]]:
    rest = iter(items)
    while some := tuple(islice(rest, size)):
        yield some
