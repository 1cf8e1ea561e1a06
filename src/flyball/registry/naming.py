"""What may be called what: names, aliases, tags, stages and version numbers, each checked once at the edge of the room."""

from __future__ import annotations

import re
from collections.abc import Mapping

from flyball.kernel.errors import InvalidInput, LimitExceeded
from flyball.registry.entities import EvidenceKind, Stage

NAME_CHARACTERS = 256
KEY_CHARACTERS = 250
MODEL_TAG_CHARACTERS = 100_000
DESCRIPTION_CHARACTERS = 100_000
SOURCE_CHARACTERS = 4_000
# The largest number that a 32-bit reader of the protocol can hold.
GREATEST_VERSION = 2**31 - 1

PROMPT_TAG = "mlflow.prompt.is_prompt"
"""The tag by which the MLflow client marks a registered model that is a prompt; its versions have no files."""

_ALIAS = re.compile(r"[\w-]{1,255}", re.ASCII)
_VERSION_LIKE = re.compile(r"v\d+", re.IGNORECASE | re.ASCII)
_KEY = re.compile(r"[\w .:/-]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def clean_model_name(name: str, *, field: str = "name") -> str:
    """Accept a name for a registered model.

    Raises:
        InvalidInput: it is empty, or has `/`, `:` or a control character.
        LimitExceeded: it is longer than 256 characters.
    """
    if not name.strip():
        raise InvalidInput("a registered model needs a name", field=field)
    if "/" in name or ":" in name or _UNPRINTABLE.search(name):
        raise InvalidInput(
            f"invalid model name '{name[:80]}': it may not contain '/', ':' or control characters", field=field
        )
    if name in {".", ".."}:
        raise InvalidInput(f"invalid model name '{name}': choose a name with a letter or a digit", field=field)
    return _within(name, NAME_CHARACTERS, field=field)


def clean_alias(alias: str) -> str:
    """Accept an alias.

    Raises:
        InvalidInput: a character outside letters, digits, `_` and `-`, or one of the reserved words.
    """
    if not _ALIAS.fullmatch(alias):
        raise InvalidInput(
            f"invalid alias '{alias[:80]}': use 1 to 255 letters, digits, underscores and hyphens", field="alias"
        )
    if alias.lower() == "latest" or _VERSION_LIKE.fullmatch(alias):
        raise InvalidInput(f"alias '{alias}' is reserved: choose a word like 'champion'", field="alias")
    return alias


def clean_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Accept tags.

    Raises:
        InvalidInput: a key with characters that paths or searches trip over.
        LimitExceeded: a key or a value that is too long.
    """
    return {clean_key(key): clean_value(value, key=key) for key, value in tags.items()}


def clean_key(key: str) -> str:
    r"""Accept the key of a tag.

    Raises:
        InvalidInput: it is empty, climbs like a path, or has a character outside `[\w .:/-]`.
        LimitExceeded: it is longer than 250 characters.
    """
    if not _KEY.fullmatch(key) or key.startswith("/") or ".." in key.split("/"):
        raise InvalidInput(
            f"invalid tag key '{key[:80]}': use letters, digits, underscores, dashes, dots, spaces, colons and slashes",
            field="key",
        )
    return _within(key, KEY_CHARACTERS, field="key")


def clean_value(value: str, *, key: str) -> str:
    """Accept the value of a tag.

    Raises:
        LimitExceeded: it is longer than 100,000 characters.
    """
    return _within(value, MODEL_TAG_CHARACTERS, field=key)


def clean_description(text: str) -> str:
    """Accept a description.

    Raises:
        LimitExceeded: it is longer than 100,000 characters.
    """
    return _within(text, DESCRIPTION_CHARACTERS, field="description")


def clean_source(text: str) -> str:
    """Accept the shape of a source; whether files stand behind it is asked later.

    Raises:
        InvalidInput: it is empty.
        LimitExceeded: it is longer than 4,000 characters.
    """
    if not text:
        raise InvalidInput("a model version needs a source: the URI of the logged model's files", field="source")
    return _within(text, SOURCE_CHARACTERS, field="source")


def clean_reference(text: str, *, field: str) -> str:
    """Accept an id or a link that is only kept, not followed.

    Raises:
        InvalidInput: it has a NUL character.
        LimitExceeded: it is longer than 4,000 characters.
    """
    return _within(text, SOURCE_CHARACTERS, field=field)


def parse_version(text: str) -> int:
    """Read a version number.

    Raises:
        InvalidInput: it is no whole number above zero.
    """
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(GREATEST_VERSION)) else 0
    if not 0 < number <= GREATEST_VERSION:
        raise InvalidInput(f"'{text[:80]}' is no model version: expected a whole number above zero", field="version")
    return number


def parse_stage(text: str) -> Stage:
    """Read a stage, in any case of letters.

    Raises:
        InvalidInput: there is no such stage.
    """
    for stage in Stage:
        if stage.lower() == text.lower():
            return stage
    known = ", ".join(Stage)
    raise InvalidInput(f"invalid model version stage '{text[:80]}': it must be one of {known}", field="stage")


def parse_evidence_kind(text: str) -> EvidenceKind:
    """Read the kind of a version's evidence.

    Raises:
        InvalidInput: there is no such kind.
    """
    try:
        return EvidenceKind(text)
    except ValueError as error:
        known = ", ".join(EvidenceKind)
        raise InvalidInput(f"unknown evidence kind '{text[:80]}'; known: {known}", field="kind") from error


def is_prompt(tags: Mapping[str, str]) -> bool:
    """Say whether the tags mark a prompt."""
    return tags.get(PROMPT_TAG, "").lower() == "true"


def _within(text: str, limit: int, *, field: str) -> str:
    if "\x00" in text:
        raise InvalidInput(f"'{field}' has a NUL character, which no database keeps", field=field)
    if len(text) > limit:
        raise LimitExceeded(f"'{field}' has {len(text)} characters; at most {limit} are kept", field=field)
    return text
