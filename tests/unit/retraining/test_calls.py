"""Which windows call for a request, within which limits, and which rows may be trained on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.retraining.documents import LOOP, MONITOR
from tests.unit.retraining.scenes import ended, half_missing, promote_by_hand
from tests.unit.retraining.stage import ENGINEER, NAME, Stage, falling, rising

from flyball.monitoring.entities import Alert, WindowReport
from flyball.retraining.entities import Cause, Request, RequestState
from flyball.retraining.loops import Loop


def test_missing_values_are_refused_before_anything_is_trained(stage: Stage) -> None:
    stage.serve(6)
    stage.serve(2, concept=falling, change=half_missing)
    stage.serve(1)
    request = ended(stage)
    assert (request.state, request.cause) == (RequestState.REFUSED, Cause.DATA_FAULT)
    assert not request.pipeline_run_id
    assert not request.training
    assert stage.platform.pipelines.list() == []


def test_a_data_fault_is_refused_even_while_the_loop_cools_down(stage: Stage) -> None:
    stage.let_quality_drop()
    stage.conduct(trained=3)
    stage.serve(2, concept=falling, change=half_missing)
    request = ended(stage)
    assert request.cause is Cause.DATA_FAULT


def test_a_corrupted_window_stays_out_of_the_rows_that_are_trained_on(stage: Stage) -> None:
    stage.serve(2, change=half_missing)
    stage.serve(4)
    stage.serve(3, concept=falling)
    request = stage.conduct(trained=2)
    assert request is not None
    assert request.cause is Cause.CONCEPT_DRIFT, request.reason
    for name in (request.training, request.holdout, request.recent):
        stem, _, number = name.rpartition("/")
        days = stage.platform.datasets.table(stem, int(number)).column("time_ms").to_numpy() // 86_400_000 - 10_000
        assert days.min() >= 2


def test_a_corrupted_window_forced_into_the_training_is_refused_by_the_gate(stage: Stage) -> None:
    stage.serve(2, change=half_missing)
    stage.serve(4)
    stage.serve(3, concept=falling)
    stage.platform.monitors.evaluate(NAME)
    stage.turn()
    _, holdout = stage.history()
    recent = stage.platform.datasets.add_table("r", stage.rows(7, concept=falling), source="test", actor=ENGINEER)
    forced = stage.platform.datasets.add_table(
        "forced",
        stage.rows(0, concept=rising),
        source="test",
        actor=ENGINEER,
        context={"windows": [[NAME, 10_000 * 86_400_000]]},
    )
    facts = stage.watch.sources.window_facts(forced)
    assert [fact.verdict for fact in facts] == ["corrupted"]
    before = stage.newest
    assert before is not None
    judged = replace_sets(stage, before, training="forced/1", holdout=holdout, recent=f"{recent.name}/1")
    request = stage.turn()
    assert request is not None
    assert request.id == judged.id
    assert request.state is RequestState.REFUSED
    assert "no_corrupted_window: trained on corrupted data" in request.reason


def test_a_training_set_from_a_window_nobody_reported_leaves_the_gate_undecided(stage: Stage) -> None:
    dataset = stage.platform.datasets.add_table(
        "unseen", stage.rows(0, concept=rising), source="test", actor=ENGINEER, context={"windows": [[NAME, 0]]}
    )
    assert [fact.verdict for fact in stage.watch.sources.window_facts(dataset)] == ["unknown"]


def test_quality_that_holds_calls_for_nothing(stage: Stage) -> None:
    stage.serve(7)
    stage.conduct()
    assert stage.by_alert == []


def test_one_window_causes_one_request(stage: Stage) -> None:
    stage.serve(6)
    stage.serve(2, change=half_missing)  # a fault: no cool-down and no limit keeps the next request back
    stage.serve(1)
    stage.conduct()
    for _ in range(3):
        assert stage.turn() is None
    assert not stage.conductor.is_due(stage.loop)
    assert len(stage.by_alert) == 1


def test_a_request_that_is_opened_while_the_loop_is_looked_at_is_work(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.let_quality_drop()
    stage.platform.monitors.evaluate(NAME)

    def opened_meanwhile(loop: Loop) -> tuple[Alert, WindowReport] | None:
        monkeypatch.undo()
        assert stage.turn() is not None
        return stage.watch.find_call(loop)

    monkeypatch.setattr(stage.watch, "find_call", opened_meanwhile)
    assert stage.conductor.is_due(stage.loop)


def test_the_cool_down_holds_the_next_training_back_until_it_has_passed_in_event_time(stage: Stage) -> None:
    stage.let_quality_drop()
    first = stage.conduct(trained=3)
    assert first is not None
    stage.serve(2, concept=falling)  # the next window ends two days later, the cool-down is four
    assert stage.conduct() == first
    stage.clock.advance(10 * 86_400_000)  # what the wall clock says does not count
    stage.restart()
    assert stage.conduct() == first
    stage.serve(2, concept=falling)
    second = stage.conduct(trained=3)
    assert second is not None
    assert second.window_end_ms == first.window_end_ms + 4 * 86_400_000


def test_no_more_than_the_allowed_requests_train_in_a_period(stage: Stage) -> None:
    stage.let_quality_drop()
    stage.conduct(trained=3)
    for _ in range(3):
        stage.serve(4, concept=falling)
        stage.conduct(trained=3)
    assert [bool(one.pipeline_run_id) for one in stage.by_alert] == [True, True]


def test_a_window_of_a_version_that_is_no_longer_in_charge_calls_for_nothing(stage: Stage) -> None:
    promote_by_hand(stage, 2)  # the windows below are still answered by version 1
    stage.let_quality_drop()
    stage.conduct()
    assert stage.by_alert == []


def replace_sets(stage: Stage, request: Request, *, training: str, holdout: str, recent: str) -> Request:
    """Bring a request to its judgement with other rows than the loop would have frozen."""
    forced = dataclasses.replace(
        request, state=RequestState.EVALUATING, challenger=2, training=training, holdout=holdout, recent=recent
    )
    return stage.platform.requests.move(forced, before=request, lease=stage.lease, payload={})


def test_a_loss_on_rows_unlike_the_training_data_is_covariate_drift(stage: Stage) -> None:
    def bounded(x: np.ndarray) -> np.ndarray:
        return np.asarray((x > 0.5) & (x < 1), dtype=np.int64)

    stage.serve(6)
    stage.serve(2, concept=bounded, change=lambda x: x + 1)
    stage.serve(1)
    stage.platform.monitors.evaluate(NAME)
    stage.turn()
    request = stage.turn()
    assert request is not None
    assert request.state is RequestState.TRAINING, request.reason
    assert request.cause is Cause.COVARIATE_DRIFT
    assert "x drifted" in request.reason


def test_a_base_dataset_fills_the_span_before_the_traffic_and_is_named_as_a_source(stage: Stage) -> None:
    stage.platform.datasets.add_table(
        "base", pa.concat_tables([stage.rows(day, concept=rising) for day in range(-9, 0)]), source="t", actor=ENGINEER
    )
    with_base = LOOP.replace("holdout_every: 3", "holdout_every: 3, base: base/1")
    stage.platform.requests.put_loop(with_base, actor=ENGINEER)
    stage.let_quality_drop()
    stage.platform.monitors.evaluate(NAME)
    stage.turn()
    request = stage.turn()
    assert request is not None
    stem, _, number = request.training.rpartition("/")
    training = stage.platform.datasets.get(stem, int(number))
    days = stage.platform.datasets.table(stem, int(number)).column("time_ms").to_numpy() // 86_400_000 - 10_000
    assert (days.min(), days.max()) == (-3, 4)  # days -4 and 5 are holdout
    facts = stage.watch.sources.window_facts(training)
    assert [fact.window for fact in facts if fact.window.startswith("dataset")] == ["dataset base/1"]
    assert {fact.verdict for fact in facts} == {"clean"}
    recent = stage.platform.datasets.get("price-recent", 1)
    assert recent.context["base"] == ""


def test_a_base_dataset_of_other_columns_fails_the_request(stage: Stage) -> None:
    stage.platform.datasets.add_table("base", pa.table({"y": [1.0]}), source="test", actor=ENGINEER)
    with_base = LOOP.replace("holdout_every: 3", "holdout_every: 3, base: base/1")
    stage.platform.requests.put_loop(with_base, actor=ENGINEER)
    stage.let_quality_drop()
    request = ended(stage)
    assert request.state is RequestState.FAILED
    assert "base/1 cannot stand beside" in request.reason


def test_a_drop_in_a_named_slice_alone_is_looked_into_and_trains_nothing(empty_stage: Stage) -> None:
    def high_falls(x: np.ndarray) -> np.ndarray:
        return np.where(x > 0.8, falling(x), rising(x))

    stage = empty_stage
    rules = {"slices": {"named": {"high": "x > 0.8"}, "min_rows": 10}, "quality": {"tolerance": 0.3}, "min_rows": 10}
    stage.platform.monitors.put(MONITOR | rules, actor=ENGINEER)
    stage.put_in_charge()  # the version's baseline now has the slice's own
    stage.serve(6)
    stage.serve(3, concept=high_falls)
    request = ended(stage)
    assert (request.state, request.cause) == (RequestState.REFUSED, Cause.UNKNOWN)
    assert request.reason.startswith("quality holds in all rows together; the slice 'high' dropped: the upper bound")
    assert not request.pipeline_run_id
