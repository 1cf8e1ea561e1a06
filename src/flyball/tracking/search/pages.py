"""Pages: opaque tokens that say where the next one begins."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.tracking.entities import ItemT, Page

Place: TypeAlias = Mapping[str, JsonValue]
"""Where a page begins, in the words of whoever made it; empty at the beginning, `{"offset": n}` known to everybody."""
AFTER = "after"
"""The key of a place that says what the page before ended with."""
MAX_OFFSET = 2**53
MAX_TOKEN_LENGTH = 2_000


def parse_place(token: str | None) -> Place:
    """Return the place that a token stands for; none means the beginning.

    Raises:
        InvalidInput: it is no token that we gave.
    """
    if not token:
        return {}
    if len(token) > MAX_TOKEN_LENGTH:
        raise invalid_token("it is too long")
    try:
        decoded = base64.b64decode(token.encode(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid_token("could not base64-decode") from error
    try:
        place = json.loads(decoded)
    except (ValueError, RecursionError) as error:
        raise invalid_token(f"decoded value={decoded!r}") from error
    if not isinstance(place, dict) or len(place) != 1:
        raise invalid_token(f"parsed value={place}")
    offset = place.get("offset", 0)
    if type(offset) is not int or not 0 <= offset <= MAX_OFFSET:
        raise invalid_token(f"parsed value={place}")
    return place


def parse_page_token(token: str | None) -> int:
    """Return the offset that a token stands for; none means the beginning.

    Raises:
        InvalidInput: it is no token that we gave.
    """
    place = parse_place(token)
    if place and "offset" not in place:
        raise invalid_token()
    offset = place.get("offset", 0)
    assert isinstance(offset, int)
    return offset


def place_token(place: Place) -> str:
    """Make the token for a place."""
    return base64.b64encode(json.dumps(place).encode()).decode()


def page_token(offset: int) -> str:
    """Make the token for an offset.

    >>> parse_page_token(page_token(7))
    7
    """
    return place_token({"offset": offset})


def page_of(items: Sequence[ItemT], *, offset: int, limit: int) -> Page[ItemT]:
    """Make a page of at most `limit` from items of which one more was fetched, to know whether another page follows."""
    token = page_token(offset + limit) if len(items) > limit else None
    return Page(items=tuple(items[:limit]), next_token=token)


def check_max_results(value: int, *, limit: int) -> int:
    """Accept the size of a page.

    Raises:
        InvalidInput: it is below 1 or above the limit.
    """
    if value < 1:
        raise InvalidInput(
            f"Invalid value {value} for parameter 'max_results' supplied. It must be a positive integer.",
            field="max_results",
        )
    if value > limit:
        raise InvalidInput(
            f"Invalid value {value} for parameter 'max_results' supplied. It must be at most {limit}.",
            field="max_results",
        )
    return value


def invalid_token(fault: str = "it is none of this search") -> InvalidInput:
    """Say that a token is none of ours."""
    return InvalidInput(
        f"Invalid page token, {fault[:200]}; send the next_page_token of the page before", field="page_token"
    )
