"""What no single feature shows: a monitor that holds features together, texts and embeddings against the version's sample."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.monitoring.conftest import DAY, World, predictions

from flyball.datasets.profiling import profile_table
from flyball.kernel.errors import InvalidInput
from flyball.monitoring.backtest.files import backtest_tables
from flyball.monitoring.backtest.histories import Roles, log_table
from flyball.monitoring.calibration.verbs import CalibrationRequest
from flyball.monitoring.entities import AlertKind, AlertState, WindowReport
from flyball.monitoring.exports.figures import MonitorFigures
from flyball.monitoring.exports.joint import joint_families
from flyball.monitoring.monitor import parse_monitor
from flyball.monitoring.multivariate.entities import JointKind, JointMeasureName
from flyball.monitoring.multivariate.windows import NO_SAMPLE
from flyball.monitoring.sketches import Sketches, sketch_table
from flyball.registry.entities import EvidenceKind
from flyball.server.v1.windows import window_info

ROWS = 600
FEATURES = ("demand", "price", "wind")


def _features(seed: int, *, together: float = 0.8, rows: int = ROWS) -> dict[str, list[float]]:
    """Return features whose distributions do not depend on `together`, by which demand and price move together."""
    points = np.random.default_rng(seed).normal(size=(rows, 3))
    points[:, 1] = together * points[:, 0] + np.sqrt(1 - together**2) * points[:, 1]
    return {name: column.tolist() for name, column in zip(FEATURES, points.T, strict=True)}


def _letters(seed: int, extra: tuple[str, ...] = ()) -> list[str]:
    generator = np.random.default_rng(seed)
    words = np.array(["invoice", "payment", "late", "please", "thanks", "account", "order", "when", *extra])
    return [" ".join(row) for row in words[generator.integers(0, len(words), (ROWS, 9))]]


def _pictures(seed: int, *, shift: float = 0.0) -> pa.Array:
    return pa.array(np.random.default_rng(seed).normal(shift, 1.0, (ROWS, 20)).tolist(), pa.list_(pa.float64()))


def _learn(world: World, training: Mapping[str, object], *, sample_rows: int = 2_000) -> None:
    table = pa.table(dict(training))
    plain = [name for name in table.column_names if not pa.types.is_list(table.schema.field(name).type)]
    sketches = sketch_table(table, features=table.column_names, sample_rows=sample_rows)
    world.shelf.kept["model", 1] = {
        EvidenceKind.PROFILE: world.artifacts.put_json(profile_table(table.select(plain)).to_json()),
        EvidenceKind.SKETCHES: world.artifacts.put_json(sketches.to_json()),
    }


def _serve(
    world: World, day: int, features: Mapping[str, object], tensors: Mapping[str, pa.Array] | None = None
) -> None:
    rows = len(next(iter(features.values())))  # type: ignore[arg-type]
    ids = [f"d{day}-{row}" for row in range(rows)]
    times = [day * DAY + row * DAY // rows for row in range(rows)]
    batch = predictions(ids, times, [1] * rows, features=features)  # type: ignore[arg-type]
    for name, values in (tensors or {}).items():
        batch = batch.append_column(f"tensor.{name}", values)
    world.log.accept("live", batch)


def _look(world: World) -> list[WindowReport]:
    return world.monitors.evaluate("watch", actor="service:worker")


def test_a_correlation_that_turned_is_found_by_nothing_else_and_its_features_are_the_causes(everywhere: World) -> None:
    world = everywhere
    _learn(world, _features(1))
    world.set_monitor(multivariate={})
    _serve(world, 0, _features(2))
    _serve(world, 1, _features(3, together=-0.8))
    _serve(world, 2, _features(4))
    steady, turned = _look(world)
    assert (steady.drifted_together, steady.unknown.get("multivariate")) == ((), None)
    assert (turned.drifted, turned.faults) == ((), ())
    (joint,) = turned.drifted_together
    assert joint.kind is JointKind.NUMBERS
    assert {one.name for one in joint.named} == {"demand", "price"}
    (alert,) = world.monitors.alerts()
    assert (alert.kind, alert.start_ms) == (AlertKind.COVARIATE_DRIFT, DAY)
    assert {cause.feature for cause in alert.causes} == {"demand", "price"}
    assert alert.causes[0].text.startswith(f"{alert.causes[0].feature} changed together (domain classifier 0.")


def test_a_monitor_that_does_not_ask_for_it_sees_nothing(world: World) -> None:
    _learn(world, _features(1))
    world.set_monitor()
    _serve(world, 0, _features(3, together=-0.8))
    _serve(world, 1, _features(4))
    (report,) = _look(world)
    assert (report.joint, report.unknown.get("multivariate")) == ((), None)
    assert world.monitors.alerts() == []


def test_days_on_which_nothing_changed_do_not_alarm(world: World) -> None:
    _learn(world, _features(1))
    world.set_monitor(multivariate={})
    for day in range(16):
        _serve(world, day, _features(100 + day, rows=400))
    reports = _look(world)
    assert len(reports) == 15
    assert all(report.joint for report in reports)
    assert [report.start_ms // DAY for report in reports if report.drifted_together] == []


def test_a_version_without_a_sample_says_so(world: World) -> None:
    _learn(world, _features(1), sample_rows=0)
    world.set_monitor(multivariate={})
    _serve(world, 0, _features(2))
    _serve(world, 1, _features(2, rows=10))
    (report,) = _look(world)
    assert report.unknown["multivariate"] == NO_SAMPLE
    _serve(world, 2, _features(4))
    few = _look(world)[-1]
    assert few.unknown["multivariate"] == "10 rows, 100 are needed"


def test_free_text_and_tensors_are_judged_where_the_file_asks_and_named_where_not(world: World) -> None:
    _learn(world, {**_features(1), "said": _letters(1), "picture": _pictures(1)})
    world.set_monitor(multivariate={})
    _serve(world, 0, {**_features(2), "said": _letters(2)}, {"picture": _pictures(2)})
    _serve(
        world, 1, {**_features(3), "said": _letters(3, extra=("refund", "fraud"))}, {"picture": _pictures(3, shift=0.6)}
    )
    _serve(world, 2, _features(4))
    steady, changed = _look(world)
    assert {one.subject: one.drifted for one in steady.joint} == {
        "numbers together": False,
        "said": False,
        "picture": False,
    }
    assert not {"said", "picture"} & set(steady.unwatched)
    found = {one.subject: one for one in changed.drifted_together}
    assert set(found) == {"said", "picture"}
    assert {'"refund"', '"fraud"'} <= {one.name for one in found["said"].named}
    assert [one.measure for one in found["picture"].measures] == [
        JointMeasureName.CLASSIFIER,
        JointMeasureName.DISCREPANCY,
    ]
    (alert,) = world.monitors.alerts()
    assert {cause.feature for cause in alert.causes} == {"said", "picture"}


def test_a_feature_at_fault_or_ignored_has_no_part(world: World) -> None:
    _learn(world, _features(1))
    world.set_monitor(multivariate={}, drift={"ignore": ["wind"]})
    broken = _features(2)
    broken["price"] = [1_000 * value for value in broken["price"]]
    _serve(world, 0, broken)
    _serve(world, 1, _features(3))
    _serve(world, 2, _features(4))
    faulty, whole = _look(world)
    assert faulty.unknown["multivariate"] == "fewer than two columns of numbers vary in the reference"
    assert [one.columns for one in whole.joint] == [2]


def test_the_sample_that_travels_is_read_back_as_it_was_and_holds_no_word() -> None:
    table = pa.table({**_features(1), "said": _letters(1), "picture": _pictures(1), "town": ["a", "b"] * (ROWS // 2)})
    made = sketch_table(table, features=table.column_names)
    content = made.to_json()
    found = Sketches.from_json(content)
    assert made.rows is not None
    assert found.rows is not None
    assert (found.rows.names, found.rows.rows) == (FEATURES, ROWS)
    assert np.array_equal(found.rows.numbers, made.rows.numbers)
    assert np.array_equal(found.rows.texts["said"].points, made.rows.texts["said"].points)
    assert np.array_equal(found.rows.embeddings["picture"].points, made.rows.embeddings["picture"].points)
    assert "invoice" not in str(content["rows"])  # type: ignore[index,call-overload]


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 5},
        {"numbers": {"rows": 1, "width": 3, "values": "AAAA"}},
        {"numbers": {"rows": 10**9, "width": 3, "values": ""}},
        {"texts": {"said": {"rows": 1, "width": 3, "values": ""}}},
        {"other": 1},
    ],
)
def test_a_sample_that_is_none_is_refused(change: dict[str, object]) -> None:
    content = sketch_table(pa.table(_features(1)), features=FEATURES).to_json()
    assert isinstance(content, dict)
    rows = content["rows"]
    assert isinstance(rows, dict)
    with pytest.raises(InvalidInput, match="sample of rows"):
        Sketches.from_json({**content, "rows": {**rows, **change}})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "rules", [{"area": 0.4}, {"reconstruction": 0}, {"discrepancy": 1}, {"significance": 0.5}, {"rows": 10}]
)
def test_rules_out_of_range_are_refused_by_name(world: World, rules: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match=rf"multivariate\.{next(iter(rules))}"):
        world.set_monitor(multivariate=rules)


def test_an_alert_about_features_together_ends_when_they_are_together_again(world: World) -> None:
    _learn(world, _features(1))
    world.set_monitor(multivariate={}, alerts={"resolved_by": "monitor", "clear_windows": 2})
    for day, together in enumerate((0.8, -0.8, 0.8, 0.8, 0.8)):
        _serve(world, day, _features(10 + day, together=together))
        _look(world)
    (alert,) = world.monitors.alerts()
    assert (alert.start_ms, alert.state) == (DAY, AlertState.RESOLVED)


def test_what_was_found_together_is_told_to_people_and_to_scrapers(world: World) -> None:
    _learn(world, _features(1))
    world.set_monitor(multivariate={})
    _serve(world, 0, _features(2, together=-0.8))
    _serve(world, 1, _features(3))
    (report,) = _look(world)
    figures = MonitorFigures(monitor=world.monitors.get("watch"), waiting=0, closed=report)
    told = {one.name: one.samples for one in joint_families([figures], most=5)}
    info = window_info(report)
    assert info.drifted == ["numbers together"]
    assert info.together[0].startswith("numbers together: drifted: domain classifier 0.")
    assert {"domain_classifier": 1.0}.items() <= {
        sample.labels["measure"]: sample.value for sample in told["flyball_monitor_joint_drifted"]
    }.items()


def test_a_backtest_says_when_it_would_have_fired() -> None:
    days = [_features(20 + day, together=-0.8 if day >= 8 else 0.8, rows=300) for day in range(10)]
    times = [day * DAY + row * DAY // 300 for day in range(10) for row in range(300)]
    table = pa.table({"at": times, **{name: [value for day in days for value in day[name]] for name in FEATURES}})
    draft = {"monitor": "draft", "endpoint": "live", "model": "model", "window": "1d", "label_maturity": "1d"}
    roles = Roles(time="at")
    asked: dict[str, object] = {"multivariate": {}}
    for rules, fired in ((asked, [8 * DAY]), ({}, [])):
        found = backtest_tables(
            parse_monitor({**draft, **rules}), log_table(table, roles), roles=roles, until_ms=5 * DAY
        )
        assert [one.window_start_ms for one in found.draft.fired] == fired


def _weeks(days: int, *, turned_from: int = 10**6) -> pa.Table:
    """Return a table of days: on two of seven price hardly follows demand, which is as usual there as anything."""
    parts = []
    for day in range(days):
        together = -0.8 if day >= turned_from else 0.3 if day % 7 >= 5 else 0.8
        parts.append(_features(500 + day, together=together, rows=150))
    times = [day * DAY + row * DAY // 150 for day in range(days) for row in range(150)]
    return pa.table({"at": times, **{name: [value for one in parts for value in one[name]] for name in FEATURES}})


def test_with_a_stated_rate_what_is_usual_in_the_history_does_not_alarm_and_what_is_not_does() -> None:
    draft = {
        "monitor": "draft",
        "endpoint": "live",
        "model": "model",
        "window": "1d",
        "label_maturity": "1d",
        "multivariate": {},
    }
    roles, table = Roles(time="at"), log_table(_weeks(56, turned_from=52), Roles(time="at"))
    stated = parse_monitor({**draft, "alarms": {"false_alarms": "1 per 20d"}})
    found = backtest_tables(stated, table, roles=roles, until_ms=42 * DAY).draft
    assert [one.window_start_ms // DAY for one in found.fired] == [52]
    assert all("multivariate alarm rate" not in one.unknown for one in found.windows)
    by_file = backtest_tables(parse_monitor(draft), table, roles=roles, until_ms=42 * DAY).draft
    assert 47 in {one.window_start_ms // DAY for one in by_file.fired}  # day 5 of the seventh week


def test_a_history_too_short_for_the_rate_says_so() -> None:
    draft = {"monitor": "draft", "endpoint": "live", "model": "model", "window": "1d", "label_maturity": "1d"}
    rules = {"multivariate": {}, "alarms": {"false_alarms": "1 per 20d"}}
    table = log_table(_weeks(16), Roles(time="at"))
    found = backtest_tables(parse_monitor({**draft, **rules}), table, roles=Roles(time="at"), until_ms=14 * DAY).draft
    reason = found.windows[0].unknown["multivariate alarm rate"]
    assert reason.endswith("history too short: 13 windows, 39 are needed")


def test_a_calibration_on_the_log_holds_features_together_too(world: World) -> None:
    _learn(world, _features(1))
    world.set_monitor(multivariate={}, alarms={"false_alarms": "1 per 4d"})
    for day in range(12):
        _serve(world, day, _features(40 + day, rows=150))
    made = world.monitors.calibrations.run(
        world.monitors.get("watch"), CalibrationRequest(), actor="user:tester", fence=lambda: None
    )
    assert made.joint is not None
    assert (made.joint.reason, made.joint.chance, made.joint.needed) == ("", 0.125, 7)
    assert {one.measure for one in made.joint.thresholds} == {
        JointMeasureName.CLASSIFIER,
        JointMeasureName.RECONSTRUCTION,
    }
    report = _look(world)[-1]
    (joint,) = report.joint
    limits = {one.measure: one.threshold for one in made.joint.thresholds}
    assert {one.measure: one.threshold for one in joint.measures} == limits
