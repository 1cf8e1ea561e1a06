"""From how many rows on is a form for large batches quicker than ONNX Runtime? Measured here, where both are at hand."""

from __future__ import annotations

import time
from collections.abc import Sequence

from flyball.serving.entities import Columns, Matrix
from flyball.serving.ports import Runtime

# What is between two of these goes to ONNX Runtime, whose time grows with the rows; the other's hardly does, at first.
SIZES = (32, 64, 128, 256, 512, 1_024)
# The quickest of so many: whatever else the machine does can only make a turn longer.
TURNS = 7
# What is not quicker by this share is not worth a second form.
WORTH = 0.8


def quicker_from(small: Runtime, large: Runtime, rows: Columns, *, sizes: Sequence[int] = SIZES) -> int:
    """Return the size from which on `large` is clearly quicker; 0 where it is not at the largest that was measured.

    Args:
        small: what answers otherwise.
        large: what answers the same, in another way.
        rows: some to measure with.
        sizes: of batches; those beyond the number of rows are left out.
    """
    found = 0
    count = len(next(iter(rows.values())))
    for size in sorted((size for size in sizes if size <= count), reverse=True):
        batch = _first(rows, size)
        if _quickest_s(large, batch) > WORTH * _quickest_s(small, batch):
            break
        found = size
    return found


def _first(rows: Columns, count: int) -> Columns:
    if isinstance(rows, Matrix):
        return Matrix(rows.names, rows.values_by_row[:count])
    return {name: values[:count] for name, values in rows.items()}


def _quickest_s(runtime: Runtime, rows: Columns) -> float:
    taken = []
    for _ in range(TURNS):
        began = time.perf_counter()
        runtime.predict(rows)
        taken.append(time.perf_counter() - began)
    return min(taken)
