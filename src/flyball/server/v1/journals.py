"""Journals over HTTP: the records of a training process in, how far they are carried out back; and the files they name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flyball.artifacts.streams import limited
from flyball.governance.permissions import Permission
from flyball.kernel.errors import InvalidInput, NotFound, Unsupported
from flyball.server.mlflow.locations import SCHEME, model_root, run_root
from flyball.server.routing import Call, Route
from flyball.server.v1.journal_records import Translator
from flyball.tracking.shipping import Progress
from flyball.wire.v1 import frames
from flyball.wire.v1 import journals as shapes

_JOURNAL_ID = re.compile(r"[0-9a-f]{32}")


def ship(call: Call[shapes.ShipQuery]) -> shapes.Shipped:
    """Carry out records of a journal, in order, each exactly once."""
    journal_id = _journal_id(call)
    body = b"".join(call.chunks(shapes.MAX_SHIPMENT_BYTES))
    records = [shapes.decode(record) for record in frames.records_in(body)]
    if not records:
        raise InvalidInput("the shipment has no record", field="body")
    translate = Translator(call.platform.tracking, call.platform.artifacts, actor=call.actor)
    progress = call.platform.tracking.shipping.ship(
        journal_id,
        [translate(record) for record in records],
        first=call.body.first,
        actor=call.actor,
        refuse_missing=call.body.missing == "refuse",
        gap=call.body.gap,
    )
    return _shipped(call, progress, records)


def state(call: Call[None]) -> shapes.JournalState:
    """Say how far a journal is carried out."""
    return shapes.JournalState(applied=call.platform.tracking.shipping.applied(_journal_id(call)))


def keep_run_file(call: Call[shapes.FileQuery]) -> shapes.FileKept:
    """Store a file of a run."""
    info = call.platform.tracking.runs.get_info(call.path["run_id"])
    return _keep(call, run_root(info.run_id), info.artifact_uri)


def keep_model_file(call: Call[shapes.FileQuery]) -> shapes.FileKept:
    """Store a file of a logged model."""
    model = call.platform.tracking.models.get(call.path["model_id"])
    return _keep(call, model_root(model.model_id), model.artifact_uri)


def _keep(call: Call[shapes.FileQuery], root: str, artifact_uri: str) -> shapes.FileKept:
    if not artifact_uri.startswith(SCHEME):
        raise Unsupported(f"the files of '{root}' live at {artifact_uri}, not with this server", field="path")
    limit = call.platform.settings.max_artifact_bytes
    chunks = limited(call.chunks(limit), max_bytes=limit)
    blob = call.platform.artifacts.blobs.put(chunks)
    if blob.digest != call.body.sha256:
        raise InvalidInput(
            f"the bytes of '{call.body.path}' have the digest {blob.digest}, not {call.body.sha256}", field="sha256"
        )
    call.platform.artifacts.bind(root, call.body.path, blob=blob)
    return shapes.FileKept(sha256=blob.digest, size_bytes=blob.size_bytes)


def _shipped(call: Call[shapes.ShipQuery], progress: Progress, records: Sequence[shapes.Record]) -> shapes.Shipped:
    refused = [shapes.Refused(sequence=one.sequence, code=one.code, message=one.message) for one in progress.refusals]
    resolved: dict[str, shapes.Resolved] = {}
    for sequence, record in enumerate(records, start=call.body.first):
        if sequence <= progress.applied:
            resolved.update(_resolved(call, record))
    return shapes.Shipped(applied=progress.applied, refused=refused, missing=progress.missing, resolved=resolved)


def _resolved(call: Call[shapes.ShipQuery], record: shapes.Record) -> dict[str, shapes.Resolved]:
    """Say where what a record made really is; nothing for a record that made nothing, or was refused."""
    tracking = call.platform.tracking
    try:
        if isinstance(record, shapes.MakeRun):
            info = tracking.runs.get_info(record.run_id)
            return {record.run_id: shapes.Resolved(experiment_id=info.experiment_id, artifact_uri=info.artifact_uri)}
        if isinstance(record, shapes.MakeModel):
            model = tracking.models.get(record.model_id, deleted=True)
            return {
                record.model_id: shapes.Resolved(experiment_id=model.experiment_id, artifact_uri=model.artifact_uri)
            }
    except NotFound:
        return {}
    return {}


def _journal_id(call: Call[shapes.ShipQuery] | Call[None]) -> str:
    journal_id = call.path["journal_id"]
    if not _JOURNAL_ID.fullmatch(journal_id):
        raise InvalidInput(f"'{journal_id[:80]}' is no id of a journal: 32 hexadecimal digits", field="journal_id")
    return journal_id


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/journals/{journal_id}/records",
        permission=Permission.TRACKING_WRITE,
        handler=ship,
        request=shapes.ShipQuery,
        response=shapes.Shipped,
        streamed=True,
        summary="Carry out records of a training process's journal",
    ),
    Route(
        method="GET",
        path="/api/v1/journals/{journal_id}",
        permission=Permission.TRACKING_READ,
        handler=state,
        response=shapes.JournalState,
        summary="Say how far a journal is carried out",
    ),
    Route(
        method="PUT",
        path="/api/v1/runs/{run_id}/files",
        permission=Permission.ARTIFACTS_WRITE,
        handler=keep_run_file,
        request=shapes.FileQuery,
        response=shapes.FileKept,
        streamed=True,
        summary="Store a file of a run",
    ),
    Route(
        method="PUT",
        path="/api/v1/logged-models/{model_id}/files",
        permission=Permission.ARTIFACTS_WRITE,
        handler=keep_model_file,
        request=shapes.FileQuery,
        response=shapes.FileKept,
        streamed=True,
        summary="Store a file of a logged model",
    ),
)
