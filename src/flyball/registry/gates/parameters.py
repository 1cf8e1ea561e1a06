"""Read the parameters of a rule: the shape of the rule's own class says which there are and what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

import msgspec

from flyball.kernel.canonical import JsonValue
from flyball.kernel.documents import invalid_document

RuleT = TypeVar("RuleT", bound=msgspec.Struct)


def parse_parameters(rule: type[RuleT], parameters: Mapping[str, JsonValue], *, name: str) -> RuleT:
    """Make a rule from what its policy says.

    Raises:
        UnknownKey: a parameter the rule does not have, with near misses.
        InvalidInput: a value of the wrong type or out of range, or one that is missing.
    """
    try:
        return msgspec.convert(dict(parameters), type=rule)
    except msgspec.ValidationError as error:
        raise invalid_document(error, rule, what=f"rule '{name}'") from error


def write_parameters(rule: msgspec.Struct) -> dict[str, JsonValue]:
    """Return every parameter of a rule, the defaults written out."""
    return cast("dict[str, JsonValue]", msgspec.to_builtins(rule))
