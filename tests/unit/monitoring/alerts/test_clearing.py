"""An alert ends by itself where the file asks for it, and only when enough judged windows in a row are clear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.monitoring.conftest import World

from flyball.kernel.errors import InvalidInput
from flyball.monitoring.alerts.clearing import is_over
from flyball.monitoring.alerts.rules import AlertRules, ResolvedBy
from flyball.monitoring.conformance import a_report, an_alert
from flyball.monitoring.entities import AlertKind, AlertState, DataFault, FaultKind, QualityVerdict, WindowReport
from flyball.monitoring.monitor import DAY_MS, parse_monitor

RULES = AlertRules(resolved_by=ResolvedBy.MONITOR, clear_windows=2, clear_share=0.8)


def _report(day: int, *, effect: float = 0.0, value: float = 0.9, fault: bool = False, **unknown: str) -> WindowReport:
    """Return a report: the threshold of drift is 0.5, the baseline of quality 0.9 with a tolerance of 0.02."""
    report = a_report(day)
    assert report.quality is not None
    drift = replace(report.drift[0], feature="x", effect=effect, drifted=effect > 0.5)
    verdict = QualityVerdict.DROPPED if value < 0.85 else QualityVerdict.HELD
    quality = replace(report.quality, value=value, verdict=verdict)
    faults = (DataFault(feature="x", kind=FaultKind.MISSING, share=0.5, detail="gone"),) if fault else ()
    return replace(
        report, drift=(drift,), faults=faults, quality=None if "quality" in unknown else quality, unknown=unknown
    )


def _over(kind: AlertKind, *reports: WindowReport, rules: AlertRules = RULES) -> bool:
    return is_over(an_alert(kind, start_ms=0), reports, rules)


def test_drift_is_over_after_enough_windows_well_below_the_threshold() -> None:
    drift = AlertKind.COVARIATE_DRIFT
    assert not _over(drift, _report(1))
    assert _over(drift, _report(1), _report(2))
    assert not _over(drift, _report(1), _report(2, effect=0.6))
    assert not _over(drift, _report(1, effect=0.6), _report(2))
    assert not _over(drift, _report(1), _report(2, effect=0.45))  # below the threshold to fire, above that to clear
    assert _over(drift, _report(1, effect=0.39), _report(2, effect=0.39))


def test_a_window_that_could_not_be_judged_does_not_count() -> None:
    drift = AlertKind.COVARIATE_DRIFT
    unknown = _report(2, drift="too few rows")
    assert not _over(drift, _report(1), unknown)
    assert _over(drift, _report(1), unknown, _report(3))


def test_a_fault_is_over_when_the_data_is_judged_clean() -> None:
    fault = AlertKind.DATA_FAULT
    assert _over(fault, _report(1), _report(2))
    assert not _over(fault, _report(1), _report(2, fault=True))
    assert not _over(fault, _report(1), _report(2, data="too few rows"))


def test_a_drop_is_over_when_the_quality_is_well_within_its_tolerance() -> None:
    drop = AlertKind.QUALITY_DROP
    assert _over(drop, _report(1), _report(2, value=0.885))
    assert not _over(drop, _report(1), _report(2, value=0.881))
    assert not _over(drop, _report(1), _report(2, value=0.8))
    assert not _over(drop, _report(1), _report(2, quality="no labels"))


def test_windows_before_the_alert_say_nothing_about_its_end() -> None:
    alert = an_alert(AlertKind.COVARIATE_DRIFT, start_ms=5)
    assert not is_over(alert, [_report(3), _report(4), _report(5), _report(6)], RULES)
    assert is_over(alert, [_report(6), _report(7)], RULES)


def test_where_people_resolve_and_for_what_no_window_shows_nothing_ends_by_itself() -> None:
    assert not _over(AlertKind.DATA_FAULT, _report(1), _report(2), rules=AlertRules(clear_windows=1))
    assert not _over(AlertKind.CAPTURE_LOSS, _report(1), _report(2))


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"clear_windows": 0}, "alerts.clear_windows"),
        ({"clear_share": 0}, "alerts.clear_share"),
        ({"clear_share": 1.1}, "alerts.clear_share"),
    ],
)
def test_rules_that_cannot_be_are_refused(rules: dict[str, object], field: str) -> None:
    config = {"monitor": "m", "endpoint": "e", "model": "m", "window": "1d", "label_maturity": "1d", "alerts": rules}
    with pytest.raises(InvalidInput) as refused:
        parse_monitor(config)
    assert refused.value.field == field


def test_a_monitor_ends_its_alert_and_fires_again_when_it_comes_back(world: World) -> None:
    normal = np.random.default_rng(99).normal(0, 1, 3_000)
    world.describe(1, pa.table({"x": normal}))
    world.set_monitor(alerts={"resolved_by": "monitor", "clear_windows": 2})
    moved = {day: 3.0 if day in {1, 4} else 0.0 for day in range(7)}
    states = []
    for day, mean in moved.items():
        features = {"x": np.random.default_rng(day).normal(mean, 1, 240).tolist()}
        world.serve(day, features=features)
        world.monitors.evaluate("watch", actor="service:worker")
        states.append([alert.state for alert in world.monitors.alerts()])
    firing, resolved = AlertState.FIRING, AlertState.RESOLVED
    # A window is judged when the next day's traffic passes its end.
    assert states == [[], [], [firing], [firing], [resolved], [firing, resolved], [firing, resolved]]
    _, first = world.monitors.alerts()
    assert first.start_ms == DAY_MS
    assert first.note == "the last 2 windows that could be judged are clear of it"
    assert [event.actor for event in world.events.all() if event.kind == "alert.resolved"] == ["service:worker"]
