"""Cut labelled rows into what is trained on and what is judged on, by time and whole days, before any training starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from flyball.kernel.errors import InvalidInput

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of event time, start included, end not, in milliseconds."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Three disjoint tables. `recent` lies after the others; `holdout` is every n-th whole day of the span before it."""

    training: pa.Table
    holdout: pa.Table
    recent: pa.Table


def cut(
    table: pa.Table, *, time_column: str, span: Span, recent_ms: int, holdout_every: int, without: Sequence[Span] = ()
) -> Cut:
    """Cut the rows of a span, leaving out corrupted stretches.

    Whole days stay together, because rows of one day resemble each other: a row's neighbour in the training part would
    make the judgement too kind. So the recent part begins with a day: `recent_ms` before the end, or earlier that day.

    Raises:
        InvalidInput: one of the three parts would be empty; the message says which.
    """
    times = table.column(time_column).to_numpy()
    usable = (times >= span.start_ms) & (times < span.end_ms)
    for bad in without:
        usable &= ~((times >= bad.start_ms) & (times < bad.end_ms))
    is_recent = times >= (span.end_ms - recent_ms) // DAY_MS * DAY_MS
    is_holdout = (times // DAY_MS) % holdout_every == 0
    parts = {
        "training": usable & ~is_recent & ~is_holdout,
        "holdout": usable & ~is_recent & is_holdout,
        "recent": usable & is_recent,
    }
    for name, rows in parts.items():
        if not rows.any():
            raise InvalidInput(
                f"no labelled row is left for '{name}': widen training.span, or wait for labels", field=name
            )
    return Cut(**{name: table.filter(pa.array(rows)) for name, rows in parts.items()})


def day_blocks(times_ms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (days present, ascending; for each row the index of its day) from event times of shape (n,)."""
    days, index = np.unique(np.asarray(times_ms, dtype=np.int64) // DAY_MS, return_inverse=True)
    return days, index
