"""The way of a challenger into production, from the alert to the promotion, and everything it leaves behind."""

from __future__ import annotations

from tests.unit.retraining.stage import APPROVER, ENGINEER, NAME, Stage, falling

from flyball.kernel.events import ref
from flyball.registry import EvidenceKind
from flyball.retraining.entities import Cause, Origin, RequestState


def test_a_first_version_goes_through_gate_and_approval_into_charge(empty_stage: Stage) -> None:
    asked = empty_stage.ask(1)
    assert (asked.state, asked.origin, asked.champion) == (RequestState.EVALUATING, Origin.PERSON, None)
    waiting = empty_stage.conduct()
    assert waiting is not None
    assert waiting.state is RequestState.AWAITING_APPROVAL
    assert not empty_stage.conductor.is_due(empty_stage.loop)
    empty_stage.approve()
    assert empty_stage.conductor.is_due(empty_stage.loop)
    ended = empty_stage.conduct()
    assert ended is not None
    assert ended.state is RequestState.PROMOTED
    assert (empty_stage.champion, empty_stage.alias) == (1, 1)
    allowed = (ref("endpoint", NAME), "allowed-by", ref("approval", ended.approval_id))
    assert allowed in empty_stage.edges()


def test_a_concept_change_is_diagnosed_trained_judged_approved_tried_and_promoted(stage: Stage) -> None:
    stage.let_quality_drop()
    waiting = stage.conduct(trained=2)
    assert waiting is not None
    assert waiting.state is RequestState.AWAITING_APPROVAL, waiting.reason
    assert waiting.cause is Cause.CONCEPT_DRIFT
    assert (waiting.champion, waiting.challenger) == (1, 2)
    stage.approve()
    canary = stage.conduct()
    assert canary is not None
    assert canary.state is RequestState.CANARY
    assert {(route.version, route.share) for route in stage.platform.deployments.get(NAME).routes} == {
        (1, 0.5),
        (2, 0.5),
    }
    assert (stage.champion, stage.alias) == (1, 1)
    stage.serve(3, concept=falling, canary=2)
    ended = stage.conduct()
    assert ended is not None
    assert ended.state is RequestState.PROMOTED
    assert (stage.champion, stage.alias) == (2, 2)
    assert [route.version for route in stage.platform.deployments.get(NAME).routes] == [2]
    assert stage.kinds(ref("request", ended.id)) == [
        "request.opened",
        "request.training",
        "request.evaluating",
        "request.awaiting_approval",
        "request.canary",
        "request.promoted",
    ]
    assert stage.platform.events.verify().intact


def test_every_step_of_a_promotion_is_joined_by_lineage(stage: Stage) -> None:
    stage.let_quality_drop()
    stage.conduct()
    stage.approve()
    stage.conduct()
    stage.serve(3, concept=falling, canary=2)
    ended = stage.conduct()
    assert ended is not None
    window = ref("window", f"{NAME}/{ended.window_start_ms}")
    request, decision = ref("request", ended.id), ref("decision", ended.decision_id)
    approval, rollout = ref("approval", ended.approval_id), ref("rollout", ended.rollout_id)
    version = ref("model-version", f"{NAME}/2")
    expected = {
        (ref("alert", ended.alert_id), "about", window),
        (request, "caused-by", ref("alert", ended.alert_id)),
        (ref("pipeline-run", ended.pipeline_run_id), "for", request),
        (ref("dataset-version", ended.recent), "from", window),
        (decision, "judged", version),
        (decision, "on", ref("dataset-version", ended.recent)),
        (decision, "on", ref("dataset-version", ended.holdout)),
        (approval, "approves", decision),
        (rollout, "of", version),
        (rollout, "allowed-by", approval),
        (ref("endpoint", NAME), "serves", version),
    }
    assert expected - stage.edges() == set()


def test_the_challenger_carries_the_profile_and_the_baseline_it_will_be_held_against(stage: Stage) -> None:
    stage.let_quality_drop()
    request = stage.conduct()
    assert request is not None
    evidence = stage.platform.registry.evidence(NAME, 2)
    training = stage.platform.datasets.get(*_split(request.training))
    assert evidence[EvidenceKind.PROFILE] == training.profile_digest
    baseline = stage.platform.artifacts.read_json(evidence[EvidenceKind.BASELINE])
    assert isinstance(baseline, dict)
    assert baseline["dataset"] == request.holdout


def test_approver_and_requester_are_two(stage: Stage) -> None:
    stage.let_quality_drop()
    request = stage.conduct()
    assert request is not None
    stage.approve()
    approval = stage.platform.approvals.get(request.approval_id)
    assert (approval.requested_by, approval.decided_by) == ("service:loop", APPROVER)


def test_an_engineer_who_asked_is_the_requester_of_the_approval(empty_stage: Stage) -> None:
    empty_stage.ask(1)
    request = empty_stage.conduct()
    assert request is not None
    assert empty_stage.platform.approvals.get(request.approval_id).requested_by == ENGINEER


def _split(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("/")
    return stem, int(number)
