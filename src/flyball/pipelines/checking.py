"""Check values against the annotations of steps and pipelines, and tell whether a value can be kept."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_origin

import msgspec

from flyball.kernel.errors import InvalidInput, UnknownKey
from flyball.pipelines.entities import ValueKind

# Understood without being imported, so that a module may keep pyarrow behind `if TYPE_CHECKING`.
_TABLE_NAMES = frozenset({"pa.Table", "pyarrow.Table"})
# RFC 8785 writes numbers as IEEE doubles; beyond this an integer would not come back as it was.
LARGEST_INTEGER = 2**53 - 1
_DEEPEST = 100


class TableHint:
    """Stands for the annotation `pyarrow.Table` where pyarrow is not imported."""


def bind(
    function: Callable[..., object], positional: Sequence[object], named: Mapping[str, object]
) -> dict[str, object]:
    """Match arguments to parameters, with the defaults filled in.

    Raises:
        UnknownKey: an argument that the function does not take.
        InvalidInput: one is missing or given twice.
    """
    signature = inspect.signature(function)
    for name in named:
        if name not in signature.parameters:
            raise UnknownKey.among(name, signature.parameters, where=f"the arguments of '{function.__name__}'")
    try:
        bound = signature.bind(*positional, **named)
    except TypeError as error:
        raise InvalidInput(f"'{function.__name__}': {error}", field=function.__name__) from error
    bound.apply_defaults()
    return dict(bound.arguments)


def annotation_of(function: Callable[..., object], parameter: str) -> object:
    """Return the type that a parameter (or `return`) is annotated with; `object` when it is not.

    Raises:
        InvalidInput: the annotation is text that cannot be evaluated in the function's module.
    """
    hint = function.__annotations__.get(parameter, object)
    if not isinstance(hint, str):
        return type(None) if hint is None else hint
    if hint in _TABLE_NAMES:
        return TableHint
    try:
        return eval(hint, dict(function.__globals__))  # noqa: S307 -- the author's own annotation, as typing.get_type_hints does
    except Exception as error:
        raise InvalidInput(
            f"the annotation '{hint}' of '{parameter}' in '{function.__name__}' cannot be read: {error}; "
            "import the name outside TYPE_CHECKING",
            field=parameter,
        ) from error


def kind_of(annotation: object) -> ValueKind | None:
    """Return the kind of value an annotation asks for, None when it leaves that open."""
    if annotation is TableHint or _is_table_type(annotation):
        return ValueKind.TABLE
    if annotation is bytes:
        return ValueKind.BYTES
    if (get_origin(annotation) or annotation) in {bool, int, float, str, dict, list, tuple, type(None)}:
        return ValueKind.JSON
    return None


def convert(value: object, annotation: object) -> object:
    """Return the value as the annotation asks for it (an int becomes a float where a float is wanted).

    Raises:
        InvalidInput: it is of another type; the message says which was expected.
    """
    if annotation in {object, Any, inspect.Parameter.empty}:
        return value
    kind = kind_of(annotation)
    if kind in {ValueKind.TABLE, ValueKind.BYTES}:
        if kind_of(type(value)) is not kind:
            raise InvalidInput(f"expected {_words(kind)}, got {type(value).__name__}")
        return value
    try:
        return msgspec.convert(value, annotation, dec_hook=_keep, builtin_types=(bytes,))
    except (msgspec.ValidationError, AttributeError, TypeError) as error:
        raise InvalidInput(str(error)) from error


def result_kind(value: object, annotation: object) -> ValueKind:
    """Tell how the result of a step can be kept.

    Raises:
        InvalidInput: it cannot, or it is of another kind than the step is annotated with.
    """
    kind, wanted = storable_kind(value), kind_of(annotation)
    if wanted is not None and wanted is not kind:
        raise InvalidInput(f"expected {_words(wanted)}, as the step is annotated, got {_words(kind)}")
    return kind


def storable_kind(value: object) -> ValueKind:
    """Tell how a value can be kept.

    Raises:
        InvalidInput: it cannot; the message names the place inside the value, and the type.
    """
    if isinstance(value, bytes):
        return ValueKind.BYTES
    if _is_table_type(type(value)):
        return ValueKind.TABLE
    try:
        check_json(value, path="it")
    except InvalidInput as error:
        raise InvalidInput(f"{error.message}; a step returns a JSON value, a pyarrow.Table or bytes") from error
    return ValueKind.JSON


def check_json(value: object, *, path: str, depth: int = 0) -> None:
    """Accept what JSON can say exactly.

    Raises:
        InvalidInput: NaN, an infinity, a huge integer, a key that is no text, another type, or too deep.
    """
    if depth > _DEEPEST:
        raise InvalidInput(f"{path} is nested deeper than {_DEEPEST}")
    if isinstance(value, Mapping):
        for key, member in value.items():
            if not isinstance(key, str):
                raise InvalidInput(f"{path} has the key {key!r}, which is no text")
            check_json(member, path=f"{path}[{key!r}]", depth=depth + 1)
    elif isinstance(value, list | tuple):
        for index, member in enumerate(value):
            check_json(member, path=f"{path}[{index}]", depth=depth + 1)
    else:
        _check_scalar(value, path)


def _check_scalar(value: object, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(f"{path} is {value}, which JSON cannot hold; leave it out or use None")
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise InvalidInput(f"{path} is {value}, beyond 2**53, where JSON numbers lose digits; pass it as text")
    if value is not None and not isinstance(value, bool | int | float | str):
        kind = type(value)
        raise InvalidInput(f"{path} is a {kind.__module__}.{kind.__qualname__}, which is no JSON value")


def _is_table_type(kind: object) -> bool:
    # By name, because importing pyarrow to ask costs more than most steps.
    return isinstance(kind, type) and kind.__name__ == "Table" and kind.__module__.partition(".")[0] == "pyarrow"


def _keep(_kind: type, value: object) -> object:
    return value


def _words(kind: ValueKind) -> str:
    return {ValueKind.TABLE: "a pyarrow.Table", ValueKind.BYTES: "bytes", ValueKind.JSON: "a JSON value"}[kind]
