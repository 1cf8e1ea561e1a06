"""A calibration from rows: cut them into cells, calibrate, check on the second half, state the power."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from flyball.datasets.profile import Profile
from flyball.monitoring.calibration.block_losses import BlockLosses, add_losses, empty_losses
from flyball.monitoring.calibration.calibrate import Frame, backcheck, calibrate, calibration_bins
from flyball.monitoring.calibration.cells import Cells, cell_length, empty_cells, fill
from flyball.monitoring.calibration.entities import Calibration
from flyball.monitoring.calibration.power import with_power
from flyball.monitoring.calibration.quality_power import with_quality_power
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.schema import FEATURE_PREFIX

# Each cell is a row of every feature's matrix: 27 years of days, or 13 months of hours; of very many features the last part
# of a long history, so that the matrices take some 400 MB at most.
MOST_CELLS = 10_000
MOST_ROWS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of event time made of whole windows; the end is not included."""

    start_ms: int
    end_ms: int


def whole_windows(monitor: Monitor, first_ms: int, end_ms: int, *, features: int = 1) -> Span:
    """Return the whole windows of the monitor between two moments, the last 10,000 cells of them at most.

    >>> monitor = Monitor(monitor="m", endpoint="e", model="m", window="10s", label_maturity="1d")
    >>> whole_windows(monitor, 3, 25_000)
    Span(start_ms=10000, end_ms=20000)
    >>> whole_windows(monitor, 0, 10**9, features=1_000)
    Span(start_ms=980000000, end_ms=1000000000)
    """
    window, origin = monitor.window_ms, monitor.origin_ms
    start = first_ms + (origin - first_ms) % window
    end = end_ms - (end_ms - origin) % window
    cells = min(MOST_CELLS, MOST_ROWS // max(1, features))
    most = cells * cell_length(window) // window * window
    return Span(start_ms=max(start, end - most), end_ms=max(start, end))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibrated:
    """Thresholds, and what they were made from."""

    calibration: Calibration
    cells: Cells
    frame: Frame | None


def calibrate_on(
    tables: Iterable[pa.Table], span: Span, *, monitor: Monitor, version: int, profile: Profile
) -> Calibration:
    """Calibrate a monitor on rows in the schema of the prediction log, check it on the second half, and state its power.

    Arguments are those of `thresholds_on`.
    """
    losses = empty_losses(monitor, span.start_ms, span.end_ms)
    noted = _noting(tables, losses, monitor)
    made = thresholds_on(noted, span, monitor=monitor, version=version, profile=profile)
    found, cells, frame = made.calibration, made.cells, made.frame
    if frame is None or not found.known:
        return found
    found = replace(found, backcheck=backcheck(monitor, cells, found.chance))
    return with_quality_power(with_power(found, monitor, cells, frame), monitor, losses)


def thresholds_on(
    tables: Iterable[pa.Table], span: Span, *, monitor: Monitor, version: int, profile: Profile
) -> Calibrated:
    """Calibrate a monitor on rows in the schema of the prediction log.

    Args:
        tables: rows of the span, in pieces that fit into memory; in any order.
        span: whole windows, see `whole_windows`.
        monitor: says which rate is wanted; its `alarms.false_alarms` must not be empty.
        version: whose alarms these are.
        profile: how its features are counted.
    """
    bins, left = calibration_bins(profile, monitor.drift)
    cell_ms = cell_length(monitor.window_ms)
    cells = empty_cells(span.start_ms, count=(span.end_ms - span.start_ms) // cell_ms, cell_ms=cell_ms, bins=bins)
    seen: set[str] = set()
    for table in tables:
        seen |= set(table.column_names)
        _fill(cells, table)
    absent = {one.feature for one in bins if FEATURE_PREFIX + one.feature not in seen}
    left |= dict.fromkeys(absent, "not among the features served")
    kept = _only(cells, absent)
    made, frame = calibrate(monitor, version, profile, kept)
    return Calibrated(calibration=replace(made, uncalibrated=left), cells=kept, frame=frame)


def _noting(tables: Iterable[pa.Table], losses: BlockLosses, monitor: Monitor) -> Iterator[pa.Table]:
    """Yield the tables, each after its labels have been noted."""
    for table in tables:
        add_losses(losses, table, monitor)
        yield table


def _fill(cells: Cells, table: pa.Table) -> None:
    columns = {
        name.removeprefix(FEATURE_PREFIX): table.column(name)
        for name in table.column_names
        if name.startswith(FEATURE_PREFIX)
    }
    fill(cells, table.column("time_ms").to_numpy(), columns)


def _only(cells: Cells, absent: set[str]) -> Cells:
    places = [place for place, one in enumerate(cells.bins) if one.feature not in absent]
    return replace(
        cells,
        bins=tuple(cells.bins[place] for place in places),
        counts=tuple(cells.counts[place] for place in places),
        beyond=tuple(cells.beyond[place] for place in places),
    )
