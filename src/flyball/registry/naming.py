"""What may be called what: names, aliases, tags, stages and version numbers, each checked once at the edge of the room."""

from __future__ import annotations

import posixpath
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
LATEST = "latest"
"""The alias that is no alias: clients mean the newest version by it."""

PROMPT_TAG = "mlflow.prompt.is_prompt"
"""The tag by which the MLflow client marks a registered model that is a prompt; its versions have no files."""

ALIAS_CHARACTERS = 255
_ALIAS = re.compile(r"[\w-]+")
_VERSION_LIKE = re.compile(r"v\d+", re.IGNORECASE)
_KEY = re.compile(r"[\w .:/-]+")
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def clean_model_name(name: str, *, field: str = "name") -> str:
    """Accept a name for a registered model.

    Raises:
        InvalidInput: it is empty, or has `/`, `:` or a control character.
        LimitExceeded: it is longer than 256 characters.
    """
    if not name.strip():
        raise InvalidInput(f"Missing value for required parameter '{field}'.", field=field)
    if "/" in name or ":" in name:
        raise InvalidInput(f"Invalid model name '{name[:80]}'. Names cannot contain '/' or ':'.", field=field)
    if _UNPRINTABLE.search(name):
        raise InvalidInput(f"Invalid model name '{name[:80]}'. Leave out control characters.", field=field)
    if name in {".", ".."}:
        raise InvalidInput(
            f"Invalid value \"{name}\" for parameter '{field}' supplied: choose a name with a letter or a digit",
            field=field,
        )
    return _within(name, NAME_CHARACTERS, field=field)


def clean_alias(alias: str) -> str:
    """Accept an alias that shall point at a version.

    Raises:
        InvalidInput: a character outside letters, digits, `_` and `-`, or one of the reserved words.
        LimitExceeded: it is longer than 255 characters.
    """
    if alias.lower() == LATEST:
        raise InvalidInput(
            "'latest' alias name (case insensitive) is reserved; choose a word like 'champion'", field="alias"
        )
    if _VERSION_LIKE.fullmatch(alias):
        raise InvalidInput(f"Version alias name '{alias}' is reserved; choose a word like 'champion'", field="alias")
    return clean_alias_spelling(alias)


def clean_alias_spelling(alias: str) -> str:
    """Accept the spelling of an alias that is asked for or removed, reserved or not.

    Raises:
        InvalidInput: a character outside letters, digits, `_` and `-`.
        LimitExceeded: it is longer than 255 characters.
    """
    if not _ALIAS.fullmatch(alias):
        raise InvalidInput(
            f"Invalid alias name: '{alias[:80]}'. Use letters, digits, underscores and hyphens", field="alias"
        )
    return _within(alias, ALIAS_CHARACTERS, field="alias", what="Registered model alias name")


def clean_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Accept tags.

    Raises:
        InvalidInput: a key with characters that paths or searches trip over.
        LimitExceeded: a key or a value that is too long.
    """
    return {clean_key(key): clean_value(value, key=key) for key, value in tags.items()}


def clean_key(key: str) -> str:
    """Accept the key of a tag that is set.

    Raises:
        InvalidInput: see `clean_key_spelling`.
        LimitExceeded: it is longer than 250 characters.
    """
    return _within(clean_key_spelling(key), KEY_CHARACTERS, field="key")


def clean_key_spelling(key: str) -> str:
    r"""Accept the spelling of a tag's key, which stores of files take for a path.

    Raises:
        InvalidInput: it is empty, is another path when it is simplified, or has a character outside `[\w .:/-]`.
    """
    if not _KEY.fullmatch(key):
        raise InvalidInput(
            f"Invalid value \"{key[:80]}\" for parameter 'key' supplied: Names may only contain alphanumerics, underscores (_), "
            "dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).",
            field="key",
        )
    if posixpath.normpath(key) != key or key.startswith(("/", "..")) or key == ".":
        raise InvalidInput(
            f"Invalid value \"{key[:80]}\" for parameter 'key' supplied: as a path it would mean another name; leave out '.', "
            "'..' and slashes at the ends",
            field="key",
        )
    return key


def clean_value(value: str, *, key: str) -> str:
    """Accept the value of a tag.

    Raises:
        LimitExceeded: it is longer than 100,000 characters.
    """
    return _within(value, MODEL_TAG_CHARACTERS, field=key, what="'value'")


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
    """Read a version number as leniently as the protocol does; there is just no version below 1.

    Raises:
        InvalidInput: it is no whole number, or one that no version can have.
    """
    number = int(text) if _INTEGER.fullmatch(text.strip()) else None
    if number is None or abs(number) > GREATEST_VERSION:
        raise InvalidInput(f"Parameter 'version' must be an integer, got '{text[:80]}'.", field="version")
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
    raise InvalidInput(f"Invalid Model Version stage: {text[:80]}. Value must be one of {known}.", field="stage")


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


def _within(text: str, limit: int, *, field: str, what: str = "") -> str:
    what = what or f"'{field}'"
    if "\x00" in text:
        raise InvalidInput(f"{what} has a NUL character, which no database keeps", field=field)
    if len(text) > limit:
        raise LimitExceeded(f"{what} exceeds the maximum length of {limit} characters: it has {len(text)}", field=field)
    return text
