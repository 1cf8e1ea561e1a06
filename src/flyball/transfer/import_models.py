"""Take over logged models, each with its params, tags and metrics in one transaction."""

from __future__ import annotations

import dataclasses

from flyball.kernel.canonical import JsonValue
from flyball.kernel.events import Edge
from flyball.tracking.access import is_model_id
from flyball.tracking.entities import ExperimentId, LoggedModel
from flyball.tracking.events import model_ref, run_ref
from flyball.transfer.contents import logged_model_digest
from flyball.transfer.entities import Imported, Kind
from flyball.transfer.events import TransferEvent
from flyball.transfer.report import Outcome, Report
from flyball.transfer.target import Target

CHANGED = "it was changed at the source since it was imported; what is here was left as it is"
TAKEN = "a logged model of this id is here with other content; it was left as it is"


class LoggedModelImport:
    """The logged models of one source."""

    def __init__(self, source: str, target: Target, report: Report) -> None:
        self._source = source
        self._target = target
        self._report = report

    def take(self, model: LoggedModel, *, experiment_id: ExperimentId) -> bool:
        """Take one over; return whether its files may follow."""
        if not is_model_id(model.model_id):
            reason = "its id is not 'm-' and 32 hexadecimal digits"
            self._report.trouble(Kind.LOGGED_MODEL, model.model_id, outcome=Outcome.REFUSED, reason=reason)
            return False
        digest = logged_model_digest(model)
        if self._target.tracking.models.find(model.model_id) is not None:
            return self._compare(model, digest)
        with self._target.database.transaction():
            self._write(model, digest, experiment_id=experiment_id)
        self._report.count(Kind.LOGGED_MODEL, Outcome.ADDED)
        return True

    def _compare(self, model: LoggedModel, digest: str) -> bool:
        known = self._target.imports.find(self._source, Kind.LOGGED_MODEL, model.model_id)
        same = self._target.imports.same(Kind.LOGGED_MODEL, model.model_id, digest)
        if (known.digest == digest) if known else same:
            self._report.count(Kind.LOGGED_MODEL, Outcome.UNCHANGED)
            return True
        reason = CHANGED if known else TAKEN
        self._report.trouble(Kind.LOGGED_MODEL, model.model_id, outcome=Outcome.CONFLICT, reason=reason)
        return False

    def _write(self, model: LoggedModel, digest: str, *, experiment_id: ExperimentId) -> None:
        uri = f"mlflow-artifacts:/{experiment_id}/models/{model.model_id}/artifacts"
        store = self._target.tracking.models
        store.insert(dataclasses.replace(model, experiment_id=experiment_id, artifact_uri=uri))
        store.add_metrics(model.metrics)
        self._target.imports.put(
            Imported(
                source=self._source,
                kind=Kind.LOGGED_MODEL,
                source_key=model.model_id,
                target_key=model.model_id,
                digest=digest,
                complete=True,
            )
        )
        payload: dict[str, JsonValue] = {
            "source": self._source,
            "name": model.name,
            "artifact_uri": model.artifact_uri,
            "status": str(model.status),
            "digest": digest,
        }
        self._target.record(TransferEvent.LOGGED_MODEL_ADDED, model_ref(model.model_id), payload, edges=_edges(model))


def _edges(model: LoggedModel) -> list[Edge]:
    if not model.source_run_id:
        return []
    return [Edge(subject=model_ref(model.model_id), relation="made-by", object=run_ref(model.source_run_id))]
