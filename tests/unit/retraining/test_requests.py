"""Requests that cannot be, trainings that do not end well, and the bar that a new champion is held against."""

from __future__ import annotations

import pytest
from tests.unit.retraining.documents import LOOP
from tests.unit.retraining.scenes import ended, waiting
from tests.unit.retraining.stage import ENGINEER, NAME, Crash, Stage

from flyball.kernel.errors import Conflict, InvalidInput, NotFound
from flyball.pipelines.entities import RunState
from flyball.registry import EvidenceKind
from flyball.retraining.entities import RequestState


def test_a_failed_training_ends_the_request_with_its_reason(stage: Stage) -> None:
    stage.let_quality_drop()
    request = stage.conduct(trained=None)
    assert request is not None
    assert request.state is RequestState.FAILED
    assert "the data does not fit" in request.reason


def test_a_lost_training_is_resumed_once_and_then_fails(stage: Stage) -> None:
    stage.let_quality_drop()
    stage.platform.monitors.evaluate(NAME)
    stage.turn()
    stage.turn()
    lose_the_run(stage)
    resumed = stage.turn()
    assert resumed is not None
    assert resumed.state is RequestState.TRAINING
    assert stage.queued == [resumed.pipeline_run_id]
    lose_the_run(stage)
    request = stage.turn()
    assert request is not None
    assert request.state is RequestState.FAILED
    assert "was lost in attempt 2" in request.reason


def test_a_span_without_holdout_days_fails_and_says_what_to_do(stage: Stage) -> None:
    stage.platform.requests.put_loop(LOOP.replace("span: 12d", "span: 3d"), actor=ENGINEER)
    stage.let_quality_drop()
    request = ended(stage)
    assert request.state is RequestState.FAILED
    assert "widen training.span" in request.reason


def test_a_dataset_that_is_not_there_fails_the_request(empty_stage: Stage) -> None:
    empty_stage.platform.requests.open_by_person(
        empty_stage.loop, version=1, training="no/1", holdout="no/1", champion=None, actor=ENGINEER
    )
    request = ended(empty_stage)
    assert request.state is RequestState.FAILED
    assert "no dataset 'no'" in request.reason


@pytest.mark.parametrize("name", ["", "history", "history/x", "/1", "history/0"])
def test_a_name_that_is_no_dataset_version_is_refused_at_once(empty_stage: Stage, name: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        empty_stage.platform.requests.open_by_person(
            empty_stage.loop, version=1, training="a/1", holdout=name, champion=None, actor=ENGINEER
        )
    assert raised.value.field == "holdout"


def test_the_version_in_charge_cannot_be_asked_for(stage: Stage) -> None:
    with pytest.raises(Conflict, match="in charge of 'price' already"):
        stage.ask(1)


def test_a_loop_does_not_change_its_subject_under_a_running_request(empty_stage: Stage) -> None:
    empty_stage.ask(1)
    with pytest.raises(Conflict) as raised:
        empty_stage.platform.requests.put_loop(LOOP.replace("model: price", "model: other"), actor=ENGINEER)
    assert raised.value.field == "model"
    empty_stage.platform.requests.put_loop(LOOP.replace("max_requests: 2", "max_requests: 3"), actor=ENGINEER)


def test_the_ratchet_keeps_the_bar_of_the_champion(stage: Stage) -> None:
    stage.platform.requests.put_loop(LOOP + "ratchet: true\n", actor=ENGINEER)
    waiting(stage)
    before, after = (baseline(stage, version) for version in (1, 2))
    assert after["value"] == before["value"]
    own = after["own"]
    assert isinstance(own, dict)
    assert float(own["value"]) < float(str(before["value"]))


def test_without_the_ratchet_the_bar_is_what_the_challenger_reached(stage: Stage) -> None:
    waiting(stage)
    before, after = (baseline(stage, version) for version in (1, 2))
    assert "own" not in after
    assert float(str(after["value"])) < float(str(before["value"]))


def test_an_unknown_loop_is_not_found(empty_stage: Stage) -> None:
    with pytest.raises(NotFound, match="loops: price"):
        empty_stage.platform.requests.loop("other")


@pytest.mark.parametrize(("certainty", "known"), [(0.9, {"expectation"}), (None, {"no_expectation"})])
def test_a_version_carries_what_to_expect_of_it_where_its_model_gives_probabilities(
    empty_stage: Stage, certainty: float | None, known: set[str]
) -> None:
    empty_stage.scorer.certainty = certainty
    empty_stage.put_in_charge()
    assert {"expectation", "no_expectation"} & set(baseline(empty_stage, 1)) == known


def lose_the_run(stage: Stage) -> None:
    """Let a process begin the queued run, and die."""
    with stage.dying_at(2), pytest.raises(Crash):
        stage.train(2)
    stage.clock.advance(60_000)
    stage.platform.leases.sweep()
    lost = stage.platform.pipelines.sweep_lost()
    assert [run.state for run in lost] == [RunState.LOST]
    stage.lease = stage.take_lease("worker:2")


def baseline(stage: Stage, version: int) -> dict[str, object]:
    found = stage.platform.artifacts.read_json(stage.platform.registry.evidence(NAME, version)[EvidenceKind.BASELINE])
    assert isinstance(found, dict)
    return dict(found)
