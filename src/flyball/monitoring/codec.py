"""Monitors, reports and alerts as canonical JSON, and back."""

from __future__ import annotations

import json
from typing import TypeVar

import msgspec

from flyball.kernel.canonical import JsonValue, canonical_json
from flyball.kernel.errors import Corrupted

ValueT = TypeVar("ValueT")


def to_json(value: object) -> JsonValue:
    """Return one of this room's values as plain JSON."""
    plain: JsonValue = msgspec.to_builtins(value, str_keys=True)
    return plain


def encode(value: object) -> str:
    """Return the canonical text of a value.

    Raises:
        InvalidInput: it holds NaN or an infinity.
    """
    return canonical_json(to_json(value)).decode()


def decode(text: str, kind: type[ValueT]) -> ValueT:
    """Read a value back.

    Raises:
        Corrupted: the stored text is no value of this kind.
    """
    try:
        return msgspec.convert(json.loads(text), type=kind, str_keys=True)
    except (ValueError, msgspec.ValidationError) as error:
        raise Corrupted(f"a stored {kind.__name__} cannot be read: {error}") from error
