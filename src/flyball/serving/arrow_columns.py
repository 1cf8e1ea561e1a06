"""Columns of Arrow made of numpy's memory and of joined texts.

`pa.array` and `pa.scalar` look at each value, and load pandas (thirty megabytes) at their first call, in case a value is one of its.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flyball.serving.row_ids import RowIds

_KINDS: Final = {"i4": pa.int32(), "i8": pa.int64(), "f8": pa.float64()}
# Where a text ends is a number of 32 bits.
MOST_BYTES: Final = 2**31 - 1


def numbers(values: npt.ArrayLike, kind: str) -> pa.Array:
    """Return numbers (n,) as a column: `i4`, `i8` or `f8`. What is of that type already is not copied; NaN stays what it is."""
    block = np.ascontiguousarray(values, dtype=kind)
    return pa.Array.from_buffers(_KINDS[kind], len(block), [None, pa.py_buffer(block)])


def truths(values: npt.NDArray[np.bool_]) -> pa.Array:
    """Return truths (n,) as a column."""
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(np.packbits(values, bitorder="little"))])


def texts(values: Sequence[str], counts: Sequence[int] | None = None) -> pa.Array:
    """Return texts as a column, each as often as its count says, and once where there are none.

    Raises:
        UnicodeEncodeError: half of a surrogate pair.
        ValueError: two gigabytes of text.
    """
    joined = "".join(values if counts is None else map(mul, values, counts))
    data = joined.encode()
    every: Sequence[str] | Sequence[bytes] = values if len(data) == len(joined) else [text.encode() for text in values]
    lengths = np.fromiter(map(len, every), dtype=np.int64, count=len(values))
    return _column(data, lengths if counts is None else np.repeat(lengths, counts))


def row_ids(parts: Sequence[Sequence[str]]) -> pa.Array:
    """Return the ids of several requests as one column."""
    pieces: list[pa.Array] = []
    single: list[str] = []
    for ids in parts:
        if (
            isinstance(ids, RowIds) and ids.rows == 1
        ):  # most are: an array for each costs more than all else that is kept of it
            single.append(ids.base)
        elif isinstance(ids, RowIds):
            if single:
                pieces.append(texts(single))
                single = []
            data, ends = ids.joined()
            pieces.append(pa.StringArray.from_buffers(len(ids), pa.py_buffer(ends), pa.py_buffer(data)))
        else:
            single.extend(ids)
    if single or not pieces:
        pieces.append(texts(single))
    return pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces)


def _column(data: bytes, lengths: npt.NDArray[np.int64]) -> pa.Array:
    if len(data) > MOST_BYTES:
        raise ValueError(f"{len(data)} bytes of text in one column; {MOST_BYTES} at most")
    ends = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=ends[1:])
    return pa.StringArray.from_buffers(len(lengths), pa.py_buffer(ends), pa.py_buffer(data))
