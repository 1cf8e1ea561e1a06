"""Read the figures of an installation from the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from flyball.kernel.errors import Corrupted
from flyball.monitoring.alerts.silences import Silence, silence_of
from flyball.monitoring.entities import Alert, AlertKind, AlertState, WindowReport
from flyball.monitoring.exports.figures import Counted, EndpointFigures, Figures, MonitorFigures, Standing
from flyball.monitoring.exports.ports import FigureStore, Look, Tally
from flyball.monitoring.losses import WATCHER


def read_figures(
    store: FigureStore, *, endpoints: Mapping[str, str], silences: Sequence[Silence], now_ms: int
) -> Figures:
    """Return what all monitors found last.

    Args:
        store: where it is kept.
        endpoints: the models by the names of the endpoints that answer, so that those nobody watches are told as well.
        silences: those that hold now.
        now_ms: the moment of the figures.
    """
    looks, tallies = store.looks(), store.tallies()
    alerts: dict[str, Counter[tuple[AlertKind, Standing]]] = {}
    for alert in store.active_alerts():
        alerts.setdefault(alert.monitor, Counter())[alert.kind, _standing(alert, silences)] += 1
    watched = Counter((look.monitor.endpoint, look.monitor.model) for look in looks)
    return Figures(
        now_ms=now_ms,
        monitors=[_monitor(store, look, tallies, alerts.get(look.monitor.name, {})) for look in looks],
        endpoints=[
            _endpoint(name, model, watched[name, model], tallies.get(name), alerts.get(f"{WATCHER}/{name}", {}))
            for name, model in sorted(endpoints.items())
        ],
    )


def _standing(alert: Alert, silences: Sequence[Silence]) -> Standing:
    if alert.state is AlertState.ACKNOWLEDGED:
        return Standing.ACKNOWLEDGED
    return Standing.FIRING if silence_of(alert, silences) is None else Standing.SILENCED


def _monitor(store: FigureStore, look: Look, tallies: Mapping[str, Tally], alerts: Counted) -> MonitorFigures:
    tally = tallies.get(look.monitor.endpoint) or Tally(endpoint=look.monitor.endpoint)
    closed, mature, unreadable = _newest(store, look.monitor.name)
    return MonitorFigures(
        monitor=look.monitor,
        waiting=max(0, tally.arrivals - look.seen_arrival),
        watermark_ms=tally.watermark_ms if tally.watermark_ms >= 0 else None,
        closed=closed,
        mature=mature,
        unreadable=unreadable,
        alerts=alerts,
    )


def _newest(store: FigureStore, monitor: str) -> tuple[WindowReport | None, WindowReport | None, bool]:
    """Return the newest reports; one that is spoiled is said to be, and leaves the figures of other monitors alone."""
    try:
        return *store.newest(monitor), False
    except Corrupted:
        return None, None, True


def _endpoint(name: str, model: str, monitors: int, tally: Tally | None, alerts: Counted) -> EndpointFigures:
    found = tally or Tally(endpoint=name)
    return EndpointFigures(
        endpoint=name,
        model=model,
        monitors=monitors,
        captured_rows=found.captured_rows,
        lost_rows=found.lost_rows,
        alerts=alerts,
    )
