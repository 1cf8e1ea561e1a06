"""A monitor calibrates itself: for each version once, as soon as that version has served long enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flyball.measures.permutation import fewest_for
from flyball.monitoring.calibration.history import MOST_CELLS
from flyball.monitoring.calibration.verbs import CalibrationRequest, Calibrations
from flyball.monitoring.entities import WindowReport
from flyball.monitoring.monitor import Monitor

if TYPE_CHECKING:
    from flyball.monitoring.evaluation import Stores


def calibrate_when_due(
    calibrations: Calibrations, stores: Stores, monitor: Monitor, *, actor: str, fence: Callable[[], None]
) -> None:
    """Calibrate on the windows of the newest version, where they are enough and no calibration says a rate yet.

    What the version served until now counts as normal from then on; whoever knows better calibrates by hand with other dates.
    """
    if not monitor.alarms.stated:
        return
    last = stores.reports.newest(monitor.name, before_ms=None, limit=1)
    version = last[0].version if last else None
    kept = None if version is None else stores.calibrations.find(monitor.name, version)
    if version is None or (kept is not None and kept.known):
        return
    # Where a calibration has said what it lacks, it is tried again when that is there, and not before.
    chance = monitor.feature_chance
    needed = fewest_for(chance) if kept is None else max(kept.needed, kept.windows + 1)
    if len(_of_version(stores, monitor, version, limit=2 * needed)) < needed:
        return
    mine = _of_version(stores, monitor, version, limit=MOST_CELLS)
    request = CalibrationRequest(since_ms=mine[0].start_ms, until_ms=mine[-1].end_ms, version=version)
    calibrations.run(monitor, request, actor=actor, fence=fence)


def _of_version(stores: Stores, monitor: Monitor, version: int, *, limit: int) -> list[WindowReport]:
    found = stores.reports.newest(monitor.name, before_ms=None, limit=limit)
    return [one for one in found if one.version == version]
