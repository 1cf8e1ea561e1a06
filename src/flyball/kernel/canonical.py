"""Canonical JSON (RFC 8785) and SHA-256 digests: equal content has equal bytes, everywhere and for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NewType, TypeAlias

import rfc8785

from flyball.kernel.errors import InvalidInput

JsonValue: TypeAlias = "str | int | float | bool | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
Digest = NewType("Digest", str)
"""A SHA-256 digest as 64 lower-case hexadecimal digits."""

DIGEST_LENGTH = 64


def canonical_json(value: JsonValue) -> bytes:
    """Encode a value so that equal values give equal bytes.

    Raises:
        InvalidInput: the value has no canonical form: NaN, an infinity, an integer beyond 2**53, or no JSON type.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidInput(f"this value has no canonical JSON form: {error}") from error


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
