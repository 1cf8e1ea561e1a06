"""Samples as the measures want them: one dimension, finite, not empty."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flyball.kernel.errors import InvalidInput

Floats = NDArray[np.float64]


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
