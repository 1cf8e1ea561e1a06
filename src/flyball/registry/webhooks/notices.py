"""What the protocol tells about each occasion: models and prompts are the same things here, and are told of apart."""

from __future__ import annotations

from collections.abc import Mapping

from flyball.kernel.canonical import JsonValue
from flyball.registry.entities import ModelVersion, RegisteredModel
from flyball.registry.naming import PROMPT_TAG, is_prompt
from flyball.registry.webhooks.entities import Notice, Occasion

PROMPT_TEXT_TAG = "mlflow.prompt.text"
PROMPT_TYPE_TAG = "_mlflow_prompt_type"


def model_created(model: RegisteredModel) -> Notice:
    """Tell of a new name."""
    prompt = is_prompt(model.tags)
    tags = _without(model.tags, PROMPT_TAG, PROMPT_TYPE_TAG) if prompt else dict(model.tags)
    occasion = Occasion.PROMPT_CREATED if prompt else Occasion.REGISTERED_MODEL_CREATED
    return Notice(occasion=occasion, data={"name": model.name, "tags": tags, "description": model.description})


def version_created(version: ModelVersion) -> Notice:
    """Tell of a new version; of a prompt's version, its text instead of where it comes from."""
    known: dict[str, JsonValue] = {"name": version.name, "version": str(version.version)}
    end: dict[str, JsonValue] = {"description": version.description or None}
    if is_prompt(version.tags):
        tags = _without(version.tags, PROMPT_TAG, PROMPT_TYPE_TAG, PROMPT_TEXT_TAG)
        data = known | {"template": version.tags.get(PROMPT_TEXT_TAG), "tags": tags} | end
        return Notice(occasion=Occasion.PROMPT_VERSION_CREATED, data=data)
    data = known | {"source": version.source, "run_id": version.run_id or None, "tags": dict(version.tags)} | end
    return Notice(occasion=Occasion.MODEL_VERSION_CREATED, data=data)


def model_tag_set(model: RegisteredModel, key: str, value: str) -> Notice | None:
    """Tell of a tag of a prompt; the protocol does not tell of a model's."""
    if not is_prompt(model.tags):
        return None
    return Notice(occasion=Occasion.PROMPT_TAG_SET, data={"name": model.name, "key": key, "value": value})


def model_tag_deleted(model: RegisteredModel, key: str) -> Notice | None:
    """Tell of a tag that a prompt lost; the protocol does not tell of a model's."""
    if not is_prompt(model.tags):
        return None
    return Notice(occasion=Occasion.PROMPT_TAG_DELETED, data={"name": model.name, "key": key})


def version_tag_set(model: RegisteredModel, version: int, *, key: str, value: str) -> Notice:
    """Tell of a tag of a version."""
    occasion = Occasion.PROMPT_VERSION_TAG_SET if is_prompt(model.tags) else Occasion.MODEL_VERSION_TAG_SET
    return Notice(occasion=occasion, data={"name": model.name, "version": str(version), "key": key, "value": value})


def version_tag_deleted(model: RegisteredModel, version: int, *, key: str) -> Notice:
    """Tell of a tag that a version lost."""
    occasion = Occasion.PROMPT_VERSION_TAG_DELETED if is_prompt(model.tags) else Occasion.MODEL_VERSION_TAG_DELETED
    return Notice(occasion=occasion, data={"name": model.name, "version": str(version), "key": key})


def alias_set(model: RegisteredModel, alias: str, version: int) -> Notice:
    """Tell where an alias points now."""
    occasion = Occasion.PROMPT_ALIAS_CREATED if is_prompt(model.tags) else Occasion.MODEL_VERSION_ALIAS_CREATED
    return Notice(occasion=occasion, data={"name": model.name, "alias": alias, "version": str(version)})


def alias_removed(model: RegisteredModel, alias: str) -> Notice:
    """Tell that an alias is gone."""
    occasion = Occasion.PROMPT_ALIAS_DELETED if is_prompt(model.tags) else Occasion.MODEL_VERSION_ALIAS_DELETED
    return Notice(occasion=occasion, data={"name": model.name, "alias": alias})


def example(occasion: Occasion) -> Notice:
    """Make up a notice, for trying a webhook out."""
    return Notice(occasion=occasion, data=_EXAMPLES[occasion])


def _without(tags: Mapping[str, str], *keys: str) -> dict[str, JsonValue]:
    return {key: value for key, value in tags.items() if key not in keys}


def _named(kind: str, **more: JsonValue) -> dict[str, JsonValue]:
    return {"name": f"example_{kind}", **more}


_TAG: dict[str, JsonValue] = {"key": "example_key", "value": "example_value"}
_TAGS: dict[str, JsonValue] = {"example_key": "example_value"}
_EXAMPLES: Mapping[Occasion, Mapping[str, JsonValue]] = {
    Occasion.REGISTERED_MODEL_CREATED: _named("model", tags=_TAGS, description="An example registered model"),
    Occasion.MODEL_VERSION_CREATED: _named(
        "model",
        version="1",
        source="models:/123",
        run_id="abcd1234abcd5678",
        tags=_TAGS,
        description="An example model version",
    ),
    Occasion.MODEL_VERSION_TAG_SET: _named("model", version="1", **_TAG),
    Occasion.MODEL_VERSION_TAG_DELETED: _named("model", version="1", key="example_key"),
    Occasion.MODEL_VERSION_ALIAS_CREATED: _named("model", alias="example_alias", version="1"),
    Occasion.MODEL_VERSION_ALIAS_DELETED: _named("model", alias="example_alias"),
    Occasion.PROMPT_CREATED: _named("prompt", tags=_TAGS, description="An example prompt"),
    Occasion.PROMPT_VERSION_CREATED: _named(
        "prompt", version="1", template="Hello {{name}}!", tags=_TAGS, description="An example prompt version"
    ),
    Occasion.PROMPT_TAG_SET: _named("prompt", **_TAG),
    Occasion.PROMPT_TAG_DELETED: _named("prompt", key="example_key"),
    Occasion.PROMPT_VERSION_TAG_SET: _named("prompt", version="1", **_TAG),
    Occasion.PROMPT_VERSION_TAG_DELETED: _named("prompt", version="1", key="example_key"),
    Occasion.PROMPT_ALIAS_CREATED: _named("prompt", alias="example_alias", version="1"),
    Occasion.PROMPT_ALIAS_DELETED: _named("prompt", alias="example_alias"),
    Occasion.BUDGET_POLICY_EXCEEDED: {
        "budget_policy_id": "bp-abc123",
        "budget_unit": "USD",
        "budget_amount": 100.0,
        "current_spend": 105.5,
        "duration_unit": "MONTHS",
        "duration_value": 1,
        "target_scope": "ENDPOINT",
        "workspace": "default",
        "target_value": "ep-abc123",
        "window_start": 1704067200000,
    },
}
