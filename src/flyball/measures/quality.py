"""Quality of predictions whose labels are known: accuracy, and hits block by block for the bootstraps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flyball.kernel.errors import InvalidInput

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockHits:
    """Hits and rows of each block, in the order of the blocks: all of shape (blocks,)."""

    blocks: Counts
    hits: Counts
    rows: Counts


def accuracy(hits: int, rows: int) -> float:
    """Return the share of rows that were right, 0..1.

    Raises:
        InvalidInput: no rows, or hits outside 0..rows: there is no accuracy of nothing.
    """
    if rows < 1 or not 0 <= hits <= rows:
        raise InvalidInput(f"{hits} hits of {rows} rows have no accuracy", field="rows")
    return hits / rows


def hits_per_block(correct: ArrayLike, times_ms: ArrayLike, *, block_ms: int, origin_ms: int = 0) -> BlockHits:
    """Count hits in tumbling blocks of time; blocks without rows are left out.

    Args:
        correct: shape (n,), booleans; n may be 0.
        times_ms: shape (n,), milliseconds.
        block_ms: length of a block, at least 1.
        origin_ms: where one block begins.

    Returns:
        Blocks as their number from the origin, increasing; negative before it.

    Raises:
        InvalidInput: different lengths, or a block without length.
    """
    hit, time = np.asarray(correct, dtype=bool), np.asarray(times_ms, dtype=np.int64)
    if hit.ndim != 1 or hit.shape != time.shape:
        raise InvalidInput(f"{hit.shape} outcomes at {time.shape} times are no pair", field="times_ms")
    if block_ms < 1:
        raise InvalidInput(f"a block of {block_ms} ms has no length", field="block_ms")
    blocks, places = np.unique((time - origin_ms) // block_ms, return_inverse=True)
    rows = np.bincount(places, minlength=len(blocks))
    hits = np.bincount(places, weights=hit, minlength=len(blocks))
    return BlockHits(blocks=blocks, hits=hits.astype(np.int64), rows=rows.astype(np.int64))
