"""The artifact proxy of the MLflow protocol: files stream through, lists and deletions by path."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from flyball.artifacts.entities import Entry
from flyball.artifacts.paths import clean_folder
from flyball.governance.permissions import Permission
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.server.mlflow.downloads import download
from flyball.server.mlflow.locations import Location, locate, model_root, run_root
from flyball.server.mlflow.reading import required
from flyball.server.mlflow.rows import PROXY_PREFIX, row
from flyball.server.routing import Answer, Call
from flyball.wire.mlflow import artifacts as shapes
from flyball.wire.mlflow.message import Empty
from flyball.wire.mlflow.models import ListDirectory


def upload(call: Call[None]) -> Empty:
    """Store a file of a run or a logged model as it arrives."""
    location = _file(call)
    chunks = call.chunks(call.platform.settings.max_artifact_bytes)
    call.platform.artifacts.put(location.root, location.path, chunks)
    return Empty()


def fetch(call: Call[None]) -> Answer:
    """Return a file of a run or a logged model."""
    location = _file(call)
    return download(*call.platform.artifacts.open(location.root, location.path))


def remove(call: Call[None]) -> Empty:
    """Remove a file, or a folder with all that is in it."""
    location = locate(call.path["path"], call.platform.tracking)
    call.platform.artifacts.remove(location.root, location.path)
    return Empty()


def list_folder(call: Call[shapes.ListArtifacts]) -> shapes.Files:
    """List a folder of the proxy; a folder that nobody made is empty."""
    path = clean_folder((call.body.path or "").rstrip("/"))
    try:
        location = locate(path, call.platform.tracking) if path else None
    except NotFound:
        location = None
    if location is None:
        return shapes.Files()
    entries = call.platform.artifacts.list(location.root, location.path)
    return shapes.Files(files=tuple(_file_info(posixpath.basename(entry.path), entry) for entry in entries))


def list_run(call: Call[shapes.ListRunArtifacts]) -> shapes.RunFiles:
    """List a folder of a run."""
    info = call.platform.tracking.runs.get_info(required(call.body.run_id or call.body.run_uuid, "run_id"))
    entries = call.platform.artifacts.list(run_root(info.run_id), (call.body.path or "").rstrip("/"))
    return shapes.RunFiles(root_uri=info.artifact_uri, files=_file_infos(entries))


def list_model(call: Call[ListDirectory]) -> shapes.RunFiles:
    """List a folder of a logged model."""
    model = call.platform.tracking.models.get(call.path["model_id"])
    folder = (call.body.artifact_directory_path or "").rstrip("/")
    entries = call.platform.artifacts.list(model_root(model.model_id), folder)
    return shapes.RunFiles(root_uri=model.artifact_uri, files=_file_infos(entries))


def fetch_of_run(call: Call[shapes.ListRunArtifacts]) -> Answer:
    """Return a file of a run, by the run's id."""
    info = call.platform.tracking.runs.get_info(required(call.body.run_id or call.body.run_uuid, "run_id"))
    return download(*call.platform.artifacts.open(run_root(info.run_id), required(call.body.path, "path")))


def _file(call: Call[None]) -> Location:
    location = locate(call.path["path"], call.platform.tracking)
    if not location.path:
        raise InvalidInput(f"Invalid path: '{call.path['path']}' is a folder; name a file in it", field="path")
    return location


def _file_infos(entries: Iterable[Entry]) -> tuple[shapes.FileInfo, ...]:
    return tuple(_file_info(entry.path, entry) for entry in entries)


def _file_info(path: str, entry: Entry) -> shapes.FileInfo:
    return shapes.FileInfo(path=path, is_dir=entry.is_dir, file_size=entry.size_bytes)


_READ, _WRITE = Permission.ARTIFACTS_READ, Permission.ARTIFACTS_WRITE
_FOLDER = PROXY_PREFIX + "artifacts"
_FILE = _FOLDER + "/{path:path}"

ROUTES = (
    row("GET", _FOLDER, permission=_READ, handler=list_folder, request=shapes.ListArtifacts, response=shapes.Files),
    row("GET", _FILE, permission=_READ, handler=fetch),
    row("PUT", _FILE, permission=_WRITE, handler=upload, response=Empty),
    row("DELETE", _FILE, permission=_WRITE, handler=remove, response=Empty),
    row(
        "GET",
        "artifacts/list",
        permission=_READ,
        handler=list_run,
        request=shapes.ListRunArtifacts,
        response=shapes.RunFiles,
    ),
    row(
        "GET",
        "logged-models/{model_id}/artifacts/directories",
        permission=_READ,
        handler=list_model,
        request=ListDirectory,
        response=shapes.RunFiles,
    ),
    row("GET", "/get-artifact", permission=_READ, handler=fetch_of_run, request=shapes.ListRunArtifacts),
)
