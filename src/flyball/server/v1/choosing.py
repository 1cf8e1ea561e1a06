"""What the queries of lists have in common: one of a few words, and pages by the id of the last thing shown."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

from flyball.kernel.errors import InvalidInput

WordT = TypeVar("WordT", bound=StrEnum)


def one_of(words: type[WordT], text: str, *, field: str) -> WordT | None:
    """Return the word that a query names, None where it names none.

    Raises:
        InvalidInput: nobody knows it; the message lists them.
    """
    if not text:
        return None
    try:
        return words(text)
    except ValueError as error:
        raise InvalidInput(f"'{text[:80]}' is no {field}; known: {', '.join(words)}", field=field) from error


def following(ids: Sequence[str], limit: int) -> str:
    """Return what asks for the page after one of these ids; empty where this one was not full."""
    return ids[-1] if len(ids) == limit else ""
