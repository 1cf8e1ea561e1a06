"""Write what the registry returns in the shapes of the protocol."""

from __future__ import annotations

from collections.abc import Sequence

from flyball.registry import entities
from flyball.server.mlflow.rendering import key_values
from flyball.wire.mlflow import registry as shapes


def version(found: entities.ModelVersion) -> shapes.ModelVersion:
    """Write a version."""
    return shapes.ModelVersion(
        name=found.name,
        version=str(found.version),
        creation_timestamp=found.created_ms,
        last_updated_timestamp=found.updated_ms,
        user_id=found.created_by,
        current_stage=found.stage.value,
        description=found.description,
        source=found.source,
        run_id=found.run_id,
        run_link=found.run_link,
        status=found.status,
        tags=key_values(found.tags),
        aliases=found.aliases,
        model_id=found.model_id or None,
    )


def model(found: entities.RegisteredModel, latest: Sequence[entities.ModelVersion] = ()) -> shapes.RegisteredModel:
    """Write a model with its newest versions."""
    return shapes.RegisteredModel(
        name=found.name,
        creation_timestamp=found.created_ms,
        last_updated_timestamp=found.updated_ms,
        user_id=found.created_by,
        description=found.description or None,
        latest_versions=tuple(version(each) for each in latest),
        tags=key_values(found.tags),
        aliases=tuple(shapes.Alias(alias=alias, version=str(number)) for alias, number in found.aliases.items()),
    )


def versions(found: Sequence[entities.ModelVersion], next_token: str | None = None) -> shapes.ModelVersions:
    """Write a page of versions."""
    return shapes.ModelVersions(model_versions=tuple(version(each) for each in found), next_page_token=next_token)
