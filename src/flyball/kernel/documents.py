"""Documents that people write (YAML): read strictly, so that a slip of the pen is an error and not a default."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import TypeVar, get_args

import msgspec
import yaml

from flyball.kernel.errors import InvalidInput, LimitExceeded, UnknownKey

MAX_DOCUMENT_BYTES = 1_000_000
_UNKNOWN_FIELD = re.compile(r"unknown field `(?P<field>[^`]+)`")
_MISSING_FIELD = re.compile(r"missing required field `(?P<field>[^`]+)`")
_FIELD_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`")

ShapeT = TypeVar("ShapeT", bound=msgspec.Struct)


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice; the YAML default keeps the last one and says nothing."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Hashable, object]:
    seen: set[Hashable] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise InvalidInput(
                f"'{key}' on line {key_node.start_mark.line + 1} is no name; put it in quotes", field=str(key)
            )
        if key in seen:
            line = key_node.start_mark.line + 1
            raise InvalidInput(f"'{key}' is given twice, the second time on line {line}", field=str(key))
        seen.add(key)
    return dict(loader.construct_mapping(node, deep=True))


# YAML 1.1 takes `on`, `off`, `yes` and `no` for truth values, `1:30` for ninety and a date for a date; people who write a key
# called `on` mean the word. Only what JSON calls a truth value or a number is one here, the rest is text.
_StrictLoader.yaml_implicit_resolvers = {}
_PLAIN = (
    ("tag:yaml.org,2002:bool", r"true|false", "tf"),
    ("tag:yaml.org,2002:null", r"null|~|", ["n", "~", ""]),
    ("tag:yaml.org,2002:int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("tag:yaml.org,2002:float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", "-0123456789"),
)
for _tag, _pattern, _first in _PLAIN:
    _StrictLoader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), list(_first))
_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(text: str, *, what: str) -> object:
    """Parse YAML of plain values.

    Raises:
        LimitExceeded: the text is longer than a document of this kind can be.
        InvalidInput: it is no YAML, or a key is given twice.
    """
    if len(text) > MAX_DOCUMENT_BYTES:
        raise LimitExceeded(f"{what} is larger than {MAX_DOCUMENT_BYTES} bytes")
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 -- derived from SafeLoader, makes plain values only
    except yaml.YAMLError as error:
        raise InvalidInput(f"{what} is no YAML: {error}", field=what) from error


def read_document(text: str, shape: type[ShapeT], *, what: str) -> ShapeT:
    """Parse YAML into a shape (a msgspec Struct that forbids unknown fields).

    Raises:
        UnknownKey: a key the shape does not have, with near misses.
        InvalidInput: a wrong type or a missing key; `field` is its path.
    """
    try:
        return msgspec.convert(read_yaml(text, what=what), type=shape)
    except msgspec.ValidationError as error:
        raise invalid_document(error, shape, what=what) from error


def invalid_document(error: msgspec.ValidationError, shape: type[msgspec.Struct], *, what: str) -> InvalidInput:
    """Name the field that a validation error is about, and for an unknown one its near misses."""
    text = str(error)
    at = _FIELD_PATH.search(text)
    path = at["path"] if at else ""
    unknown = _UNKNOWN_FIELD.search(text)
    if unknown:
        known = _fields_at(shape, path)
        return UnknownKey.among(unknown["field"], known, where=f"{what}{f' under {path}' if path else ''}")
    missing = _MISSING_FIELD.search(text)
    if missing:
        path = f"{path}.{missing['field']}" if path else missing["field"]
    return InvalidInput(f"{what}: {text}", field=path or None)


def require(holds: bool, field: str, message: str, *, what: str) -> None:  # noqa: FBT001 -- a guard reads best this way
    """Refuse a document in which a value is out of its range; `what` names the document.

    Raises:
        InvalidInput: it does not hold.
    """
    if not holds:
        raise InvalidInput(f"{what}: '{field}' {message}", field=field)


def _fields_at(shape: type[msgspec.Struct], path: str) -> list[str]:
    """Return the keys known at a path, following nested shapes; those of the whole shape where it cannot be followed."""
    current = shape
    for part in filter(None, re.sub(r"\[[^\]]*\]", "", path).split(".")):
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(current)}
        inner = _struct_in(fields.get(part))
        if inner is None:
            break
        current = inner
    return [field.encode_name for field in msgspec.structs.fields(current)]


def _struct_in(kind: object) -> type[msgspec.Struct] | None:
    """Return the shape that a field's type is, or has as its item or choice: `Rule`, `list[Rule]`, `Rule | None`."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next((found for part in get_args(kind) if (found := _struct_in(part)) is not None), None)
