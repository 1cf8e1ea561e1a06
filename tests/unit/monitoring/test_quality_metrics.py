"""Any metric is judged like accuracy: in its own direction, and unknown with a reason where the rows do not give it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import ArrayLike
from sklearn.metrics import f1_score, roc_auc_score, root_mean_squared_error

from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.measures.metrics import Better
from flyball.monitoring.baselines import Baseline, quality_baseline
from flyball.monitoring.entities import Quality, QualityVerdict
from flyball.monitoring.monitor import parse_monitor
from flyball.monitoring.quality import judge_quality

DAY = 86_400_000
DAYS, ROWS = 7, 1_400


def _table(predictions: ArrayLike, labels: ArrayLike, scores: ArrayLike | None = None) -> pa.Table:
    columns = {
        "time_ms": pa.array([row * DAYS * DAY // ROWS for row in range(ROWS)]),
        "prediction": pa.array(predictions),
        "label": pa.array(labels),
    }
    return pa.table(columns if scores is None else columns | {"score": pa.array(scores)})


def _classes(seed: int = 1, *, flipped: float = 0.0) -> pa.Table:
    generator = np.random.default_rng(seed)
    chance = generator.beta(1, 1, ROWS)
    truth = (generator.random(ROWS) < chance) ^ (generator.random(ROWS) < flipped)
    said = chance > 0.5
    return _table(said.astype(int), truth.astype(int), np.where(said, chance, 1 - chance))


def _numbers(*, noise: float = 1.0, shift: float = 0.0) -> pa.Table:
    generator = np.random.default_rng(2)
    truth = generator.normal(10, 3, ROWS)
    return _table(truth + generator.normal(shift, noise, ROWS), truth)


def _judge(table: pa.Table, baseline: float, **rules: object) -> Quality:
    monitor = parse_monitor(
        {"monitor": "w", "endpoint": "e", "model": "m", "window": "7d", "label_maturity": "1d", "quality": rules}
    )
    held = Baseline(metric=str(rules["metric"]), value=baseline)
    return judge_quality(table, monitor, held, no_baseline="none", origin_ms=0, seed=1)


def test_the_value_is_that_of_scikit_learn() -> None:
    table = _classes()
    said, truth, score = (table.column(name).to_numpy() for name in ("prediction", "label", "score"))
    assert _judge(table, 0.7, metric="f1").value == pytest.approx(f1_score(truth, said))
    chance = np.where(said == 1, score, 1 - score)
    assert _judge(table, 0.7, metric="roc_auc").value == pytest.approx(roc_auc_score(truth, chance))
    numbers = _numbers()
    error = root_mean_squared_error(numbers.column("label"), numbers.column("prediction"))
    assert _judge(numbers, 1.0, metric="rmse").value == pytest.approx(error)


def test_where_lower_is_better_a_higher_error_is_a_drop() -> None:
    held = _judge(_numbers(), 1.0, metric="rmse", tolerance=0.2)
    dropped = _judge(_numbers(noise=2.0), 1.0, metric="rmse", tolerance=0.2)
    assert (held.verdict, held.better) == (QualityVerdict.HELD, Better.LOWER)
    assert dropped.verdict is QualityVerdict.DROPPED
    assert "lies above 1.2000" in dropped.reason
    assert _judge(_numbers(noise=0.3), 1.0, metric="rmse").verdict is QualityVerdict.HELD


@pytest.mark.parametrize("shift", [-1.0, 1.0])
def test_where_zero_is_best_either_side_is_a_drop(shift: float) -> None:
    assert _judge(_numbers(shift=shift), 0.1, metric="bias", tolerance=0.2).verdict is QualityVerdict.DROPPED
    assert _judge(_numbers(), 0.1, metric="bias", tolerance=0.2).verdict is QualityVerdict.HELD


@pytest.mark.parametrize("metric", ["precision", "recall", "accuracy", "roc_auc", "brier"])
def test_independent_rows_have_narrower_bounds_in_one_block_too(metric: str) -> None:
    table = _classes()
    one_day = table.set_column(0, "time_ms", pa.array(list(range(ROWS))))
    apart = _judge(one_day, 0.5, metric=metric, independent_rows=True)
    assert apart.lower is not None
    assert apart.upper is not None
    assert apart.value is not None
    assert apart.lower < apart.value < apart.upper
    assert apart.verdict is not QualityVerdict.UNKNOWN
    assert _judge(one_day, 0.5, metric=metric).verdict is QualityVerdict.UNKNOWN


def test_the_positive_class_of_texts_must_be_said() -> None:
    texts = _table(["yes"] * ROWS, ["yes", "no"] * (ROWS // 2))
    assert _judge(texts, 0.9, metric="precision").reason == "quality.positive must say which label is the positive one"
    assert _judge(texts, 0.9, metric="precision", positive="yes").verdict is QualityVerdict.DROPPED
    assert _judge(texts, 0.9, metric="recall", positive="maybe").reason == "recall is not defined: no label is positive"
    assert "is not of the type" in _judge(texts, 0.9, metric="recall", positive=1).reason


def test_what_the_rows_do_not_give_is_unknown_with_the_reason() -> None:
    bare = _classes().drop_columns(["score"])
    assert _judge(bare, 0.9, metric="brier").reason == "the model gave no probabilities with its answers"
    three = _table([0, 1, 2, 1] * (ROWS // 4), [0, 1, 2, 2] * (ROWS // 4), [0.9] * ROWS)
    assert "3 classes" in _judge(three, 0.9, metric="roc_auc").reason
    texts = _table(["a"] * ROWS, ["a"] * ROWS)
    assert "mae is about numbers" in _judge(texts, 0.9, metric="mae").reason
    zero = _table([1.0] * ROWS, [0.0] * ROWS)
    found = _judge(zero, 0.5, metric="mape")
    assert (found.value, found.verdict) == (None, QualityVerdict.UNKNOWN)
    assert "use smape" in found.reason


def test_the_file_says_what_it_cannot_mean() -> None:
    for rules, field in (
        ({"metric": "mae", "positive": 1}, "quality.positive"),
        ({"metric": "f1", "tolerance": 1.5}, "quality.tolerance"),
        ({"metric": "pinball", "quantile": 1.0}, "quality.quantile"),
        ({"metric": "mae", "tolerance": -1.0}, "quality.tolerance"),
    ):
        with pytest.raises(InvalidInput) as caught:
            _judge(_numbers(), 0.5, **rules)
        assert caught.value.field == field
    with pytest.raises(Unsupported):
        _judge(_numbers(), 0.5, metric="accurracy")
    assert _judge(_numbers(noise=9.0), 1.0, metric="mae", tolerance=1.5).verdict is QualityVerdict.DROPPED


def test_a_baseline_of_registration_has_every_metric_that_its_rows_give() -> None:
    found = quality_baseline(_classes(), dataset="holdout/1")
    baseline = Baseline.from_json(found)
    assert (baseline.metric, found["rows"], found["dataset"]) == ("accuracy", ROWS, "holdout/1")
    assert set(baseline.metrics) == {
        "accuracy", "balanced_accuracy", "precision", "recall", "f1", "mcc", "roc_auc", "average_precision",
        "log_loss", "brier", "calibration_error",
    }  # fmt: skip
    assert baseline.value_of("f1") == pytest.approx(_judge(_classes(), 0.5, metric="f1").value)
    regression = Baseline.from_json(quality_baseline(_numbers()))
    assert regression.metric == "mae"
    assert regression.value_of("rmse") == pytest.approx(_judge(_numbers(), 0.5, metric="rmse").value)
    assert regression.value_of("f1") is None
    assert regression.expectation is not None
    assert regression.expectation.value == pytest.approx(regression.value)


def test_a_baseline_without_times_expects_nothing_and_says_so() -> None:
    baseline = Baseline.from_json(quality_baseline(_classes().drop_columns(["time_ms"])))
    assert baseline.expectation is None
    assert "no times" in baseline.no_expectation


def test_slices_have_baselines_of_their_own() -> None:
    table = _classes().append_column("feature.x", pa.array([row % 4 for row in range(ROWS)]))
    baseline = Baseline.from_json(quality_baseline(table, slices={"first": "x = 0"}))
    mine = table.filter(pa.array([row % 4 == 0 for row in range(ROWS)]))
    expected = float(np.mean(mine.column("prediction").to_numpy() == mine.column("label").to_numpy()))
    assert baseline.slices["x = 0"]["accuracy"] == pytest.approx(expected)


def test_a_baseline_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="label"):
        quality_baseline(_classes().drop_columns(["label"]))
    with pytest.raises(InvalidInput, match="have no brier: the model gave no probabilities"):
        quality_baseline(_classes().drop_columns(["score"]), metric="brier")
