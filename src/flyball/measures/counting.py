"""Counting instead of sorting, for numbers on a decimal grid: ages, prices, readings of a few digits.

Most columns of measured numbers have far fewer different values than rows. To count them takes a third of the time that
sorting takes, and what comes out is the same to the last bit.
"""

from __future__ import annotations

import numpy as np

from flyball.measures.samples import Counts, Floats, in_cache

# Whole numbers, and up to four digits behind the point.
SCALES = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
# So many values tell whether it is worth while; all of them are looked at before a count is believed.
LOOKED_AT = 64
# More cells than this leave the processor's cache, and fewer rows than this are sorted in no time.
MOST_CELLS = 1 << 16
FEWEST_ROWS = 1 << 12


def count_on_grid(values: Floats) -> tuple[Floats, Counts] | None:
    """Return the different values of shape (n,), ascending, and how often each occurs; None where sorting is the way.

    The values are finite. The sign of a zero is lost.

    >>> points, rows = count_on_grid(np.tile([0.3, 0.1, 0.3], 2_000))
    >>> points.tolist(), rows.tolist()
    ([0.1, 0.3], [2000, 4000])
    """
    if len(values) < FEWEST_ROWS:
        return None
    scale = next((one for one in SCALES if _fits(values[:LOOKED_AT], one)), None)
    if scale is None:
        return None
    first, last = (float(np.rint(end * scale)) for end in (values.min(), values.max()))
    if not last - first < min(MOST_CELLS, len(values)):
        return None
    cells = np.empty(len(values), dtype=np.int64)
    for part, cell in zip(in_cache(values), in_cache(cells), strict=True):
        steps = np.rint(part * scale)
        if not np.array_equal(steps / scale, part):
            return None
        np.subtract(steps, first, out=cell, casting="unsafe")
    rows = np.bincount(cells)
    found = np.flatnonzero(rows)
    points: Floats = (found.astype(np.float64) + first) / scale
    return points, rows[found].astype(np.int64)


def _fits(values: Floats, scale: float) -> bool:
    return np.array_equal(np.rint(values * scale) / scale, values)
