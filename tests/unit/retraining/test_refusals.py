"""What the loop refuses, fails or takes back on the way to production, and the reason it gives."""

from __future__ import annotations

import pytest
from tests.unit.retraining.documents import LOOP
from tests.unit.retraining.scenes import ended, on_trial, promote_by_hand, waiting
from tests.unit.retraining.stage import APPROVER, DAY, ENGINEER, NAME, OWNER, Stage, falling, rising

from flyball.governance.entities import ApprovalState
from flyball.kernel.errors import Conflict, PermissionDenied, Unavailable
from flyball.retraining.entities import RequestState


def test_a_challenger_that_is_no_better_is_refused_by_the_gate(stage: Stage) -> None:
    stage.let_quality_drop()
    request = stage.conduct(trained=3)
    assert request is not None
    assert request.state is RequestState.REFUSED
    assert "beats_champion" in request.reason
    assert not request.approval_id
    assert (stage.champion, stage.alias) == (1, 1)


def test_a_person_may_reject(stage: Stage) -> None:
    waiting(stage)
    stage.reject("the feed is being rebuilt")
    request = ended(stage)
    assert request.state is RequestState.REFUSED
    assert request.reason == f"{APPROVER} rejected it: the feed is being rebuilt"


def test_an_approval_taken_back_ends_its_request(stage: Stage) -> None:
    request = waiting(stage)
    stage.platform.approvals.withdraw(request.approval_id, actor=OWNER, reason="the feed is being rebuilt")
    assert stage.conductor.is_due(stage.loop)
    after = ended(stage)
    assert (after.id, after.state) == (request.id, RequestState.REFUSED)
    assert after.reason == f"{OWNER} took the question back: the feed is being rebuilt"
    assert (stage.champion, stage.alias) == (1, 1)


def test_an_approval_that_nobody_answers_in_time_expires_and_the_loop_goes_on(stage: Stage) -> None:
    stage.platform.requests.put_loop(LOOP + "answer_within: 3d\n", actor=ENGINEER)
    request = waiting(stage)
    stage.clock.advance(3 * DAY - 1)
    assert not stage.conductor.is_due(stage.loop)
    stage.clock.advance(1)
    assert stage.conductor.is_due(stage.loop)
    stage.lease = stage.take_lease("worker:2")
    after = ended(stage)
    assert (after.id, after.state) == (request.id, RequestState.REFUSED)
    assert after.reason == "the approval expired: nobody answered within 3d"
    assert stage.platform.approvals.get(request.approval_id).state is ApprovalState.EXPIRED
    assert not stage.conductor.is_due(stage.loop)
    assert stage.platform.requests.running(NAME) is None


def test_without_a_time_to_answer_in_an_approval_waits(stage: Stage) -> None:
    waiting(stage)
    stage.clock.advance(1_000 * DAY)
    assert not stage.conductor.is_due(stage.loop)


def test_nobody_approves_what_he_asked_for(empty_stage: Stage) -> None:
    empty_stage.ask(1, actor=OWNER)
    request = empty_stage.conduct()
    assert request is not None
    approval = empty_stage.platform.approvals.get(request.approval_id)
    with pytest.raises(PermissionDenied):
        empty_stage.platform.approvals.approve(approval.id, approval.digest, actor=OWNER)


def test_a_challenger_that_does_harm_is_rolled_back_by_the_stop_rule(stage: Stage) -> None:
    on_trial(stage)
    stage.serve(3, concept=rising, canary=2)  # the concept has turned back, so the challenger is wrong
    request = ended(stage)
    assert request.state is RequestState.ROLLED_BACK
    assert "worse than the champion" in request.reason
    assert (stage.champion, stage.alias) == (1, 1)
    assert stage.platform.deployments.get(NAME).canary is None


def test_a_persons_rollback_ends_the_request(stage: Stage) -> None:
    request = on_trial(stage)
    stage.platform.deployments.rollback_endpoint(NAME, actor=OWNER, reason="customers complain")
    assert stage.conductor.is_due(stage.loop)
    after = ended(stage)
    assert (after.id, after.state, after.reason) == (request.id, RequestState.ROLLED_BACK, "customers complain")
    assert stage.alias == 1


def test_a_persons_promotion_ends_the_request_as_promoted(stage: Stage) -> None:
    request = on_trial(stage)
    stage.serve(3, concept=falling, canary=2)
    rollout = stage.rollout(request)
    champion, challenger = stage.watch.outcomes(stage.loop, request, rollout)
    stage.platform.deployments.observe(rollout.id, champion=champion, challenger=challenger, actor=OWNER)
    stage.platform.deployments.promote(rollout.id, actor=OWNER)
    after = ended(stage)
    assert after.state is RequestState.PROMOTED
    assert (stage.champion, stage.alias) == (2, 2)


def test_an_alias_moved_by_a_person_during_the_canary_stays_and_the_canary_ends(stage: Stage) -> None:
    request = on_trial(stage)
    stage.platform.registry.set_alias(NAME, "champion", 3, expected=1, actor=OWNER)
    stage.serve(3, concept=falling, canary=2)
    after = ended(stage)
    assert after.state is RequestState.ROLLED_BACK
    assert "points at version 3" in after.reason
    assert stage.rollout(request).state == "rolled_back"
    assert (stage.champion, stage.alias) == (1, 3)


def test_a_champion_changed_meanwhile_refuses_the_request(stage: Stage) -> None:
    waiting(stage)
    promote_by_hand(stage, 3)
    stage.approve()
    request = ended(stage)
    assert request.state is RequestState.REFUSED
    assert "version 3 is in charge" in request.reason
    assert (stage.champion, stage.alias) == (3, 3)


def test_a_champion_changed_during_the_training_refuses_before_anything_is_scored(stage: Stage) -> None:
    stage.let_quality_drop()
    stage.platform.monitors.evaluate(NAME)
    stage.turn()
    stage.turn()
    promote_by_hand(stage, 3)
    before = stage.scorer.calls
    request = stage.conduct(trained=2)
    assert request is not None
    assert request.state is RequestState.REFUSED
    assert stage.scorer.calls == before


def test_another_rollout_at_the_endpoint_refuses_the_request(stage: Stage) -> None:
    request = waiting(stage)
    promote_by_hand(stage, 3, promote=False)
    stage.approve()
    after = ended(stage)
    assert (after.id, after.state) == (request.id, RequestState.REFUSED)
    assert "version 3 is on trial" in after.reason


def test_an_edited_model_is_not_covered_by_its_approval(stage: Stage) -> None:
    waiting(stage)
    stage.approve()
    stage.platform.artifacts.put("model/m-" + f"{2:032x}", "weights", [b"other weights"])
    request = ended(stage)
    assert request.state is RequestState.REFUSED
    assert "does not cover 'model'" in request.reason
    assert (stage.champion, stage.alias) == (1, 1)


def test_a_model_edited_before_it_was_judged_fails_the_request(empty_stage: Stage) -> None:
    empty_stage.ask(1)
    empty_stage.platform.artifacts.put("model/m-" + f"{1:032x}", "weights", [b"other weights"])
    request = ended(empty_stage)
    assert request.state is RequestState.FAILED
    assert "registered was" in request.reason


def test_a_deleted_model_fails_the_request_instead_of_repeating_it(stage: Stage) -> None:
    waiting(stage)
    stage.approve()
    stage.platform.registry.delete_version(NAME, 2, actor=OWNER)
    request = ended(stage)
    assert request.state is RequestState.FAILED
    assert "not found" in request.reason


def test_a_fault_of_ours_fails_the_request_and_takes_its_canary_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = on_trial(stage)

    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(stage.watch, "outcomes", fail)
    with pytest.raises(ZeroDivisionError):
        stage.turn()
    after = stage.platform.requests.get(request.id)
    assert after.state is RequestState.FAILED
    assert after.reason.startswith("internal error: ZeroDivisionError")
    assert stage.rollout(request).state == "rolled_back"
    assert stage.platform.deployments.get(NAME).canary is None


@pytest.mark.parametrize("fault", [Unavailable("later"), OSError("no space"), Conflict("busy")])
def test_a_passing_fault_leaves_the_request_for_a_later_turn(
    empty_stage: Stage, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    asked = empty_stage.ask(1)

    def fail(*arguments: object) -> None:
        raise fault

    with monkeypatch.context() as patched:
        patched.setattr(empty_stage.scorer, "score", fail)
        with pytest.raises(type(fault)):
            empty_stage.turn()
    assert empty_stage.newest == asked
    assert ended(empty_stage).state is RequestState.AWAITING_APPROVAL
