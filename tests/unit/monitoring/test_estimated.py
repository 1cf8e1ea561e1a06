"""On the electricity market: what is expected without labels holds until the market changes, then fails and says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pytest
from scipy.stats import binom
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.unit.monitoring.conftest import World, predictions
from threadpoolctl import threadpool_limits

from flyball.kernel.canonical import JsonValue
from flyball.monitoring.baselines import Baseline, quality_baseline
from flyball.monitoring.entities import AlertKind, Label, WindowReport
from flyball.monitoring.estimated import ExpectationRules, estimate_quality, judge_concept
from flyball.monitoring.expectations import Expectation
from flyball.monitoring.figures import ConceptVerdict, EstimatedQuality, ExpectedVerdict
from flyball.registry.entities import EvidenceKind

DATA = Path(__file__).parents[4] / "shared" / "data"
HOUR = 3_600_000
DAY = 24 * HOUR
STEP = DAY // 48
WEEK = 7 * DAY
# Row 17,424 is 1997-05-05 00:00: Victoria joined the market.
JOINED_WEEK = 17_424 * STEP // WEEK
# Of the 51 whole weeks before that one third to learn from, one to be the reference, one to be watched. `docs/monitoring-quality.md`
# has what other cuts show.
THIRD = 17 * 336
TRAINED, REFERENCE = THIRD, 2 * THIRD
FEATURES = ["period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"]


def _scored(
    model: ClassifierMixin, features: np.ndarray, label: np.ndarray, *, trained: int
) -> tuple[np.ndarray, np.ndarray]:
    with threadpool_limits(1):  # threads that wait for each other cost more than they bring on a busy machine
        chances = model.fit(features[:trained], label[:trained]).predict_proba(features)
    return chances.argmax(axis=1), chances.max(axis=1)


@pytest.fixture(scope="module")
def market() -> pa.Table:
    """Return the market as a model saw it that learned its first third before the opening."""
    table = pcsv.read_csv(DATA / "elec2.csv")
    features = np.column_stack([table.column(name).to_numpy() for name in FEATURES])
    label = table.column("class").to_numpy()
    model = HistGradientBoostingClassifier(max_iter=100, max_depth=4, random_state=0)
    said, score = _scored(model, features, label, trained=TRAINED)
    return pa.table(
        {
            "time_ms": np.arange(len(label), dtype=np.int64) * STEP,
            "prediction": said.astype(np.int64),
            "score": score,
            "label": label.astype(np.int64),
            **{f"feature.{name}": features[:, place] for place, name in enumerate(FEATURES)},
        }
    )


def _replay(world: World, market: pa.Table, weeks: Sequence[int]) -> dict[int, WindowReport]:
    baseline = quality_baseline(market.slice(TRAINED, REFERENCE - TRAINED), dataset="elec2, weeks 17 to 34")
    world.describe(
        1, market.slice(0, TRAINED).select([f"feature.{name}" for name in FEATURES]).rename_columns(FEATURES)
    )
    world.shelf.kept["model", 1][EvidenceKind.BASELINE] = world.artifacts.put_json(baseline)
    world.set_monitor(window="7d", drift={"ignore": FEATURES}, label_maturity="1d")
    rows = pa.concat_tables([market.slice(week * 336, 336) for week in weeks])
    ids = [f"r{time_ms}" for time_ms in rows.column("time_ms").to_pylist()]
    times = rows.column("time_ms").to_pylist()
    batch = predictions(ids, times, rows.column("prediction").to_pylist())
    world.log.accept("live", batch.set_column(batch.column_names.index("score"), "score", rows.column("score")))
    world.label(
        [
            Label(prediction_id=name, value=value, time_ms=time_ms + HOUR)
            for name, value, time_ms in zip(ids, rows.column("label").to_pylist(), times, strict=True)
        ]
    )
    world.monitors.evaluate("watch", actor="service:worker")
    return {report.start_ms // WEEK: report for report in world.monitors.reports("watch")}


def test_on_the_market_accuracy_is_as_expected_until_victoria_joins_and_then_the_concept_is_flagged(
    world: World, market: pa.Table
) -> None:
    first = REFERENCE // 336
    reports = _replay(world, market, range(first, JOINED_WEEK + 27))
    before = [reports[week] for week in range(first, JOINED_WEEK)]
    after = [reports[week] for week in range(JOINED_WEEK + 1, JOINED_WEEK + 26)]
    inside = sum(_within(report) for report in before)
    # The interval says 95 %: of so many weeks no fewer lie within than chance allows at that rate.
    assert binom.cdf(inside, len(before), 0.95) > 0.025, (inside, len(before))
    flagged = [report for report in after if _concept(report) is ConceptVerdict.CHANGED]
    assert sum(_within(report) for report in after) < 0.7 * len(after)
    assert len(flagged) > 0.3 * len(after)
    assert sum(_concept(report) is ConceptVerdict.CHANGED for report in before) <= 1
    fired = [one for one in world.monitors.alerts() if one.kind is AlertKind.CONCEPT]
    assert fired
    assert fired[0].causes[0].kind == "concept"
    assert "was to be expected" in fired[0].causes[0].detail


def _within(report: WindowReport) -> bool:
    assert report.quality is not None
    assert report.quality.value is not None
    estimated = report.estimated
    assert estimated is not None
    assert estimated.lower is not None
    assert estimated.upper is not None
    assert estimated.confidence == 0.95
    return estimated.lower <= report.quality.value <= estimated.upper


def _concept(report: WindowReport) -> ConceptVerdict:
    assert report.concept is not None, report.unknown
    return report.concept.verdict


def test_an_estimate_is_there_before_the_labels_and_apart_from_quality(world: World, market: pa.Table) -> None:
    reports = _replay(world, market, [REFERENCE // 336, REFERENCE // 336 + 1])
    world.log.accept("live", predictions(["late"], [40 * WEEK], [1]))
    (closed,) = [one for one in world.monitors.evaluate("watch") if one.start_ms == (REFERENCE // 336 + 1) * WEEK]
    assert closed.estimated is not None
    assert closed.estimated.value == pytest.approx(0.8, abs=0.1)
    assert closed.estimated.method == "cbpe"
    assert "may change, what they mean may not" in closed.estimated.assumes
    assert all(report.estimated is not None for report in reports.values())


def test_the_weather_does_not_raise_an_alarm_for_its_seasons() -> None:
    table = pcsv.read_csv(DATA / "weather_noaa.csv")
    label = table.column("target").to_numpy()
    features = np.column_stack([table.column(f"feat_{place}").to_numpy() for place in range(1, 9)])
    trained, reference, years = 10 * 365, 20 * 365, 4 * 365
    model = make_pipeline(StandardScaler(), LogisticRegression())
    said, score = _scored(model, features[: reference + years], label[: reference + years], trained=trained)
    rows = pa.table(
        {
            "time_ms": np.arange(len(said), dtype=np.int64) * DAY,
            "prediction": said.astype(np.int64),
            "score": score,
            "label": label[: len(said)].astype(np.int64),
        }
    )
    learned = Baseline.from_json(quality_baseline(rows.slice(trained, reference - trained))).expectation
    assert learned is not None
    months = [rows.slice(reference + start, 30) for start in range(0, years - 29, 30)]
    flagged = sum(_changed(month, learned) for month in months)
    assert binom.sf(flagged - 1, len(months), 0.01) > 0.025, (flagged, len(months))


def _changed(rows: pa.Table, learned: Expectation) -> bool:
    rules = ExpectationRules()
    found = judge_concept(rows, learned, rules=rules, block_ms=DAY, min_rows=20, resamples=200, seed=1)
    return found.verdict is ConceptVerdict.CHANGED


def _regression(seed: int, rows: int, *, changed: float = 1.0) -> pa.Table:
    """Return hourly rows whose errors are larger where x is; `changed` scales them all."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(0, 1, rows)
    truth = 10 * x
    error = generator.normal(0, 0.2 + 2.0 * x, rows) * changed
    return pa.table(
        {"time_ms": np.arange(rows, dtype=np.int64) * HOUR, "prediction": truth + error, "label": truth, "feature.x": x}
    )


def _estimate(rows: pa.Table, baseline: JsonValue) -> EstimatedQuality:
    found = estimate_quality(rows, Baseline.from_json(baseline), rules=ExpectationRules(), min_rows=100, tolerance=0.1)
    assert isinstance(found, EstimatedQuality), found
    return found


def test_the_error_of_numbers_is_expected_by_where_the_rows_lie() -> None:
    baseline = quality_baseline(_regression(1, 24 * 70))
    held = 0
    for seed in range(2, 42):
        week = _regression(seed, 24 * 14)
        week = week.filter(pa.array(week.column("feature.x").to_numpy() > 0.5))  # the inputs shift to the hard half
        found = _estimate(week, baseline)
        assert found.method == "dle"
        assert found.value is not None
        assert found.lower is not None
        assert found.upper is not None
        error = float(np.mean(np.abs(week.column("prediction").to_numpy() - week.column("label").to_numpy())))
        held += found.lower <= error <= found.upper
        assert found.value > 1.0  # the baseline is 0.96: an error twice as large as the easy half's is foreseen
    assert held >= 33  # 0.95 of 40 is 38; four standard deviations are 5.5


def test_larger_errors_on_the_same_rows_are_a_change_of_the_concept() -> None:
    learned = Baseline.from_json(quality_baseline(_regression(1, 24 * 70))).expectation
    assert learned is not None
    rules = ExpectationRules()
    same, other = (
        judge_concept(
            _regression(2, 24 * 7, changed=changed), learned,
            rules=rules, block_ms=DAY, min_rows=100, resamples=300, seed=1, drifted=["x"],
        )
        for changed in (1.0, 2.0)
    )  # fmt: skip
    assert (same.verdict, other.verdict, other.worse) == (ConceptVerdict.HELD, ConceptVerdict.CHANGED, True)
    assert "the inputs drifted too (x)" in other.reason


def test_broken_inputs_say_nothing_of_the_concept() -> None:
    learned = Baseline.from_json(quality_baseline(_regression(1, 24 * 70))).expectation
    assert learned is not None
    same, other = (
        judge_concept(
            _regression(2, 24 * 7, changed=changed), learned,
            rules=ExpectationRules(), block_ms=DAY, min_rows=100, resamples=300, seed=1, faulty=["x", "y"],
        )
        for changed in (1.0, 2.0)
    )  # fmt: skip
    assert (same.verdict, other.verdict) == (ConceptVerdict.HELD, ConceptVerdict.UNKNOWN)
    assert "x, y came broken" in other.reason
    assert other.gap is not None


def test_what_cannot_be_expected_is_unknown_with_the_reason(market: pa.Table) -> None:
    reference = market.slice(TRAINED, REFERENCE - TRAINED)
    week = market.slice(REFERENCE, 336)
    assert _estimate(week.slice(0, 50), quality_baseline(reference)).reason == "50 rows, 100 are needed"
    bare = _estimate(week.drop_columns(["score"]), quality_baseline(reference))
    assert bare.reason == "the model gave no probabilities with its answers"
    days = _estimate(week, quality_baseline(reference.slice(0, 240), block_ms=2 * DAY))
    assert days.verdict is ExpectedVerdict.UNKNOWN
    assert "too short" in days.reason
    assert days.value is not None
    assert days.lower is None
    found = estimate_quality(
        week, Baseline(metric="accuracy", value=0.8), rules=ExpectationRules(), min_rows=1, tolerance=0
    )
    assert found == "the version's baseline says nothing of what to expect without labels"


def test_an_expectation_survives_its_journey(market: pa.Table) -> None:
    for rows in (market.slice(TRAINED, 2_000), _regression(1, 2_000)):
        learned = Baseline.from_json(quality_baseline(rows)).expectation
        assert learned is not None
        again = Expectation.from_json(learned.to_json())
        assert again.to_json() == learned.to_json()
        np.testing.assert_array_equal(again.expected(rows), learned.expected(rows))


def test_the_error_of_numbers_is_expected_before_the_labels_come(world: World) -> None:
    rows = _regression(3, 24 * 7)
    world.describe(1, rows.select(["feature.x"]).rename_columns(["x"]))
    baseline = quality_baseline(_regression(1, 24 * 70))
    world.shelf.kept["model", 1][EvidenceKind.BASELINE] = world.artifacts.put_json(baseline)
    world.set_monitor(window="7d", quality={"metric": "rmse", "tolerance": 0.1}, label_maturity="30d")
    times, answers = rows.column("time_ms").to_pylist(), rows.column("prediction").to_pylist()
    features = {"x": rows.column("feature.x").to_pylist()}
    world.log.accept("live", predictions([str(each) for each in times], times, answers, features=features))
    world.log.accept("live", predictions(["next"], [WEEK], [1.0], features={"x": [0.5]}))
    (report,) = world.monitors.evaluate("watch", actor="service:worker")
    assert (report.state, report.quality, report.unknown.get("estimated")) == ("closed", None, None)
    assert report.estimated is not None
    assert (report.estimated.method, report.estimated.metric) == ("dle", "mae")
    assert report.estimated.verdict is ExpectedVerdict.HELD


def test_a_window_of_a_day_is_cut_into_blocks_of_its_own(world: World) -> None:
    rows = _regression(5, 24, changed=4.0)
    baseline = quality_baseline(_regression(1, 24 * 70))
    world.describe(1, rows.select(["feature.x"]).rename_columns(["x"]))
    world.shelf.kept["model", 1][EvidenceKind.BASELINE] = world.artifacts.put_json(baseline)
    world.set_monitor(quality={"metric": "mae", "tolerance": 0.1}, min_rows=20)
    times, answers = rows.column("time_ms").to_pylist(), rows.column("prediction").to_pylist()
    features = {"x": rows.column("feature.x").to_pylist()}
    ids = [str(each) for each in times]
    world.log.accept("live", predictions(ids, times, answers, features=features))
    labels = zip(ids, rows.column("label").to_pylist(), strict=True)
    world.label([Label(prediction_id=name, value=value, time_ms=0) for name, value in labels])
    world.log.accept("live", predictions(["next"], [DAY], [1.0], features={"x": [0.5]}))
    (report,) = world.monitors.evaluate("watch", actor="service:worker")
    assert _concept(report) is ConceptVerdict.CHANGED
