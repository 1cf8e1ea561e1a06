"""Paths of `/api/v1`, with every name quoted, so that no name can become another path."""

from __future__ import annotations

from urllib.parse import quote

from flyball.kernel.errors import InvalidInput


def api(*parts: str) -> str:
    """Join the parts of a path.

    >>> api("endpoints", "a b?", "rollback")
    '/api/v1/endpoints/a%20b%3F/rollback'

    Raises:
        InvalidInput: a part is empty, or one that servers and proxies resolve away.
    """
    for part in parts:
        if part in {"", ".", ".."}:
            raise InvalidInput(f"'{part}' is no name", field="name")
    return "/api/v1/" + "/".join(quote(part, safe="") for part in parts)


def versioned(noun: str, text: str) -> str:
    """Return the path of something that is named `NAME/N`.

    >>> versioned("datasets", "elec/3")
    '/api/v1/datasets/elec/3'

    Raises:
        InvalidInput: the number is missing.
    """
    name, _, number = text.rpartition("/")
    if not name or not number.isdigit():
        raise InvalidInput(f"'{text}' is no version: write NAME/N, for example elec/1", field="version")
    return api(noun, name, number)
