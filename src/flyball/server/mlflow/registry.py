"""Registered models and aliases of the MLflow protocol."""

from __future__ import annotations

from flyball.governance.permissions import Permission
from flyball.kernel.errors import InvalidInput, NotFound, Unsupported
from flyball.registry import ANY
from flyball.registry.naming import LATEST, parse_version
from flyball.server.mlflow import model_versions
from flyball.server.mlflow import registry_rendering as rendering
from flyball.server.mlflow.deletions import deletion
from flyball.server.mlflow.reading import pairs, required
from flyball.server.mlflow.rows import row
from flyball.server.routing import Call
from flyball.wire.mlflow import registry as shapes
from flyball.wire.mlflow.message import Empty


def create(call: Call[shapes.CreateRegisteredModel]) -> shapes.RegisteredModelAnswer:
    """Register a name for models."""
    body = call.body
    _refuse_jobs(body.deployment_job_id)
    made = call.platform.registry.create_model(
        required(body.name, "name"),
        description=body.description or "",
        tags=dict(pairs(body.tags, field="tags")),
        actor=call.actor,
    )
    return shapes.RegisteredModelAnswer(registered_model=rendering.model(made))


def get(call: Call[shapes.ModelByName]) -> shapes.RegisteredModelAnswer:
    """Return a registered model."""
    return _answer(call, required(call.body.name, "name"))


def search(call: Call[shapes.SearchRegistry]) -> shapes.RegisteredModels:
    """Search registered models."""
    body, registry = call.body, call.platform.registry
    page = registry.search_models(
        body.filter or "", order_by=body.order_by or (), limit=body.max_results, page_token=body.page_token or ""
    )
    newest = registry.newest_of([model.name for model in page.items])
    return shapes.RegisteredModels(
        registered_models=tuple(rendering.model(model, newest[model.name]) for model in page.items),
        next_page_token=page.next_token,
    )


def update(call: Call[shapes.UpdateRegisteredModel]) -> shapes.RegisteredModelAnswer:
    """Change the description of a registered model."""
    body = call.body
    _refuse_jobs(body.deployment_job_id)
    name = required(body.name, "name")
    call.platform.registry.update_model(name, description=body.description or "", actor=call.actor)
    return _answer(call, name)


def rename(call: Call[shapes.RenameRegisteredModel]) -> shapes.RegisteredModelAnswer:
    """Give a registered model another name."""
    new_name = required(call.body.new_name, "new_name")
    call.platform.registry.rename_model(required(call.body.name, "name"), new_name, actor=call.actor)
    return _answer(call, new_name)


def delete(call: Call[None]) -> Empty:
    """Delete a registered model and its versions."""
    body = deletion(call, shapes.ModelByName)
    call.platform.registry.delete_model(required(body.name, "name"), actor=call.actor)
    return Empty()


def latest(call: Call[shapes.GetLatestVersions]) -> shapes.ModelVersions:
    """Return the newest version of each stage."""
    found = call.platform.registry.latest_versions(required(call.body.name, "name"), call.body.stages or ())
    return rendering.versions(found)


def set_tag(call: Call[shapes.ModelTag]) -> Empty:
    """Set a tag of a registered model."""
    body = call.body
    name, key = required(body.name, "name"), required(body.key, "key")
    call.platform.registry.set_model_tag(name, key, value=body.value or "", actor=call.actor)
    return Empty()


def delete_tag(call: Call[None]) -> Empty:
    """Delete a tag of a registered model."""
    body = deletion(call, shapes.ModelTag)
    name, key = required(body.name, "name"), required(body.key, "key")
    call.platform.registry.delete_model_tag(name, key, actor=call.actor)
    return Empty()


def set_alias(call: Call[shapes.AliasOfModel]) -> Empty:
    """Point an alias at a version."""
    body = call.body
    name, alias = required(body.name, "name"), required(body.alias, "alias")
    number = parse_version(required(body.version, "version"))
    call.platform.registry.set_alias(name, alias, number, expected=ANY, actor=call.actor)
    return Empty()


def get_by_alias(call: Call[shapes.AliasOfModel]) -> shapes.ModelVersionAnswer:
    """Return the version that an alias points at."""
    name, alias = required(call.body.name, "name"), required(call.body.alias, "alias")
    try:
        found = call.platform.registry.version_by_alias(name, alias)
    except NotFound as error:
        if error.field != "alias" or alias.lower() == LATEST:
            raise
        # MLflow answers 400 here, and 404 only for an unknown model.
        raise InvalidInput(error.message, field="alias") from error
    return shapes.ModelVersionAnswer(model_version=rendering.version(found))


def delete_alias(call: Call[None]) -> Empty:
    """Remove an alias."""
    body = deletion(call, shapes.AliasOfModel)
    name, alias = required(body.name, "name"), required(body.alias, "alias")
    call.platform.registry.remove_alias(name, alias, actor=call.actor)
    return Empty()


def _answer(
    call: Call[shapes.ModelByName] | Call[shapes.UpdateRegisteredModel] | Call[shapes.RenameRegisteredModel], name: str
) -> shapes.RegisteredModelAnswer:
    registry = call.platform.registry
    return shapes.RegisteredModelAnswer(
        registered_model=rendering.model(registry.get_model(name), registry.newest_of([name])[name])
    )


def _refuse_jobs(deployment_job_id: str | None) -> None:
    if deployment_job_id:
        raise Unsupported("deployment jobs are not offered; leave deployment_job_id out", field="deployment_job_id")


_READ, _WRITE = Permission.REGISTRY_READ, Permission.REGISTRY_WRITE
_MODEL = "registered-models/"

ROUTES = (
    row("POST", f"{_MODEL}create", permission=_WRITE, handler=create, request=shapes.CreateRegisteredModel,
        response=shapes.RegisteredModelAnswer),
    row("GET", f"{_MODEL}get", permission=_READ, handler=get, request=shapes.ModelByName,
        response=shapes.RegisteredModelAnswer),
    row("GET", f"{_MODEL}search", permission=_READ, handler=search, request=shapes.SearchRegistry,
        response=shapes.RegisteredModels),
    row("PATCH", f"{_MODEL}update", permission=_WRITE, handler=update, request=shapes.UpdateRegisteredModel,
        response=shapes.RegisteredModelAnswer),
    row("POST", f"{_MODEL}rename", permission=_WRITE, handler=rename, request=shapes.RenameRegisteredModel,
        response=shapes.RegisteredModelAnswer),
    row("DELETE", f"{_MODEL}delete", permission=_WRITE, handler=delete, response=Empty),
    row("GET", f"{_MODEL}get-latest-versions", permission=_READ, handler=latest, request=shapes.GetLatestVersions,
        response=shapes.ModelVersions),
    row("POST", f"{_MODEL}get-latest-versions", permission=_READ, handler=latest, request=shapes.GetLatestVersions,
        response=shapes.ModelVersions),
    row("POST", f"{_MODEL}set-tag", permission=_WRITE, handler=set_tag, request=shapes.ModelTag, response=Empty),
    row("DELETE", f"{_MODEL}delete-tag", permission=_WRITE, handler=delete_tag, response=Empty),
    row("POST", f"{_MODEL}alias", permission=_WRITE, handler=set_alias, request=shapes.AliasOfModel, response=Empty),
    row("GET", f"{_MODEL}alias", permission=_READ, handler=get_by_alias, request=shapes.AliasOfModel,
        response=shapes.ModelVersionAnswer),
    row("DELETE", f"{_MODEL}alias", permission=_WRITE, handler=delete_alias, response=Empty),
    *model_versions.ROUTES,
)  # fmt: skip
