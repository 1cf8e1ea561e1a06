"""Model versions of the MLflow protocol."""

from __future__ import annotations

import json

from flyball.governance.permissions import Permission
from flyball.kernel.errors import NotFound
from flyball.registry.entities import ModelVersion
from flyball.registry.naming import is_prompt, parse_version
from flyball.registry.sources import logged_model_of
from flyball.server.describing import describe_from_run
from flyball.server.mlflow import registry_rendering as rendering
from flyball.server.mlflow.deletions import deletion
from flyball.server.mlflow.reading import pairs, required
from flyball.server.mlflow.rows import row
from flyball.server.mlflow.version_sources import Origin, origin_of
from flyball.server.routing import Call
from flyball.tracking.entities import LoggedModel
from flyball.tracking.service import Tracking
from flyball.wire.mlflow import registry as shapes
from flyball.wire.mlflow.message import Empty

MODEL_VERSIONS_TAG = "mlflow.modelVersions"


def create(call: Call[shapes.CreateModelVersion]) -> shapes.ModelVersionAnswer:
    """Register files as the next version of a model."""
    body, platform = call.body, call.platform
    name, tags = required(body.name, "name"), dict(pairs(body.tags, field="tags"))
    given = Origin(source=required(body.source, "source"), run_id=body.run_id, model_id=body.model_id)
    origin = origin_of(given, tags, registry=platform.registry, tracking=platform.tracking)
    with platform.database.transaction():
        made = platform.registry.create_version(
            name,
            source=origin.source,
            run_id=origin.run_id or "",
            model_id=origin.model_id or "",
            run_link=body.run_link or "",
            description=body.description or "",
            tags=tags,
            actor=call.actor,
        )
        if origin.model_id and not is_prompt(tags):
            note_version(platform.tracking, origin.model_id, made, actor=call.actor)
    if not is_prompt(tags):
        describe_from_run(platform, made, actor=call.actor)
    return shapes.ModelVersionAnswer(model_version=rendering.version(made))


def get(call: Call[shapes.VersionByNumber]) -> shapes.ModelVersionAnswer:
    """Return a model version."""
    found = call.platform.registry.get_version(*_named(call.body))
    return shapes.ModelVersionAnswer(model_version=rendering.version(found))


def search(call: Call[shapes.SearchRegistry]) -> shapes.ModelVersions:
    """Search model versions."""
    body = call.body
    page = call.platform.registry.search_versions(
        body.filter or "", order_by=body.order_by or (), limit=body.max_results, page_token=body.page_token or ""
    )
    return rendering.versions(page.items, page.next_token)


def update(call: Call[shapes.UpdateModelVersion]) -> shapes.ModelVersionAnswer:
    """Change the description of a model version."""
    name, number = _named(call.body)
    changed = call.platform.registry.update_version(
        name, number, description=call.body.description or "", actor=call.actor
    )
    return shapes.ModelVersionAnswer(model_version=rendering.version(changed))


def delete(call: Call[None]) -> Empty:
    """Delete a model version and the aliases that point at it."""
    name, number = _named(deletion(call, shapes.VersionByNumber))
    call.platform.registry.delete_version(name, number, actor=call.actor)
    return Empty()


def download_uri(call: Call[shapes.VersionByNumber]) -> shapes.DownloadUri:
    """Return where the files of a model version are downloaded from."""
    location = call.platform.registry.get_version(*_named(call.body)).location
    logged = _logged_model(call.platform.tracking, logged_model_of(location))
    return shapes.DownloadUri(artifact_uri=logged.artifact_uri if logged else location)


def transition_stage(call: Call[shapes.TransitionStage]) -> shapes.ModelVersionAnswer:
    """Move a model version to another stage."""
    name, number = _named(call.body)
    moved = call.platform.registry.set_stage(
        name,
        number,
        stage=required(call.body.stage, "stage"),
        archive_existing=bool(call.body.archive_existing_versions),
        actor=call.actor,
    )
    return shapes.ModelVersionAnswer(model_version=rendering.version(moved))


def set_tag(call: Call[shapes.VersionTag]) -> Empty:
    """Set a tag of a model version."""
    name, number = _named(call.body)
    key = required(call.body.key, "key")
    call.platform.registry.set_version_tag(name, number, key=key, value=call.body.value or "", actor=call.actor)
    return Empty()


def delete_tag(call: Call[None]) -> Empty:
    """Delete a tag of a model version."""
    body = deletion(call, shapes.VersionTag)
    name, number = _named(body)
    call.platform.registry.delete_version_tag(name, number, key=required(body.key, "key"), actor=call.actor)
    return Empty()


def note_version(tracking: Tracking, model_id: str, version: ModelVersion, *, actor: str) -> None:
    """Write into the logged model's tag which versions were made of it, as the original's server does."""
    known = tracking.models.get(model_id).tags.get(MODEL_VERSIONS_TAG)
    entry = {"name": version.name, "version": str(version.version)}
    versions = _listed(known) if known else []
    if entry not in versions:
        text = json.dumps([*versions, entry])
        tracking.models.set_tags(model_id, [(MODEL_VERSIONS_TAG, text)], actor=actor)


def _listed(text: str) -> list[object]:
    """Read the tag; whatever a client wrote there that is no list begins anew."""
    try:
        value = json.loads(text)
    except ValueError:
        return []
    return value if isinstance(value, list) else []


def _named(
    body: shapes.VersionByNumber | shapes.UpdateModelVersion | shapes.TransitionStage | shapes.VersionTag,
) -> tuple[str, int]:
    return required(body.name, "name"), parse_version(required(body.version, "version"))


def _logged_model(tracking: Tracking, model_id: str | None) -> LoggedModel | None:
    """Return the logged model that a version comes from; one that is gone is no reason to refuse the question."""
    if not model_id:
        return None
    try:
        return tracking.models.get(model_id, deleted=True)
    except NotFound:
        return None


_READ, _WRITE = Permission.REGISTRY_READ, Permission.REGISTRY_WRITE
_VERSION, _ANSWER = "model-versions/", shapes.ModelVersionAnswer

ROUTES = (
    row("POST", f"{_VERSION}create", permission=_WRITE, handler=create, request=shapes.CreateModelVersion,
        response=_ANSWER),
    row("GET", f"{_VERSION}get", permission=_READ, handler=get, request=shapes.VersionByNumber, response=_ANSWER),
    row("GET", f"{_VERSION}search", permission=_READ, handler=search, request=shapes.SearchRegistry,
        response=shapes.ModelVersions),
    row("PATCH", f"{_VERSION}update", permission=_WRITE, handler=update, request=shapes.UpdateModelVersion,
        response=_ANSWER),
    row("DELETE", f"{_VERSION}delete", permission=_WRITE, handler=delete, response=Empty),
    row("GET", f"{_VERSION}get-download-uri", permission=_READ, handler=download_uri, request=shapes.VersionByNumber,
        response=shapes.DownloadUri),
    row("POST", f"{_VERSION}transition-stage", permission=_WRITE, handler=transition_stage,
        request=shapes.TransitionStage, response=_ANSWER),
    row("POST", f"{_VERSION}set-tag", permission=_WRITE, handler=set_tag, request=shapes.VersionTag, response=Empty),
    row("DELETE", f"{_VERSION}delete-tag", permission=_WRITE, handler=delete_tag, response=Empty),
)  # fmt: skip
