"""Cycles in a history: the phase of each cell, and which cycles a history is long enough to keep apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from flyball.monitoring.calibration.entities import Cycle
from flyball.monitoring.monitor import DAY_MS

WEEK_MS = 7 * DAY_MS
YEAR_MS = 31_557_600_000  # 365.25 days, so that phases do not wander with leap years
YEAR_PARTS = 24
# A phase's expectation without the window itself rests on the other times round: fewer than these say little.
_TIMES_ROUND = {Cycle.DAY: 10, Cycle.WEEK: 6, Cycle.YEAR: 2}
_LENGTHS = {Cycle.DAY: DAY_MS, Cycle.WEEK: WEEK_MS, Cycle.YEAR: YEAR_MS}
# 1970-01-01 was a Thursday; weeks are counted from a Monday.
_MONDAY_MS = 4 * DAY_MS


def phases_of(starts_ms: NDArray[np.int64], cell_ms: int, cycles: Collection[Cycle]) -> NDArray[np.int64]:
    """Return the phase of each cell, shape (n,): cells of one phase lie at the same place of every cycle kept apart."""
    phase = np.zeros(len(starts_ms), dtype=np.int64)
    for cycle in Cycle:
        if cycle in cycles:
            phase = phase * _parts(cycle, cell_ms) + _part(starts_ms, cycle, cell_ms)
    return phase


def phase_count(cell_ms: int, cycles: Collection[Cycle]) -> int:
    """Return how many phases there are."""
    return int(np.prod([_parts(cycle, cell_ms) for cycle in cycles], dtype=np.int64))


def usable_cycles(window_ms: int, cell_ms: int, history_ms: int) -> tuple[list[Cycle], dict[str, str]]:
    """Return which cycles matter to a window and can be kept apart, and why others that matter cannot."""
    usable, unmatched = [], {}
    for cycle in Cycle:
        length = _LENGTHS[cycle]
        if window_ms % length == 0:
            continue  # every window holds whole cycles
        if cycle is not Cycle.YEAR and length % cell_ms:
            unmatched[str(cycle)] = f"windows do not divide a {cycle}"
        elif history_ms < _TIMES_ROUND[cycle] * length:
            needed, there = _TIMES_ROUND[cycle] * length // DAY_MS, history_ms // DAY_MS
            unmatched[str(cycle)] = f"the history has {there} days, {needed} are needed"
        else:
            usable.append(cycle)
    return usable, unmatched


def inner_cycles(cell_ms: int, history_ms: int) -> tuple[Cycle, ...]:
    """Return the cycles within a window of several cells: the days of the week, where the history shows enough weeks."""
    enough = WEEK_MS % cell_ms == 0 and history_ms >= _TIMES_ROUND[Cycle.WEEK] * WEEK_MS
    return (Cycle.WEEK,) if enough else ()


def choices(usable: Sequence[Cycle]) -> list[tuple[Cycle, ...]]:
    """Return every set of cycles, the smallest first."""
    return [chosen for size in range(len(usable) + 1) for chosen in combinations(usable, size)]


def _parts(cycle: Cycle, cell_ms: int) -> int:
    if cycle is Cycle.YEAR:
        return YEAR_PARTS
    if cycle is Cycle.DAY:
        return max(1, DAY_MS // cell_ms)
    return 7  # days of a week: the hour of the day is a cycle of its own


def _part(starts_ms: NDArray[np.int64], cycle: Cycle, cell_ms: int) -> NDArray[np.int64]:
    if cycle is Cycle.DAY:
        return starts_ms % DAY_MS // cell_ms
    if cycle is Cycle.WEEK:
        return (starts_ms - _MONDAY_MS) % WEEK_MS // DAY_MS
    return starts_ms % YEAR_MS * YEAR_PARTS // YEAR_MS
