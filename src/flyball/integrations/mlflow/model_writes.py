"""What MLflow's client writes about logged models, as records of the journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from mlflow.entities import LoggedModelStatus

from flyball.client.journal.folder import Made
from flyball.integrations.mlflow import rendering
from flyball.integrations.mlflow.experiments import whereabouts
from flyball.integrations.mlflow.known import KnownModel, KnownRun
from flyball.integrations.mlflow.run_writes import RunWrites
from flyball.integrations.mlflow.session import Session, as_mlflow_error
from flyball.integrations.mlflow.spilling import Spilled, fit
from flyball.kernel.errors import FlyballError, InvalidInput
from flyball.kernel.ids import new_id
from flyball.tracking.limits import MAX_PARAM_LENGTH, check_key, check_model_name
from flyball.tracking.models import MAX_TAG_LENGTH
from flyball.tracking.names import random_name
from flyball.wire.v1 import journals as shapes

_STATUS: dict[str, Literal["READY", "FAILED"]] = {"READY": "READY", "FAILED": "FAILED"}


class ModelWrites(RunWrites):
    """The writing half of a tracking store, for logged models."""

    def __init__(
        self, session: Session, *, look_for: Callable[[str], KnownRun], find_model: Callable[[str], Any]
    ) -> None:
        super().__init__(session, look_for=look_for)
        self._find_model = find_model

    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: Sequence[Any] | None = None,
        params: Sequence[Any] | None = None,
        model_type: str | None = None,
    ) -> Any:  # noqa: ANN401 -- MLflow's type
        """Begin a logged model with an id of our own making."""
        spilled: list[Spilled] = []
        try:
            where = whereabouts(str(experiment_id), self._experiments)
            model_id = f"m-{new_id()}"
            known = KnownModel(
                model_id=model_id,
                experiment_id=str(experiment_id),
                artifact_uri=f"{where.location}/models/{model_id}/artifacts",
                name=check_model_name(name or random_name()),
                model_type=model_type or "",
                source_run_id=source_run_id or "",
                created_ms=time.time_ns() // 1_000_000,
                tags=_texts(tags, MAX_TAG_LENGTH, spilled),
                params=_texts(params, MAX_PARAM_LENGTH, spilled),
            )
            record = shapes.MakeModel(
                model_id,
                where.experiment_id,
                where.name,
                known.name,
                known.model_type,
                known.source_run_id,
                tuple(known.params.items()),
                tuple(known.tags.items()),
            )
            made = Made(journal="", experiment_id=known.experiment_id, artifact_uri=known.artifact_uri, name=known.name)
            self._session.models[model_id] = known
            self._session.write_first(record, model_id, made)
        except FlyballError as error:
            raise as_mlflow_error(error) from error
        self._keep_of_model(model_id, spilled)
        return rendering.model(known)

    def finalize_logged_model(self, model_id: str, status: Any) -> Any:  # noqa: ANN401 -- as above
        """Write down how the upload of a model ended."""
        kept = _STATUS.get(LoggedModelStatus(status).value)
        if kept is None:
            raise as_mlflow_error(InvalidInput("a model is finalized as READY or FAILED", field="status"))
        self._session.write(shapes.FinishModel(model_id, kept))
        known = self._session.models.get(model_id)
        if known is not None:
            known.status = kept
        return rendering.model(known) if known is not None else self._find_model(model_id)

    def set_logged_model_tags(self, model_id: str, tags: Sequence[Any]) -> None:
        """Write down tags of a model."""
        spilled: list[Spilled] = []
        kept = _checked_texts(tags, MAX_TAG_LENGTH, spilled)
        self._session.write(shapes.ModelTexts(model_id, tags=tuple(kept.items())))
        if known := self._session.models.get(model_id):
            known.tags.update(kept)
        self._keep_of_model(model_id, spilled)

    def log_logged_model_params(self, model_id: str, params: Sequence[Any]) -> None:
        """Write down params of a model."""
        spilled: list[Spilled] = []
        kept = _checked_texts(params, MAX_PARAM_LENGTH, spilled)
        self._session.write(shapes.ModelTexts(model_id, params=tuple(kept.items())))
        if known := self._session.models.get(model_id):
            known.params.update(kept)
        self._keep_of_model(model_id, spilled)

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Write down that a tag of a model is taken away."""
        self._session.write(shapes.DropModelTag(model_id, key))
        if known := self._session.models.get(model_id):
            known.tags.pop(key, None)

    def _keep_of_model(self, model_id: str, spilled: Iterable[Spilled]) -> None:
        for one in spilled:
            self._session.keep_file("model", model_id, one.path, one.content)


def _texts(pairs: Sequence[Any] | None, limit: int, spilled: list[Spilled]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs or ():
        value, whole = fit(str(pair.value), limit=limit)
        found[check_key(pair.key, field="key")] = value
        spilled += [whole] if whole is not None else []
    return found


def _checked_texts(pairs: Sequence[Any], limit: int, spilled: list[Spilled]) -> dict[str, str]:
    try:
        return _texts(pairs, limit, spilled)
    except InvalidInput as error:
        raise as_mlflow_error(error) from error
