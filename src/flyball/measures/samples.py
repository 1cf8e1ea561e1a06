"""Samples as the measures want them: finite, not empty, of one dimension or as rows of points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flyball.kernel.errors import InvalidInput

Floats = NDArray[np.float64]
Matrix = NDArray[np.float64]
Counts = NDArray[np.int64]
Number = TypeVar("Number", np.float64, np.int64)

# What fits into a processor's cache: a pass over a long array in one go is mostly waiting for memory.
CACHED = 1 << 14


def in_cache(values: NDArray[Number]) -> Iterator[NDArray[Number]]:
    """Yield views of parts that fit into the processor's cache, one after the other."""
    for start in range(0, len(values), CACHED):
        yield values[start : start + CACHED]


def finite_sample(values: ArrayLike, *, field: str) -> Floats:
    """Return the values as floats of shape (n,), n >= 1.

    Raises:
        InvalidInput: another shape, no value, NaN or an infinity; missing values are the caller's to count and leave out.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0:
        raise InvalidInput(f"{field} has shape {sample.shape}; expected one dimension with a value", field=field)
    if not np.all(np.isfinite(sample)):
        raise InvalidInput(f"{field} holds NaN or an infinity; leave missing values out", field=field)
    return sample


def counts_of(values: ArrayLike, *, field: str) -> Floats:
    """Return non-negative counts of shape (k,) with a positive sum.

    Raises:
        InvalidInput: another shape, a negative count, NaN, or nothing counted.
    """
    counts = finite_sample(values, field=field)
    if np.any(counts < 0) or counts.sum() <= 0:
        raise InvalidInput(f"{field} needs counts of zero or more, and something counted", field=field)
    return counts


def point_pair(reference: ArrayLike, sample: ArrayLike, *, least: int) -> tuple[Matrix, Matrix]:
    """Return two sets of points as floats of shapes (n, d) and (m, d), with `least` rows each.

    Raises:
        InvalidInput: other shapes, too few rows, NaN or an infinity.
    """
    ours, theirs = (np.asarray(part, dtype=np.float64) for part in (reference, sample))
    for part, name in ((ours, "reference"), (theirs, "sample")):
        if part.ndim != 2 or part.shape[1] == 0:  # noqa: PLR2004 -- rows and columns
            raise InvalidInput(f"{name} has shape {part.shape}; expected rows by columns", field=name)
        if len(part) < least:
            raise InvalidInput(f"{name} has {len(part)} rows; {least} are needed", field=name)
        if not np.all(np.isfinite(part)):
            raise InvalidInput(f"{name} holds NaN or an infinity; leave such rows out, and count them", field=name)
    if ours.shape[1] != theirs.shape[1]:
        raise InvalidInput(f"{ours.shape[1]} columns against {theirs.shape[1]}", field="sample")
    return ours, theirs
