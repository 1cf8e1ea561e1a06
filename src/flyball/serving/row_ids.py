"""Ids of the rows of one request, made of one id: written, sent and kept as a whole, and cut into single texts only on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import overload

import msgspec
import numpy as np
import numpy.typing as npt

_GROWN_BY = 1_024


class RowIds(Sequence[str]):
    """`<id>` for a single row; `<id>-0`, `<id>-1` and so on for several.

    >>> list(RowIds("a", 1)), list(RowIds("a", 3))
    (['a'], ['a-0', 'a-1', 'a-2'])
    """

    __slots__ = ("base", "rows")

    def __init__(self, base: str, rows: int) -> None:
        self.base = base
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[str]:
        return iter([self.base]) if self.rows == 1 else map(f"{self.base}-{{}}".format, range(self.rows))

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        return tuple(self)[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"RowIds({self.base!r}, {self.rows})"

    def json(self) -> bytes:
        """Return the ids as a list in JSON. The id they are made of must need no escape, as none of ours does."""
        if self.rows == 1:
            return f'["{self.base}"]'.encode()
        between = f'","{self.base}-'
        return f'["{self.base}-{between.join(_numbers(self.rows))}"]'.encode() if self.rows else b"[]"

    def joined(self) -> tuple[bytes, npt.NDArray[np.int32]]:
        """Return all ids behind each other, and where each begins; one place more says where the last one ends."""
        if self.rows == 1:
            return self.base.encode(), np.array([0, len(self.base)], dtype=np.int32)
        before = f"{self.base}-"
        ends = np.arange(self.rows + 1, dtype=np.int32) * np.int32(len(before)) + _ends(self.rows)
        return before.join(["", *_numbers(self.rows)]).encode(), ends


def json_of(ids: Sequence[str]) -> bytes:
    """Return ids as a list in JSON."""
    return ids.json() if isinstance(ids, RowIds) else msgspec.json.encode(list(ids))


def _numbers(count: int) -> tuple[str, ...]:
    """Return the texts of 0 to `count` - 1."""
    return _counted(-(-count // _GROWN_BY) * _GROWN_BY)[0][:count]


def _ends(count: int) -> npt.NDArray[np.int32]:
    """Return how many digits there are before each number."""
    return _counted(-(-count // _GROWN_BY) * _GROWN_BY)[1][: count + 1]


@cache
def _counted(count: int) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
    texts = tuple(map(str, range(count)))
    return texts, np.cumsum([0, *map(len, texts)], dtype=np.int32)
