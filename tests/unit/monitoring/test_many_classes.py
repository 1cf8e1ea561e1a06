"""Captured probabilities of many classes: which belongs to which, and what is unknown where nobody can tell."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import log_loss, roc_auc_score
from tests.unit.monitoring.conftest import World, predictions

from flyball.kernel.errors import InvalidInput
from flyball.monitoring.baselines import Baseline, quality_baseline
from flyball.monitoring.entities import Label, QualityVerdict
from flyball.monitoring.estimated import ExpectationRules, estimate_quality
from flyball.monitoring.figures import EstimatedQuality
from flyball.monitoring.many_classes import read_many
from flyball.monitoring.monitor import parse_monitor
from flyball.registry.entities import EvidenceKind

HOUR = 3_600_000
DAY = 24 * HOUR
NAMES = np.array(["cat", "dog", "fox"])


def _rows(seed: int = 1, *, rows: int = 1_400, names: np.ndarray = NAMES, blurred: float = 0.0) -> pa.Table:
    """Return hourly answers whose chances are true ones; `blurred` is the share of labels drawn from nothing."""
    generator = np.random.default_rng(seed)
    scores = np.exp(generator.normal(0, 1.5, (rows, len(names))))
    chances = scores / scores.sum(axis=1, keepdims=True)
    column = (chances.cumsum(axis=1) < generator.uniform(size=(rows, 1))).sum(axis=1).clip(max=len(names) - 1)
    lost = generator.uniform(size=rows) < blurred
    column[lost] = generator.integers(0, len(names), int(lost.sum()))
    return pa.table(
        {
            "time_ms": np.arange(rows, dtype=np.int64) * HOUR,
            "prediction": pa.array(names[chances.argmax(axis=1)]),
            "score": chances.max(axis=1),
            "probabilities": pa.array(chances.tolist(), pa.list_(pa.float64())),
            "label": pa.array(names[column]),
        }
    )


def _chances(rows: pa.Table) -> np.ndarray:
    return np.array(rows.column("probabilities").to_pylist())


def test_a_baseline_has_the_metrics_of_every_class() -> None:
    rows = _rows()
    baseline = Baseline.from_json(quality_baseline(rows, metric="multi_log_loss"))
    truth, chances = rows.column("label").to_pylist(), _chances(rows)
    assert baseline.value == pytest.approx(log_loss(truth, chances))
    assert baseline.metrics["multi_roc_auc"] == pytest.approx(roc_auc_score(truth, chances, multi_class="ovr"))
    assert {"multi_brier", "multi_calibration_error", "accuracy"} <= set(baseline.metrics)


def test_a_drop_shows_in_the_report_of_a_window(world: World) -> None:
    world.describe(1, pa.table({"x": [1.0, 2.0, 3.0]}))
    baseline = quality_baseline(_rows(), metric="multi_log_loss")
    world.shelf.kept["model", 1][EvidenceKind.BASELINE] = world.artifacts.put_json(baseline)
    world.set_monitor(window="7d", quality={"metric": "multi_log_loss", "tolerance": 0.05}, drift={"ignore": ["x"]})
    rows = _rows(2, rows=168, blurred=0.6)
    ids, times = [str(row) for row in range(168)], rows.column("time_ms").to_pylist()
    batch = predictions(ids, times, rows.column("prediction").to_pylist())
    batch = batch.append_column("probabilities", rows.column("probabilities"))
    world.log.accept("live", batch)
    labels = zip(ids, rows.column("label").to_pylist(), strict=True)
    world.label([Label(prediction_id=name, value=value, time_ms=0) for name, value in labels])
    world.log.accept("live", predictions(["next"], [7 * DAY], ["cat"]))
    (report,) = world.monitors.evaluate("watch", actor="service:worker")
    assert report.quality is not None
    assert report.quality.value == pytest.approx(log_loss(rows.column("label").to_pylist(), _chances(rows)))
    assert report.quality.verdict is QualityVerdict.DROPPED, report.quality.reason


def test_the_accuracy_of_many_classes_is_expected_without_labels() -> None:
    baseline = Baseline.from_json(quality_baseline(_rows()))
    inside = 0
    for seed in range(2, 22):
        week = _rows(seed, rows=168)
        found = estimate_quality(week, baseline, rules=ExpectationRules(), min_rows=100, tolerance=0.02)
        assert isinstance(found, EstimatedQuality), found
        assert found.lower is not None
        assert found.upper is not None
        realised = np.mean(np.array(week.column("prediction")) == np.array(week.column("label")))
        inside += found.lower <= realised <= found.upper
    assert inside >= 17  # 19 of 20 are 95 %; the seeds are fixed


def test_classes_may_be_named_in_an_order_of_their_own() -> None:
    names = np.array(["fox", "cat", "dog"])
    rows = _rows(names=names)
    unnamed, named = read_many(rows, ()), read_many(rows, tuple(names))
    assert unnamed == (
        "answers are not the likeliest class when classes are sorted: name them in quality.classes, in the order of the probabilities"
    )
    assert not isinstance(named, str)
    assert named.column is not None
    assert names[named.column].tolist() == rows.column("label").to_pylist()
    assert named.chance is not None
    np.testing.assert_array_equal(named.chance, rows.column("score").to_numpy())


def test_numbers_are_classes_too_and_an_answer_that_is_none_of_them_has_no_chance() -> None:
    rows = _rows(names=np.array([1, 2, 3]))
    odd = rows.set_column(1, "prediction", pa.array([9, *rows.column("prediction").to_pylist()[1:]]))
    named = read_many(odd, (1.0, 2.0, 3.0))
    assert not isinstance(named, str)
    assert named.chance is not None
    assert (named.chance[0], bool(named.truth[0])) == (0.0, False)


def _with(rows: pa.Table, chances: list[list[float]]) -> pa.Table:
    place = rows.column_names.index("probabilities")
    return rows.set_column(place, "probabilities", pa.array(chances, pa.list_(pa.float64())))


def test_what_cannot_be_read_is_unknown_with_the_reason() -> None:
    rows = _rows(rows=30)
    assert "not in the log" in str(read_many(rows.drop_columns(["probabilities"]), ()))
    assert "3 to 100, as many in each" in str(read_many(_with(rows, [[0.5, 0.5]] * 30), ()))
    assert "3 to 100, as many in each" in str(read_many(_with(rows, [[0.5, 0.5]] + [[0.2, 0.3, 0.5]] * 29), ()))
    assert "sum to 1" in str(read_many(_with(rows, [[0.9, 0.9, 0.9]] * 30), ()))
    assert "2 classes, a row has 3" in str(read_many(rows, ("cat", "dog")))
    numbers = rows.set_column(1, "prediction", pa.array([1] * rows.num_rows))
    assert read_many(numbers, ()) == "labels are not of the type of the answers, int64"
    assert "the label 'fox' is none of" in str(read_many(rows, ("cat", "dog", "elk")))
    few = rows.filter(pa.array([each == "cat" for each in rows.column("prediction").to_pylist()])).slice(0, 1)
    assert "of 3 classes are known" in str(read_many(few, ()))


@pytest.mark.parametrize(
    ("quality", "said"),
    [
        ({"metric": "accuracy", "classes": ["a", "b", "c"]}, "means nothing to accuracy"),
        ({"metric": "multi_brier", "classes": ["a", "b"]}, "3 to 100 classes"),
        ({"metric": "multi_brier", "classes": ["a", "b", "b"]}, "names a class twice"),
        ({"metric": "multi_brier", "classes": ["a", 2, "b"]}, "of one kind"),
        ({"metric": "multi_brier", "positive": "a"}, "means nothing to multi_brier"),
    ],
)
def test_the_file_says_what_it_cannot_mean(quality: dict[str, object], said: str) -> None:
    document = {"monitor": "w", "endpoint": "e", "model": "m", "window": "7d", "label_maturity": "1d"}
    with pytest.raises(InvalidInput, match=said):
        parse_monitor({**document, "quality": quality})
