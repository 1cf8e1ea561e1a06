"""Messages about registered models and their versions."""

from __future__ import annotations

from flyball.wire.mlflow.message import Int64, KeyValue, Message


class ModelVersion(Message):
    """A version. `version` is text, and empty texts are said rather than left out, as MLflow's server does."""

    name: str
    version: str
    creation_timestamp: int
    last_updated_timestamp: int
    user_id: str | None = None
    current_stage: str | None = None
    description: str | None = None
    source: str | None = None
    run_id: str | None = None
    run_link: str | None = None
    status: str | None = None
    tags: tuple[KeyValue, ...] = ()
    aliases: tuple[str, ...] = ()
    model_id: str | None = None


class Alias(Message):
    """An alias and the version it points at."""

    alias: str
    version: str


class RegisteredModel(Message):
    """A registered model with the newest version of each stage."""

    name: str
    creation_timestamp: int
    last_updated_timestamp: int
    user_id: str | None = None
    description: str | None = None
    latest_versions: tuple[ModelVersion, ...] = ()
    tags: tuple[KeyValue, ...] = ()
    aliases: tuple[Alias, ...] = ()


class RegisteredModelAnswer(Message):
    """Answer: one model."""

    registered_model: RegisteredModel


class RegisteredModels(Message):
    """Answer: a page of models."""

    registered_models: tuple[RegisteredModel, ...] = ()
    next_page_token: str | None = None


class ModelVersionAnswer(Message):
    """Answer: one version."""

    model_version: ModelVersion


class ModelVersions(Message):
    """Answer: a page of versions."""

    model_versions: tuple[ModelVersion, ...] = ()
    next_page_token: str | None = None


class DownloadUri(Message):
    """Answer: where a version's files are downloaded from."""

    artifact_uri: str


class CreateRegisteredModel(Message):
    """Request: register a name."""

    name: str | None = None
    tags: tuple[KeyValue, ...] | None = None
    description: str | None = None
    deployment_job_id: str | None = None


class ModelByName(Message):
    """Request: a verb about a whole model."""

    name: str | None = None


class RenameRegisteredModel(Message):
    """Request: give a model another name."""

    name: str | None = None
    new_name: str | None = None


class UpdateRegisteredModel(Message):
    """Request: change a model's description."""

    name: str | None = None
    description: str | None = None
    deployment_job_id: str | None = None


class SearchRegistry(Message):
    """Request: search models or versions."""

    filter: str | None = None
    max_results: Int64 | None = None
    order_by: tuple[str, ...] | None = None
    page_token: str | None = None


class GetLatestVersions(Message):
    """Request: the newest version of each stage, or of those named."""

    name: str | None = None
    stages: tuple[str, ...] | None = None


class ModelTag(Message):
    """Request: set or delete a tag of a model."""

    name: str | None = None
    key: str | None = None
    value: str | None = None


class AliasOfModel(Message):
    """Request: set, read or delete an alias."""

    name: str | None = None
    alias: str | None = None
    version: str | None = None


class CreateModelVersion(Message):
    """Request: register the files at a source as the next version."""

    name: str | None = None
    source: str | None = None
    run_id: str | None = None
    tags: tuple[KeyValue, ...] | None = None
    run_link: str | None = None
    description: str | None = None
    model_id: str | None = None


class VersionByNumber(Message):
    """Request: a verb about one version."""

    name: str | None = None
    version: str | None = None


class UpdateModelVersion(Message):
    """Request: change a version's description."""

    name: str | None = None
    version: str | None = None
    description: str | None = None


class TransitionStage(Message):
    """Request: move a version to another stage."""

    name: str | None = None
    version: str | None = None
    stage: str | None = None
    archive_existing_versions: bool | None = None


class VersionTag(Message):
    """Request: set or delete a tag of a version."""

    name: str | None = None
    version: str | None = None
    key: str | None = None
    value: str | None = None
