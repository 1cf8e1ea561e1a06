"""Uploads in parts of the MLflow protocol, and the presigned addresses that it has for stores other than ours.

The original sends clients to an object store with presigned addresses. Here the parts come to the server itself: each
address is one of ours, and the header to send along is the one the client came with.
"""

from __future__ import annotations

import posixpath
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from flyball.artifacts.uploads import Part, Uploads
from flyball.governance.permissions import Permission
from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.server.mlflow.locations import Location, checked_path, locate
from flyball.server.mlflow.reading import required
from flyball.server.mlflow.rows import PROXY_PREFIX, row
from flyball.server.routing import Answer, Call
from flyball.wire.mlflow import uploads as shapes
from flyball.wire.mlflow.message import Empty

MAX_EXPIRATION_S = 604_800
"""The longest life of an address that object stores sign."""
PROXIED_SCHEMES = frozenset({"http", "https", "mlflow-artifacts"})

_MPU = PROXY_PREFIX + "mpu/"
_PARTS = _MPU + "parts/"


def create(call: Call[shapes.CreateUpload]) -> shapes.UploadCreated:
    """Begin an upload in parts."""
    location = _target(call, call.body.path)
    count = required(call.body.num_parts, "num_parts")
    upload_id = _uploads(call).create(location.root, location.path, part_count=count)
    base = str(call.request.base_url).rstrip("/")
    headers = {"Authorization": call.request.headers.get("authorization", "")}
    return shapes.UploadCreated(
        upload_id=upload_id,
        credentials=tuple(
            shapes.UploadCredential(url=f"{base}{_PARTS}{upload_id}/{number}", part_number=number, headers=headers)
            for number in range(1, count + 1)
        ),
    )


def put_part(call: Call[None]) -> Answer:
    """Keep one part of an upload, as it arrives."""
    number = call.path["number"]
    if not number.isdecimal():
        raise InvalidInput(f"'{number[:100]}' is no number of a part", field="number")
    chunks = call.chunks(call.platform.settings.max_artifact_bytes)
    etag = _uploads(call).put_part(call.path["upload_id"], int(number[:9]), chunks)
    return Response(headers={"etag": f'"{etag}"'})


def complete(call: Call[shapes.CompleteUpload]) -> Empty:
    """Put the file together from its parts."""
    location = _target(call, call.body.path)
    parts = [
        Part(
            number=required(part.part_number, f"parts[{at}].part_number"), etag=required(part.etag, f"parts[{at}].etag")
        )
        for at, part in enumerate(required(call.body.parts, "parts"))
    ]
    _uploads(call).complete(required(call.body.upload_id, "upload_id"), location.root, location.path, parts=parts)
    return Empty()


def abort(call: Call[shapes.AbortUpload]) -> Empty:
    """Forget an upload and its parts."""
    location = _target(call, call.body.path)
    _uploads(call).abort(required(call.body.upload_id, "upload_id"), location.root, location.path)
    return Empty()


def presigned(call: Call[None]) -> Answer:
    """Refuse an address for a direct download.

    Raises:
        Unsupported: always; clients that read server-info do not ask.
    """
    checked_path(call.path["path"])
    raise Unsupported("Multipart download is not supported for the current artifact repository")


def presigned_upload(call: Call[shapes.Presign]) -> Answer:
    """Refuse an address for a direct upload of a run's or a logged model's file.

    Raises:
        InvalidInput: the files go through this server.
        Unsupported: they are somewhere else, where it has no account.
    """
    body = call.body
    path = required(body.path, "path")
    if bool(body.run_id) == bool(body.model_id):
        raise InvalidInput("Exactly one of run_id and model_id must be provided.", field="run_id")
    checked_path(path)
    tracking = call.platform.tracking
    if body.run_id:
        return _refuse("upload", tracking.runs.get_info(body.run_id).artifact_uri, whose="")
    return _refuse("upload", tracking.models.get(body.model_id or "").artifact_uri, whose="")


def presigned_download(call: Call[shapes.Presign]) -> Answer:
    """Refuse an address for a direct download of a run's file.

    Raises:
        InvalidInput: the files go through this server, or the address would live for no time or too long.
        Unsupported: they are somewhere else, where it has no account.
    """
    run_id, path = required(call.body.run_id, "run_id"), required(call.body.path, "path")
    checked_path(path)
    expiration = call.body.expiration
    if expiration is not None and not 1 <= expiration <= MAX_EXPIRATION_S:
        raise InvalidInput(
            f"expiration must be between 1 and {MAX_EXPIRATION_S} seconds (got {expiration}).", field="expiration"
        )
    return _refuse("download", call.platform.tracking.runs.get_info(run_id).artifact_uri, whose="runs with ")


def _refuse(what: str, artifact_uri: str, *, whose: str) -> Answer:
    scheme = urlsplit(artifact_uri).scheme
    if scheme in PROXIED_SCHEMES:
        needs = "a run with " if whose else ""
        raise InvalidInput(
            f"Presigned {what} is not supported for {whose}proxied artifact storage (artifact URI scheme: {scheme}). "
            f"This endpoint requires {needs}a direct cloud storage artifact URI.",
            field="path",
        )
    raise Unsupported(f"Presigned {what} is not supported for the current artifact repository")


def _uploads(call: Call[Any]) -> Uploads:
    return Uploads(call.platform.artifacts)


def _target(call: Call[Any], path: str | None) -> Location:
    name = posixpath.basename(required(path, "path").replace("\\", "/"))
    return locate(posixpath.join(checked_path(call.path["path"]), name), call.platform.tracking)


_READ, _WRITE = Permission.ARTIFACTS_READ, Permission.ARTIFACTS_WRITE
_BEGIN, _BEGUN = shapes.CreateUpload, shapes.UploadCreated

ROUTES = (
    row("POST", _MPU + "create/{path:path}", permission=_WRITE, handler=create, request=_BEGIN, response=_BEGUN),
    row("PUT", _PARTS + "{upload_id}/{number}", permission=_WRITE, handler=put_part),
    row(
        "POST",
        _MPU + "complete/{path:path}",
        permission=_WRITE,
        handler=complete,
        request=shapes.CompleteUpload,
        response=Empty,
    ),
    row(
        "POST",
        _MPU + "abort/{path:path}",
        permission=_WRITE,
        handler=abort,
        request=shapes.AbortUpload,
        response=Empty,
    ),
    row("GET", PROXY_PREFIX + "presigned/{path:path}", permission=_READ, handler=presigned),
    row(
        "POST",
        "artifacts/presigned-upload-url",
        permission=_WRITE,
        handler=presigned_upload,
        request=shapes.Presign,
    ),
    row(
        "POST",
        "artifacts/presigned-download-url",
        permission=_READ,
        handler=presigned_download,
        request=shapes.Presign,
    ),
)
