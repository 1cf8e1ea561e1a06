"""Memory from window to window: what the reports before a window hand on, and which later ones a new report makes untrue. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from flyball.kernel.canonical import Digest, digest_json
from flyball.monitoring.calibration import discovering as discovery
from flyball.monitoring.calibration.discoveries import DiscoveryMemory
from flyball.monitoring.codec import to_json
from flyball.monitoring.entities import WindowReport
from flyball.monitoring.monitor import Monitor
from flyball.monitoring.online.figures import Memory

EVIDENCE = "online"
# Beyond the windows that wait for their labels: how many that could not be judged a detector's memory outlives.
MARGIN = 50


def reach(monitor: Monitor) -> int:
    """Return how many windows before one are asked for memories; late labels change no window further ahead than that."""
    return monitor.label_maturity_ms // monitor.window_ms + MARGIN


def memories_from(earlier: Sequence[WindowReport], version: int) -> dict[str, Memory]:
    """Return the newest memory of each detector, by its key; another version's says nothing of this one.

    Args:
        earlier: the newest report of each window before, by start.
        version: whose window it is.
    """
    found: dict[str, Memory] = {}
    for report in reversed(earlier):
        if report.version is not None and report.version != version:
            break
        for figure in report.online:
            if figure.memory is not None:
                found.setdefault(figure.key, figure.memory)
    return found


def digest_of(memories: dict[str, Memory]) -> Digest:
    """Name what a window's detectors began from, for its evidence."""
    return digest_json(to_json(memories))


def began_from(earlier: Sequence[WindowReport], report: WindowReport) -> bool:
    """Tell whether a report began from what these reports before it hand on: its detectors, and its discoveries."""
    version = report.version or 0
    now: dict[str, Digest] = {}
    if report.online:
        now[EVIDENCE] = digest_of(memories_from(earlier, version))
    if report.discoveries is not None:
        now[discovery.EVIDENCE] = discovery.digest_of(discovery.memory_from(earlier, version))
    return bool(now) and all(report.evidence.get(name) == str(digest) for name, digest in now.items())


def hands_on_the_same(before: WindowReport | None, after: WindowReport) -> bool:
    """Tell whether a report hands on what the one that it replaces did."""
    if before is None or before.version != after.version:
        return False
    return _handed_on(before) == _handed_on(after)


def goes_on(report: WindowReport) -> bool:
    """Tell whether nothing goes on past this window from one before it: it has a memory of everything that has one."""
    known = bool(report.online) or report.discoveries is not None
    return known and all(figure.memory is not None for figure in report.online)


def _handed_on(report: WindowReport) -> tuple[dict[str, Memory | None], DiscoveryMemory | None]:
    discoveries = None if report.discoveries is None else report.discoveries.memory
    return {figure.key: figure.memory for figure in report.online}, discoveries
