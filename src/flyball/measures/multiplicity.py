"""P-values of many tests at once, adjusted so that looking at more features does not raise more alarms."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from flyball.kernel.errors import InvalidInput
from flyball.measures.samples import Floats


def holm(p_values: ArrayLike) -> Floats:
    """Adjust for the chance of *any* false alarm among the tests (Holm 1979), under any dependence.

    Args:
        p_values: shape (n,), 0..1; n may be 0.

    Returns:
        Adjusted p-values in the same order, 0..1: compare each with the wanted chance.

    Raises:
        InvalidInput: NaN, or a value outside 0..1.
    """
    known = _p_values(p_values)
    order = np.argsort(known, kind="stable")
    factors = np.arange(len(known), 0, -1)
    return _restore(np.maximum.accumulate(factors * known[order]), order)


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """Adjust for the expected *share* of false alarms among the alarms (Benjamini & Hochberg 1995).

    Holds for independent or positively dependent tests. Arguments, result and errors are those of `holm`.
    """
    known = _p_values(p_values)
    order = np.argsort(known, kind="stable")
    count = len(known)
    scaled = known[order] * count / np.arange(1, count + 1)
    return _restore(np.minimum.accumulate(scaled[::-1])[::-1], order)


def _restore(adjusted: Floats, order: np.ndarray) -> Floats:
    result = np.empty_like(adjusted, dtype=np.float64)
    result[order] = np.minimum(1.0, adjusted)
    return result


def _p_values(values: ArrayLike) -> Floats:
    known = np.asarray(values, dtype=np.float64)
    if known.ndim != 1 or not np.all((known >= 0) & (known <= 1)):
        raise InvalidInput("p-values lie in 0..1, in one dimension, without NaN", field="p_values")
    return known
