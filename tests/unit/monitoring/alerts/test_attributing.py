"""Which of the suspects the errors are due to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from tests.unit.monitoring.conftest import World

from flyball.datasets.profiling import profile_table
from flyball.monitoring.alerts.attributing import attribute_losses
from flyball.monitoring.attribution import Attribution, Basis, FeatureLoss
from flyball.monitoring.conformance import a_report
from flyball.monitoring.entities import AlertKind, Label, WindowReport
from flyball.monitoring.findings import causes
from flyball.monitoring.monitor import DAY_MS

ROWS = 2_000
GENERATOR = np.random.default_rng(3)
TRAINING = pa.table(
    {
        "guilty": GENERATOR.normal(0, 1, ROWS),
        "loud": GENERATOR.normal(0, 1, ROWS),
        "place": GENERATOR.choice(["a", "b", "c"], ROWS),
        "holed": GENERATOR.normal(0, 1, ROWS),
    }
)
PROFILE = profile_table(TRAINING)


def _window(columns: dict[str, object], wrong: np.ndarray) -> pa.Table:
    named = {f"feature.{name}": pa.array(values) for name, values in columns.items()}
    return pa.table({**named, "prediction": [1] * len(wrong), "label": np.where(wrong, 0, 1).tolist()})


def _moved() -> pa.Table:
    """Let one feature move a little and take the errors with it, another far and take none."""
    generator = np.random.default_rng(4)
    guilty = generator.normal(0.8, 1, ROWS)
    wrong = generator.random(ROWS) < np.where(guilty > 1.0, 0.5, 0.1)
    return _window({"guilty": guilty, "loud": generator.normal(2, 1, ROWS)}, wrong)


def _losses(found: Attribution) -> dict[str, FeatureLoss]:
    return {one.feature: one for one in found.losses}


def test_the_feature_that_took_the_errors_along_explains_them() -> None:
    losses = _losses(attribute_losses(_moved(), ["guilty"], PROFILE, baseline=0.85))
    # A share of 42 % lies above 1 where 16 % did, at 50 % instead of 10 % errors: about ten points.
    assert 0.07 < losses["guilty"].loss < 0.14
    assert losses["guilty"].sure == losses["guilty"].loss


def test_a_feature_that_moved_without_errors_explains_nothing() -> None:
    generator = np.random.default_rng(5)
    table = _window({"loud": generator.normal(9, 1, ROWS)}, generator.random(ROWS) < 0.1)
    assert _losses(attribute_losses(table, ["loud"], PROFILE, baseline=0.9))["loud"].sure == 0.0


def test_missing_values_and_new_categories_take_errors_along_too() -> None:
    generator = np.random.default_rng(6)
    hole = generator.random(ROWS) < 0.4
    new = generator.random(ROWS) < 0.3
    columns: dict[str, object] = {
        "holed": np.where(hole, None, 0.5).tolist(),  # type: ignore[call-overload]
        "place": np.where(new, "z", generator.choice(["a", "b", "c"], ROWS)).tolist(),
    }
    wrong = generator.random(ROWS) < np.where(hole, 0.6, np.where(new, 0.4, 0.1))
    losses = _losses(attribute_losses(_window(columns, wrong), ["place", "holed"], PROFILE, baseline=0.9))
    assert losses["holed"].sure > losses["place"].sure > 0.02


def test_values_that_are_no_numbers_and_a_feature_that_never_varied_are_bins_too() -> None:
    generator = np.random.default_rng(8)
    odd = generator.random(ROWS) < 0.5
    wrong = generator.random(ROWS) < np.where(odd, 0.6, 0.1)
    still = profile_table(pa.table({"guilty": [2.0] * 50, "loud": TRAINING.column("loud")[:50].combine_chunks()}))
    table = _window({"guilty": np.where(odd, 7.0, 2.0), "loud": np.where(odd, "n/a", "0.1").tolist()}, wrong)
    losses = _losses(attribute_losses(table, ["guilty", "loud"], still, baseline=0.9))
    assert losses["guilty"].sure > 0.2
    assert losses["loud"].sure > 0.2


def test_too_few_labels_are_nothing_to_go_by() -> None:
    assert attribute_losses(_moved().slice(0, 20), ["guilty"], PROFILE, baseline=0.9) == Attribution()
    assert attribute_losses(_moved(), [], PROFILE, baseline=0.9) == Attribution()


def _report(*losses: tuple[str, float]) -> WindowReport:
    """Return a report in which accuracy fell from 0.9 to 0.75 and two features drifted, one of them slightly."""
    report = a_report(0)
    strong = replace(report.drift[0], feature="loud", effect=5.0)
    known = tuple(FeatureLoss(feature=name, loss=loss, deviation=0.01, sure=loss) for name, loss in losses)
    return replace(
        report,
        drift=(strong, replace(strong, feature="guilty", effect=0.6)),
        faults=(),
        unknown={},
        attribution=Attribution(basis=Basis.LABELS, excess=0.15, losses=known),
    )


def test_causes_are_ranked_by_what_they_explain_and_then_by_strength() -> None:
    by_strength = [cause.feature for cause in causes(_report(), AlertKind.QUALITY_DROP)]
    by_effect = causes(_report(("guilty", 0.1), ("loud", 0.0)), AlertKind.QUALITY_DROP)
    assert by_strength == ["loud", "guilty", ""]
    assert [cause.feature for cause in by_effect] == ["guilty", "", "loud"]
    assert by_effect[0].detail.endswith("; explains 10.0 points of the wrong answers")


def test_what_no_feature_explains_is_a_change_of_concept_first() -> None:
    found = causes(_report(("guilty", 0.02)), AlertKind.QUALITY_DROP)
    assert [cause.kind for cause in found] == ["concept", "drift", "drift"]


def test_a_monitor_names_the_feature_that_costs_most_and_says_by_what_it_ranks(world: World) -> None:
    world.describe(1, TRAINING.select(["guilty", "loud"]), accuracy=0.9)
    world.set_monitor()
    table = _moved()
    features = {name: table.column(f"feature.{name}").to_pylist()[:960] for name in ("guilty", "loud")}
    served = world.serve(0, rows=960, features=features)
    right = table.column("label").to_pylist()[:960]
    labels = [
        Label(prediction_id=each.prediction_id, value=value, time_ms=each.time_ms)
        for each, value in zip(served, right, strict=True)
    ]
    world.label(labels)
    world.serve(1, rows=10, features={"guilty": [0.0] * 10, "loud": [0.0] * 10})
    world.monitors.evaluate("watch", actor="service:worker")
    (drop,) = [alert for alert in world.monitors.alerts() if alert.kind is AlertKind.QUALITY_DROP]
    assert (drop.start_ms, drop.end_ms, drop.ranked_by) == (0, DAY_MS, Basis.LABELS)
    assert drop.causes[0].feature == "guilty"
    strengths = {cause.feature: cause.score for cause in drop.causes if cause.kind == "drift"}
    assert strengths["loud"] > strengths["guilty"]  # so it is not by strength that the other one stands first
