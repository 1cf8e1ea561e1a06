"""Canonical JSON (RFC 8785) and SHA-256 digests: equal content has equal bytes, everywhere and for ever."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NewType, TypeAlias, cast

import msgspec
import rfc8785

from flyball.kernel.errors import InvalidInput

JsonValue: TypeAlias = "str | int | float | bool | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
Digest = NewType("Digest", str)
"""A SHA-256 digest as 64 lower-case hexadecimal digits."""

DIGEST_LENGTH = 64
# RFC 8785 counts with IEEE 754 doubles, which know every integer up to here.
MAX_EXACT_INT = 2**53 - 1
_encode = msgspec.json.Encoder(order="sorted").encode


def _is_plain(value: object) -> bool:
    """Tell whether a value has no numbers but whole ones and no keys but ASCII.

    Of such a value, and such alone, every encoder that sorts keys and leaves out spaces makes the canonical form: how floats are
    written and how other keys are sorted (by UTF-16) is what RFC 8785 settles.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return -MAX_EXACT_INT <= value <= MAX_EXACT_INT  # type: ignore[operator]
    if kind is dict:
        return all(type(key) is str and key.isascii() and _is_plain(item) for key, item in value.items())  # type: ignore[attr-defined]
    return kind is list and all(map(_is_plain, value))  # type: ignore[call-overload]


def canonical_json(value: JsonValue) -> bytes:
    """Encode a value so that equal values give equal bytes.

    Raises:
        InvalidInput: the value has no canonical form: NaN, an infinity, an integer beyond 2**53, or no JSON type.
    """
    try:
        # Every change encodes an event four times, and nearly all of what it says is plain: a compiled encoder, then.
        return _encode(value) if _is_plain(value) else rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidInput(f"this value has no canonical JSON form: {error}") from error


def parse_json(data: bytes | str) -> JsonValue:
    """Read JSON so that what `canonical_json` wrote has the same canonical form again.

    The canonical form of the float 1e20 is `100000000000000000000`. Read as an integer it would have no canonical form, so
    integers beyond 2**53 are read as the floats that they were.

    >>> canonical_json(parse_json(canonical_json(1e20))) == canonical_json(1e20)
    True

    Raises:
        InvalidInput: this is no JSON.
    """
    try:
        return cast("JsonValue", _decode(data if isinstance(data, str) else data.decode()))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"this is no JSON: {error}") from error


def _parse_int(text: str) -> int | float:
    # Long runs of digits go to float first: int() refuses more than 4300 of them.
    value = float(text)
    return int(text) if abs(value) <= MAX_EXACT_INT else value


_decode = json.JSONDecoder(parse_int=_parse_int).decode


def digest_bytes(data: bytes) -> Digest:
    """Return the SHA-256 of the bytes.

    >>> digest_bytes(b"")[:16]
    'e3b0c44298fc1c14'
    """
    return Digest(hashlib.sha256(data).hexdigest())


def digest_json(value: JsonValue) -> Digest:
    """Return the SHA-256 of the canonical form.

    >>> digest_json({"b": 1, "a": 2.0}) == digest_json({"a": 2, "b": 1})
    True
    """
    return digest_bytes(canonical_json(value))


def parse_digest(text: str, *, field: str = "digest") -> Digest:
    """Accept 64 lower-case hexadecimal digits and nothing else.

    Raises:
        InvalidInput: anything else.
    """
    if len(text) != DIGEST_LENGTH or not set(text) <= set("0123456789abcdef"):
        raise InvalidInput(
            f"'{text[:80]}' is no SHA-256 digest: expected 64 lower-case hexadecimal digits", field=field
        )
    return Digest(text)
