"""What a monitor would find: changes planted into windows of its own history, and how many of those then alarm.

All changes are made to counts, so that a hundred windows are changed at once. Between two cuts values are taken as evenly
spread, and what a shift moves beyond the reference's range counts as lying at its edge: both make an effect smaller, so the
power is rather understated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flyball.measures.intervals import wilson
from flyball.measures.samples import Floats
from flyball.monitoring.calibration.calibrate import Frame
from flyball.monitoring.calibration.cells import Cells
from flyball.monitoring.calibration.effects import effects_of, expected_counts, window_sums
from flyball.monitoring.calibration.entities import SURE, Calibration, FeatureBins, Power
from flyball.monitoring.calibration.windows import guard_of, pieces
from flyball.monitoring.faults import MISSING_CONFIDENCE
from flyball.monitoring.monitor import Monitor

MOST_WINDOWS = 256
SHIFTS = (0.25, 0.5, 1.0, 2.0)
SCALES = (1.5, 3.0)
# Thousandths for wholes, and degrees of Fahrenheit for those of Celsius: a factor and what is added.
UNITS = ((1_000.0, 0.0), (1.8, 32.0))
MOVED = (0.05, 0.2, 0.5)
MISSING = (0.02, 0.1, 0.3)
POWER_CONFIDENCE = 0.975

Change = Callable[[Floats], Floats]
"""Turns counts (n, bins) into changed ones."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Windows:
    """Null windows of one feature: what is expected of them and what they hold."""

    ours: Floats
    theirs: Floats
    beyond: Floats
    rows: Floats


def with_power(calibration: Calibration, monitor: Monitor, cells: Cells, frame: Frame) -> Calibration:
    """State what the monitor finds in each feature within the time that its file names."""
    index = pieces(cells, frame.k, step=frame.k, min_rows=monitor.min_rows, most=MOST_WINDOWS)
    if not calibration.known or not len(index):
        return calibration
    guard = guard_of(frame.memory, frame.cycles, cells.cell_ms)
    within = monitor.alarms.power_windows(monitor.window_ms)
    stated: list[Power] = []
    for place, feature in enumerate(calibration.features):
        ours = expected_counts(cells, index, frame.phases, guard=guard, feature=place)
        theirs, beyond = window_sums(cells, index, place)
        windows = _Windows(ours=ours, theirs=theirs, beyond=beyond, rows=cells.rows[index].sum(axis=1))
        for change, size, unit, found in _tried(feature.bins, feature.threshold, windows, monitor):
            stated.append(
                power_of(
                    found,
                    change=change,
                    size=size,
                    unit=unit,
                    feature=feature.bins.feature,
                    within=within,
                    monitor=monitor,
                )
            )
    return replace(calibration, power=(*calibration.power, *stated))


def power_of(
    found: NDArray[np.bool_],
    *,
    change: str,
    size: float,
    unit: str,
    feature: str,
    within: int,
    monitor: Monitor,
    without: float | None = None,
) -> Power:
    """Return the share of runs of `within` windows in which a change is found, in as many in a row as the file wants."""
    persist = monitor.persist_windows
    alarmed = _runs(found, length=persist, all_of=True) if persist > 1 else found
    runs = _runs(alarmed, length=within - persist + 1, all_of=False) if within >= persist else np.zeros_like(found)
    bounds = wilson(int(np.sum(runs)), len(runs), confidence=POWER_CONFIDENCE)
    wait = _wait(alarmed)
    return Power(
        change=change,
        size=size,
        unit=unit,
        feature=feature,
        within_windows=within,
        probability=bounds.estimate,
        lower=bounds.lower,
        upper=bounds.upper,
        tried=len(found),
        wait_windows=None if wait is None else wait + persist - 1,
        without=without,
    )


def _wait(alarmed: NDArray[np.bool_]) -> int | None:
    """Return within how many windows a change is found with a probability of `SURE`, wherever it begins; None: it is not.

    From window to window the wait falls by one until an alarm: of a gap of g windows between alarms, waits of 1..g are equally likely.
    """
    places = np.flatnonzero(alarmed)
    if not len(places):
        return None
    gaps = np.diff(np.append(places, places[0] + len(alarmed)))
    waits = np.sort(np.concatenate([np.arange(1, gap + 1) for gap in gaps]))
    return int(waits[math.ceil(SURE * len(waits)) - 1])


def _runs(found: NDArray[np.bool_], *, length: int, all_of: bool) -> NDArray[np.bool_]:
    """Return for each stretch of `length` windows in a row whether all of them, or any, are found; the end goes on at the start."""
    rolled = np.stack([np.roll(found, -step) for step in range(length)])
    runs: NDArray[np.bool_] = np.all(rolled, axis=0) if all_of else np.any(rolled, axis=0)
    return runs


def _tried(
    bins: FeatureBins, threshold: float, windows: _Windows, monitor: Monitor
) -> Iterator[tuple[str, float, str, NDArray[np.bool_]]]:
    for name, size, unit, change in _changes(bins):
        effects = effects_of(bins, windows.ours, change(windows.theirs), windows.beyond)
        yield name, size, unit, effects > threshold
    for factor, added in () if bins.names else UNITS:
        changed, beyond = _in_unit(np.asarray(bins.cuts), windows, factor=factor, added=added)
        unit = f"times plus {added:g}" if added else "times"
        yield "change of unit", factor, unit, effects_of(bins, windows.ours, changed, beyond) > threshold
    for share in MISSING:
        yield "missing share", share, "of the rows", _missing_found(windows, share, monitor)


def _changes(bins: FeatureBins) -> Iterator[tuple[str, float, str, Change]]:
    if bins.names:
        for share in MOVED:
            yield "new category", share, "of the rows", _moved(share)
        return
    cuts = np.asarray(bins.cuts)
    for size in SHIFTS:
        yield "shift", size, "standard deviations", _remapped(cuts, cuts - size * bins.unit)
    centre = float(np.median(cuts))
    for size in SCALES:
        yield "scale", size, "times", _remapped(cuts, centre + (cuts - centre) / size)


def _moved(share: float) -> Change:
    """Return a change that takes a share of the rows from every category to one never seen."""

    def change(counts: Floats) -> Floats:
        left = counts * (1.0 - share)
        left[:, -1] += counts.sum(axis=1) * share
        return left

    return change


def _remapped(cuts: Floats, before: Floats) -> Change:
    """Return a change of values after which as many lie below `cuts` as lay below `before`."""

    def change(counts: Floats) -> Floats:
        below = np.cumsum(counts, axis=1)
        total = below[:, -1]
        moved = np.stack([np.interp(before, cuts, line[:-1], left=0.0, right=line[-1]) for line in below])
        return np.diff(np.concatenate([np.zeros((len(total), 1)), moved, total[:, None]], axis=1), axis=1)

    return change


def _in_unit(cuts: Floats, windows: _Windows, *, factor: float, added: float) -> tuple[Floats, Floats]:
    """Return the counts of values in another unit, and the sum of how far they then lie outside the cuts.

    A value is taken to lie in the middle between its cuts, or at the outermost one: beyond it only makes the effect larger.
    """
    changed = _remapped(cuts, (cuts - added) / factor)(windows.theirs)
    middles = np.concatenate([cuts[:1], 0.5 * (cuts[1:] + cuts[:-1]), cuts[-1:]]) * factor + added
    outside = np.maximum(middles - cuts[-1], 0.0) + np.maximum(cuts[0] - middles, 0.0)
    beyond: Floats = windows.theirs @ outside
    return changed, beyond


def _missing_found(windows: _Windows, share: float, monitor: Monitor) -> NDArray[np.bool_]:
    """Tell where a share of values that go missing is a fault: by the lower bound, against the history's own missing share."""
    there = windows.theirs.sum(axis=1)
    usual = 1.0 - float(there.sum() / max(1.0, windows.rows.sum()))
    lost = np.minimum(windows.rows, windows.rows - there + np.round(there * share)).astype(np.int64)
    lower = [
        wilson(int(one), int(rows), confidence=MISSING_CONFIDENCE).lower
        for one, rows in zip(lost, windows.rows, strict=True)
    ]
    return np.asarray(lower) > usual + monitor.data.missing_jump
