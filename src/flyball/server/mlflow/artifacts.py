"""The artifact proxy of the MLflow protocol: files stream through, lists and deletions by path."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Any

from flyball.artifacts.entities import Entry
from flyball.governance.permissions import Permission
from flyball.kernel.errors import InvalidInput, LimitExceeded, NotFound, Unsupported
from flyball.registry.naming import parse_version
from flyball.registry.sources import locate as locate_source
from flyball.server.mlflow.downloads import download
from flyball.server.mlflow.locations import SCHEME, checked_path, locate, model_root, run_root
from flyball.server.mlflow.reading import required
from flyball.server.mlflow.rows import AJAX_PREFIX, PROXY_PREFIX, row
from flyball.server.routing import Answer, Call
from flyball.wire.mlflow import artifacts as shapes
from flyball.wire.mlflow.message import Empty
from flyball.wire.mlflow.models import ListDirectory

MAX_PAGE_UPLOAD_BYTES = 10 * 1024 * 1024
"""What MLflow takes from its web pages at once."""


def upload(call: Call[None]) -> Empty:
    """Store a file of a run or a logged model as it arrives."""
    path = call.path["path"]
    location = locate(checked_path(path), call.platform.tracking)
    if not location.path or path.endswith("/"):
        raise InvalidInput(f"Artifact path must include a filename: '{path}' is a folder", field="path")
    chunks = call.chunks(call.platform.settings.max_artifact_bytes)
    call.platform.artifacts.put(location.root, location.path, chunks)
    return Empty()


def fetch(call: Call[None]) -> Answer:
    """Return a file of a run or a logged model."""
    path = call.path["path"]
    location = locate(checked_path(path), call.platform.tracking)
    if not location.path or path.endswith("/"):
        raise InvalidInput(f"Artifact path refers to a directory, not a file: '{path}'", field="path")
    return _sent(call, location.root, location.path, shown=path)


def remove(call: Call[None]) -> Empty:
    """Remove a file, or a folder with all that is in it."""
    location = locate(checked_path(call.path["path"]), call.platform.tracking)
    call.platform.artifacts.remove(location.root, location.path)
    return Empty()


def list_folder(call: Call[shapes.ListArtifacts]) -> shapes.Files:
    """List a folder of the proxy; a folder that nobody made is empty.

    So is a file: clients of generation 2 take a path with anything in it for a folder, and download it as one.
    """
    try:
        location = locate(checked_path(call.body.path or ""), call.platform.tracking)
    except NotFound:
        return shapes.Files()
    entries = call.platform.artifacts.list(location.root, location.path)
    return shapes.Files(files=tuple(_file_info(posixpath.basename(entry.path), entry) for entry in entries))


def list_run(call: Call[shapes.ListRunArtifacts]) -> shapes.RunFiles:
    """List a folder of a run."""
    run_id = required(call.body.run_id or call.body.run_uuid, "run_id")
    folder = checked_path(call.body.path or "")
    info = call.platform.tracking.runs.get_info(run_id)
    entries = call.platform.artifacts.list(_proxied(run_root(info.run_id), info.artifact_uri), folder)
    return shapes.RunFiles(root_uri=info.artifact_uri, files=_file_infos(entries))


def list_model(call: Call[ListDirectory]) -> shapes.RunFiles:
    """List a folder of a logged model."""
    folder = checked_path(call.body.artifact_directory_path or "")
    model = call.platform.tracking.models.get(call.path["model_id"])
    entries = call.platform.artifacts.list(_proxied(model_root(model.model_id), model.artifact_uri), folder)
    return shapes.RunFiles(root_uri=model.artifact_uri, files=_file_infos(entries))


def fetch_of_run(call: Call[shapes.ListRunArtifacts]) -> Answer:
    """Return a file of a run, by the run's id."""
    path = checked_path(required(call.body.path, "path"))
    info = call.platform.tracking.runs.get_info(required(call.body.run_id or call.body.run_uuid, "run_id"))
    root = _proxied(run_root(info.run_id), info.artifact_uri)
    return _sent(call, root, path, shown=_within(info.artifact_uri, path))


def fetch_of_model(call: Call[shapes.ModelFile]) -> Answer:
    """Return a file of a logged model, by the model's id."""
    path = checked_path(required(call.body.artifact_file_path, "artifact_file_path"))
    model = call.platform.tracking.models.get(call.path["model_id"])
    root = _proxied(model_root(model.model_id), model.artifact_uri)
    return _sent(call, root, path, shown=_within(model.artifact_uri, path))


def fetch_of_version(call: Call[shapes.VersionFile]) -> Answer:
    """Return a file of a registered model's version."""
    path = checked_path(required(call.body.path, "path"))
    name, number = required(call.body.name, "name"), required(call.body.version, "version")
    location = call.platform.registry.get_version(name, parse_version(number)).location
    place = locate_source(location)
    if place is None:
        raise _elsewhere(location)
    return _sent(call, place.root, posixpath.join(place.folder, path), shown=_within(location, path))


def upload_of_run(call: Call[None]) -> Empty:
    """Store a small file of a run, as MLflow's web pages do."""
    query = call.request.query_params
    run_id, path = query.get("run_uuid"), query.get("path")
    if not run_id or not path:
        field = "path" if run_id else "run_uuid"
        raise InvalidInput(f"Request must specify {field}.", field=field)
    checked_path(path)
    try:
        data = b"".join(call.chunks(MAX_PAGE_UPLOAD_BYTES))
    except LimitExceeded as error:
        raise LimitExceeded("Artifact size is too large. Max size is 10MB.", field="body") from error
    if not data:
        raise InvalidInput("Request must specify data.", field="body")
    info = call.platform.tracking.runs.get_info(run_id)
    call.platform.artifacts.put(_proxied(run_root(info.run_id), info.artifact_uri), path, [data])
    return Empty()


def _sent(call: Call[Any], root: str, path: str, *, shown: str) -> Answer:
    """Send a file; `shown` is what an error calls it."""
    artifacts = call.platform.artifacts
    if artifacts.find(root, path) is not None:
        return download(*artifacts.open(root, path))
    if artifacts.list(root, path):
        raise InvalidInput(f"Artifact path refers to a directory, not a file: '{shown}'", field="path")
    raise NotFound(f"No such artifact: '{shown}'", field="path")


def _within(artifact_uri: str, path: str) -> str:
    return posixpath.join(artifact_uri.removeprefix(SCHEME), path)


def _proxied(root: str, artifact_uri: str) -> str:
    if not artifact_uri.startswith(SCHEME):
        raise _elsewhere(artifact_uri)
    return root


def _elsewhere(uri: str) -> Unsupported:
    return Unsupported(f"the files are kept at {uri}, which this server does not open; read them there with the client")


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
    row("GET", "/model-versions/get-artifact", permission=_READ, handler=fetch_of_version, request=shapes.VersionFile),
    # MLflow's server takes a doubled slash for a single one, and here clients are known to send it.
    row("GET", "//model-versions/get-artifact", permission=_READ, handler=fetch_of_version, request=shapes.VersionFile),
    row(
        "GET",
        AJAX_PREFIX + "logged-models/{model_id}/artifacts/files",
        permission=_READ,
        handler=fetch_of_model,
        request=shapes.ModelFile,
    ),
    row("POST", AJAX_PREFIX + "upload-artifact", permission=_WRITE, handler=upload_of_run, response=Empty),
)
