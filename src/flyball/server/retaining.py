"""How long the prediction log is kept, and what of it has to stay because something that is not over yet rests on it."""

from __future__ import annotations

import functools

from flyball.governance.entities import ApprovalState
from flyball.kernel.canonical import Digest
from flyball.monitoring.entities import AlertState, WindowState
from flyball.monitoring.retention import DAY_MS, Hold, Retention
from flyball.monitoring.sql import SqlRetentionStore
from flyball.server.platform import Platform

_ACTIVE = (AlertState.FIRING, AlertState.ACKNOWLEDGED)


def retention_of(platform: Platform) -> Retention:
    """Return what removes predictions by the setting `prediction_keep_days`."""
    return Retention(
        SqlRetentionStore(platform.database),
        keep_ms=platform.settings.prediction_keep_days * DAY_MS,
        holds=functools.partial(hold_of, platform),
        artifacts=platform.artifacts,
        events=platform.events,
        clock=platform.clock,
        database=platform.database,
    )


def hold_of(platform: Platform, endpoint: str) -> Hold:
    """Return what of an endpoint's log has to stay.

    All of it while a rollout or a retraining request of the endpoint is running; what a monitor has not judged to the end;
    the windows of active alerts; and files and batches that an open approval names by their digest.
    """
    alerts = [one for one in platform.monitors.alerts(states=_ACTIVE) if one.endpoint == endpoint]
    return Hold(
        everything=_is_judged_now(platform, endpoint),
        from_ms=_unjudged_from(platform, endpoint),
        spans=tuple((one.start_ms, one.end_ms) for one in alerts),
        digests=_approved_now(platform),
    )


def _is_judged_now(platform: Platform, endpoint: str) -> bool:
    loops = {loop.loop for loop in platform.requests.loops() if loop.endpoint == endpoint}
    asked = any(platform.requests.running(name) is not None for name in loops)
    return asked or platform.deployments.find_running(endpoint) is not None


def _unjudged_from(platform: Platform, endpoint: str) -> int | None:
    """Return where the first window begins that will be reported again, if there is one."""
    watching = [one.name for one in platform.monitors.list() if one.endpoint == endpoint]
    windows = [window for name in watching for window in platform.monitors.windows(name)]
    return min((one.start_ms for one in windows if one.state is not WindowState.MATURE), default=None)


def _approved_now(platform: Platform) -> frozenset[Digest]:
    pending = platform.approvals.list(state=ApprovalState.PENDING)
    return frozenset(digest for one in pending for digest in one.content.values())
