"""Pages: opaque tokens that say where the next one begins."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence

from flyball.kernel.errors import InvalidInput
from flyball.tracking.entities import ItemT, Page

MAX_OFFSET = 2**53


def parse_page_token(token: str | None) -> int:
    """Return the offset that a token stands for; none means the beginning.

    Raises:
        InvalidInput: it is no token that we gave.
    """
    if not token:
        return 0
    try:
        decoded = base64.b64decode(token.encode(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid("could not base64-decode") from error
    try:
        parsed = json.loads(decoded)
    except ValueError as error:
        raise _invalid(f"decoded value={decoded!r}") from error
    offset = parsed.get("offset") if isinstance(parsed, dict) else None
    if type(offset) is not int or not 0 <= offset <= MAX_OFFSET:
        raise _invalid(f"parsed value={parsed}")
    return offset


def page_token(offset: int) -> str:
    """Make the token for an offset.

    >>> parse_page_token(page_token(7))
    7
    """
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


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


def _invalid(fault: str) -> InvalidInput:
    return InvalidInput(
        f"Invalid page token, {fault[:200]}; send the next_page_token of the page before", field="page_token"
    )
