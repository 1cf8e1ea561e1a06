"""How far a long computation is, told to whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

ItemT = TypeVar("ItemT")

Hearer = Callable[[str, int, int], None]
"""Called with the name of a stage, how much of it is done, and how much there is. What it raises ends the computation."""


def unheard(stage: str, done: int, total: int, /) -> None:
    """Tell nobody."""
    del stage, done, total


def counted(items: Iterable[ItemT], total: int, *, stage: str, heard: Hearer) -> Iterator[ItemT]:
    """Yield the items, and tell before each one how many are done.

    >>> said = []
    >>> list(counted("ab", 2, stage="reading", heard=lambda *one: said.append(one)))
    ['a', 'b']
    >>> said
    [('reading', 0, 2), ('reading', 1, 2), ('reading', 2, 2)]
    """
    for done, item in enumerate(items):
        heard(stage, done, total)
        yield item
    heard(stage, total, total)
