"""How much of a rate's change comes from where the rows lie, and not from what happens to rows that lie there.

E. M. Kitagawa, "Components of a Difference Between Two Rates", Journal of the American Statistical Association 50 (1955).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from flyball.kernel.errors import InvalidInput

PRIOR_ROWS = 2.0
"""With how many rows of the base rate each bin is filled up, so that three rows are no rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """The part of a rate that the change of shares explains, -1..1, and its standard deviation."""

    effect: float
    deviation: float

    @property
    def sure(self) -> float:
        """The effect where it is more than two deviations above zero, else 0."""
        return self.effect if self.effect > 2.0 * self.deviation else 0.0


def composition_shift(expected: ArrayLike, counts: ArrayLike, events: ArrayLike, *, base_rate: float) -> Shift:
    """Return by how much the rate is higher than if the rows lay in the bins as expected.

    The sum over bins of (share now - share expected) x (rate in the bin now). A bin without rows has the base rate.

    >>> composition_shift([0.9, 0.1], [50, 50], [5, 25], base_rate=0.1).effect > 0.1
    True

    Args:
        expected: shape (k,), the share of rows that each bin is expected to hold; they sum up to 1.
        counts: shape (k,), rows of each bin now; at least one in all.
        events: shape (k,), how many of them count in the rate; may be a sum of numbers in 0..1.
        base_rate: the rate before, in 0..1.

    Raises:
        InvalidInput: shapes that differ, no rows, or more events than rows.
    """
    shares, rows, hits = (np.asarray(part, dtype=np.float64) for part in (expected, counts, events))
    if shares.shape != rows.shape or rows.shape != hits.shape or rows.ndim != 1:
        raise InvalidInput("shares, counts and events need one shape (k,)", field="counts")
    if rows.sum() <= 0 or np.any(hits > rows) or np.any(hits < 0):
        raise InvalidInput("there must be rows, and no more events in a bin than rows", field="counts")
    moved = rows / rows.sum() - shares
    rates = (hits + PRIOR_ROWS * base_rate) / (rows + PRIOR_ROWS)
    variances = rates * (1.0 - rates) / (rows + PRIOR_ROWS)
    return Shift(effect=float(np.sum(moved * rates)), deviation=float(np.sqrt(np.sum(moved**2 * variances))))
