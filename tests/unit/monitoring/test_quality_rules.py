"""Quality of a window is held, dropped, or unknown with a reason."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.monitoring.entities import Quality, QualityVerdict
from flyball.monitoring.monitor import parse_monitor
from flyball.monitoring.quality import Baseline, judge_quality

DAY = 86_400_000
BASELINE = Baseline(metric="accuracy", value=0.9)


def _judge(
    accuracy: float,
    *,
    rows: int = 700,
    labelled_share: float = 1.0,
    days: int = 7,
    baseline: Baseline | None = BASELINE,
    tolerance: float = 0.02,
) -> Quality:
    generator = np.random.default_rng(5)
    label = (generator.random(rows) < accuracy).astype(int).tolist()
    known = round(rows * labelled_share)
    table = pa.table(
        {
            "time_ms": pa.array([row * days * DAY // rows for row in range(rows)]),
            "prediction": pa.array([1] * rows),
            "label": pa.array([*label[:known], *[None] * (rows - known)], pa.int64()),
        }
    )
    monitor = parse_monitor(
        {
            "monitor": "watch",
            "endpoint": "live",
            "model": "m",
            "window": "7d",
            "label_maturity": "1d",
            "quality": {"tolerance": tolerance},
        }
    )
    return judge_quality(table, monitor, baseline, no_baseline="the shelf is empty", origin_ms=0, seed=1)


def test_quality_near_the_baseline_is_held() -> None:
    found = _judge(0.9)
    assert (found.verdict, found.dropped, found.blocks, found.coverage) == (QualityVerdict.HELD, False, 7, 1.0)
    assert found.lower is not None
    assert found.upper is not None
    assert found.value is not None
    assert 0.85 < found.lower < found.value < found.upper < 0.95


def test_quality_surely_below_the_baseline_has_dropped() -> None:
    found = _judge(0.7)
    assert (found.verdict, found.dropped) == (QualityVerdict.DROPPED, True)
    assert "lies below 0.8800" in found.reason


def test_a_drop_within_the_tolerance_is_held() -> None:
    assert _judge(0.7, tolerance=0.3).verdict is QualityVerdict.HELD


def test_a_drop_that_few_rows_cannot_prove_is_held_with_wide_bounds() -> None:
    found = _judge(0.82, rows=100)
    assert found.verdict is QualityVerdict.HELD
    assert found.upper is not None
    assert found.upper > 0.88


def test_too_few_labels_are_unknown_and_still_counted() -> None:
    found = _judge(0.7, labelled_share=0.3)
    assert (found.verdict, found.rows, round(found.coverage, 2)) == (QualityVerdict.UNKNOWN, 210, 0.3)
    assert found.reason == "30.0% of the rows have labels, 50.0% are needed"


def test_too_few_rows_are_unknown() -> None:
    assert _judge(0.7, rows=60).reason == "60 labelled rows, 100 are needed"


def test_no_label_at_all_is_unknown() -> None:
    found = _judge(0.7, labelled_share=0.0)
    assert (found.verdict, found.value, found.lower, found.upper) == (QualityVerdict.UNKNOWN, None, None, None)


def test_one_block_is_unknown() -> None:
    found = _judge(0.1, days=1)
    assert found.verdict is QualityVerdict.UNKNOWN
    assert "one block" in found.reason
    assert found.upper is None


def test_no_baseline_is_unknown_with_the_reason_given() -> None:
    found = _judge(0.7, baseline=None)
    assert (found.verdict, found.reason, found.baseline) == (QualityVerdict.UNKNOWN, "the shelf is empty", None)


def test_a_baseline_of_another_metric_is_unknown() -> None:
    found = _judge(0.7, baseline=Baseline(metric="f1", value=0.9))
    assert (found.verdict, found.reason) == (
        QualityVerdict.UNKNOWN,
        "the version's baseline is f1, the monitor watches accuracy",
    )


def test_a_baseline_is_read_from_json() -> None:
    assert Baseline.from_json({"metric": "accuracy", "value": 1, "rows": 5}) == Baseline(metric="accuracy", value=1.0)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {},
        {"metric": "accuracy"},
        {"metric": 1, "value": 0.5},
        {"metric": "accuracy", "value": 1.5},
        {"metric": "accuracy", "value": True},
        {"metric": "accuracy", "value": "0.9"},
    ],
)
def test_what_is_no_baseline_is_refused(bad: JsonValue) -> None:
    with pytest.raises(InvalidInput, match="baseline"):
        Baseline.from_json(bad)
