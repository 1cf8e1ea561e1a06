"""A monitor calibrates itself: for each version once, as soon as that version has served long enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flyball.measures.permutation import fewest_for
from flyball.monitoring.calibration.verbs import CalibrationRequest, Calibrations
from flyball.monitoring.entities import WindowState
from flyball.monitoring.monitor import Monitor

if TYPE_CHECKING:
    from flyball.monitoring.evaluation import Stores


def calibrate_when_due(
    calibrations: Calibrations, stores: Stores, monitor: Monitor, *, actor: str, fence: Callable[[], None]
) -> None:
    """Calibrate on the windows of the newest version, where they are enough and nobody has calibrated it yet.

    What the version served until now counts as normal from then on; whoever knows better calibrates by hand with other dates.
    """
    if not monitor.alarms.stated:
        return
    last = stores.reports.newest(monitor.name, before_ms=None, limit=1)
    version = last[0].version if last else None
    if version is None or stores.calibrations.find_digest(monitor.name, version) is not None:
        return
    needed = fewest_for(monitor.alarms.chance(monitor.window_ms))
    closed = [
        one for one in stores.monitors.windows(monitor.name, unfinished=False) if one.state is not WindowState.OPEN
    ]
    if len(closed) < needed:
        return
    mine = [
        one for one in stores.reports.newest(monitor.name, before_ms=None, limit=len(closed)) if one.version == version
    ]
    if len(mine) >= needed:
        since, until = mine[0].start_ms, mine[-1].end_ms
        request = CalibrationRequest(since_ms=since, until_ms=until, version=version)
        calibrations.run(monitor, request, actor=actor, fence=fence)
