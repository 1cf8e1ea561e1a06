"""A bounded sample of rows as points: numbers side by side, texts by their words, embeddings in few directions."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flyball.measures.points import frequent_words, hashed_words, shortened
from flyball.measures.samples import Matrix

NO_WORDS = "its values are no texts of words, and hardly repeat: there is nothing to compare"
NOT_EVEN = "its lists are not all of one length, so they are no points"
NO_NUMBERS = "its lists do not hold numbers"
# Fewer words a value on average are a key or a name, not a text.
FEWEST_WORDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextSample:
    """Texts as points (n, 512), and the word that each bucket is best known by, where that was kept."""

    points: Matrix
    words: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbeddingSample:
    """Lists as points (n, d) in at most 64 directions; `width` is how long they were."""

    points: Matrix
    width: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowSample:
    """Rows of a table. `numbers` (n, d) has NaN where a value is missing; `left_out` says why a column is in none of the parts."""

    rows: int
    names: tuple[str, ...]
    numbers: Matrix
    texts: Mapping[str, TextSample] = field(default_factory=dict)
    embeddings: Mapping[str, EmbeddingSample] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


def draw_places(rows: int, count: int) -> list[int]:
    """Return `count` places among `rows`, ascending: always the same ones, and all where there are no more.

    >>> draw_places(3, 5), len(draw_places(1_000_000, 10))
    ([0, 1, 2], 10)
    """
    return list(range(rows)) if rows <= count else sorted(random.Random(rows).sample(range(rows), count))  # noqa: S311


def draw_rows(table: pa.Table, count: int) -> pa.Table:
    """Return `count` rows of a table, always the same ones."""
    return table if table.num_rows <= count else table.take(pa.array(draw_places(table.num_rows, count)))


def sample_of(
    table: pa.Table, *, numbers: Sequence[str], texts: Sequence[str] = (), embeddings: Sequence[str] = ()
) -> RowSample:
    """Make the rows of a (small) table points.

    Args:
        table: the rows that were drawn.
        numbers: its columns of numbers and truth values.
        texts: its columns of free text; rows without one are left out of its points.
        embeddings: its columns of lists; rows without one are left out of its points.
    """
    left_out: dict[str, str] = {}
    found = {name: _text_sample(table.column(name)) for name in texts}
    lists = {name: _embedding_sample(table.column(name)) for name in embeddings}
    left_out |= {name: one for name, one in [*found.items(), *lists.items()] if isinstance(one, str)}
    return RowSample(
        rows=table.num_rows,
        names=tuple(numbers),
        numbers=_numbers(table.column(name) for name in numbers)
        if numbers
        else np.empty((table.num_rows, 0), dtype=np.float64),
        texts={name: one for name, one in found.items() if isinstance(one, TextSample)},
        embeddings={name: one for name, one in lists.items() if isinstance(one, EmbeddingSample)},
        left_out=left_out,
    )


def has_words(texts: Sequence[str]) -> bool:
    """Tell whether values are texts of several words, and not keys or names."""
    return bool(texts) and sum(len(text.split()) for text in texts) >= FEWEST_WORDS * len(texts)


def _numbers(columns: Iterable[pa.ChunkedArray]) -> Matrix:
    found = in_single(np.column_stack([_floats(column) for column in columns]))
    whole: Matrix = np.where(np.isfinite(found), found, np.nan)
    return whole


def in_single(points: Matrix) -> Matrix:
    """Return numbers as they are with 32 bits: a sample that travels has no more, and 0.1 must be the same on both sides."""
    with np.errstate(over="ignore"):
        return points.astype(np.float32).astype(np.float64)


def _floats(column: pa.ChunkedArray) -> Matrix:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values: Matrix = column.cast(pa.float64(), safe=False).to_numpy()
    return values


def _text_sample(column: pa.ChunkedArray) -> TextSample | str:
    texts = [str(text) for text in column.drop_null().to_pylist()]
    if not has_words(texts):
        return NO_WORDS
    return TextSample(points=in_single(hashed_words(texts)), words=frequent_words(texts))


def _embedding_sample(column: pa.ChunkedArray) -> EmbeddingSample | str:
    there = column.drop_null().combine_chunks()
    if isinstance(there, pa.ChunkedArray):
        there = pa.concat_arrays(there.chunks) if there.num_chunks else pa.array([], type=column.type)
    rows = len(there)
    while pa.types.is_list(there.type) or pa.types.is_large_list(there.type) or pa.types.is_fixed_size_list(there.type):
        if len(pc.unique(pc.list_value_length(there))) > 1:
            return NOT_EVEN
        there = there.flatten()
    if not rows or not len(there) or not _is_number(there.type):
        return NO_NUMBERS
    points = there.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).reshape(rows, -1)
    short = in_single(shortened(points))
    return EmbeddingSample(points=short[np.isfinite(short).all(axis=1)], width=points.shape[1])


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))
