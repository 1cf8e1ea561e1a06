"""Rollouts: no trial without a stop rule, a stop acts at once, a promotion must be earned."""

from __future__ import annotations

import dataclasses

import pytest

from flyball.deployment.entities import Outcomes, Role, Rollout, RolloutId, Route, StopRule
from flyball.deployment.stop_rules import judge
from flyball.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied, Unsupported
from flyball.kernel.events import ref
from flyball.measures.sequential import Tally, compare_means

from .conftest import RULE, Room

OWNER, LOOP = "user:owner", "service:loop"
GOOD, BAD, FEW = Outcomes(hits=800, rows=1_000), Outcomes(hits=60, rows=200), Outcomes(hits=8, rows=10)


def start(room: Room, *, actor: str = LOOP, rule: StopRule | None = RULE) -> Rollout:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    return room.deployments.start_rollout("elec2", 2, share=0.1, stop_rule=rule, actor=actor)


def test_a_rollout_gives_the_challenger_its_share(room: Room) -> None:
    rollout = start(room)
    endpoint = room.deployments.get("elec2")
    assert endpoint.routes == (
        Route(version=1, share=0.9, role=Role.CHAMPION),
        Route(version=2, share=0.1, role=Role.CANARY),
    )
    assert (rollout.champion, rollout.challenger, rollout.state, rollout.looks) == (1, 2, "running", 0)
    assert endpoint.generation == 2


def test_each_rollout_draws_its_callers_afresh(room: Room) -> None:
    rollout = start(room)
    first = room.deployments.get("elec2").salt
    room.deployments.rollback(rollout.id, actor=LOOP, reason="again")
    room.deployments.start_rollout("elec2", 2, share=0.1, stop_rule=RULE, actor=LOOP)
    assert room.deployments.get("elec2").salt != first


def test_no_rollout_without_a_stop_rule(room: Room) -> None:
    with pytest.raises(InvalidInput) as caught:
        start(room, rule=None)
    assert caught.value.field == "stop_rule"
    assert room.deployments.get("elec2").canary is None
    assert room.deployments.list_rollouts() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 0.6}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"margin": -0.1}, "margin"),
        ({"margin": 1.0}, "margin"),
        ({"min_rows": 0}, "min_rows"),
        ({"max_rows": 99}, "max_rows"),
    ],
)
def test_a_stop_rule_out_of_range_is_refused_by_name(room: Room, change: dict[str, float], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        start(room, rule=dataclasses.replace(RULE, **change))  # type: ignore[arg-type]
    assert caught.value.field == f"stop_rule.{field}"


def test_a_metric_that_cannot_be_followed_is_unsupported(room: Room) -> None:
    with pytest.raises(Unsupported, match="accuracy"):
        start(room, rule=dataclasses.replace(RULE, metric="revenue"))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_out_of_range_is_refused(room: Room, share: float) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    with pytest.raises(InvalidInput) as caught:
        room.deployments.start_rollout("elec2", 2, share=share, stop_rule=RULE, actor=OWNER)
    assert caught.value.field == "share"


def test_one_rollout_at_a_time(room: Room) -> None:
    start(room)
    with pytest.raises(Conflict, match="on trial"):
        room.deployments.start_rollout("elec2", 3, share=0.1, stop_rule=RULE, actor=LOOP)


def test_the_champion_cannot_challenge_itself(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    with pytest.raises(Conflict, match="already"):
        room.deployments.start_rollout("elec2", 1, share=0.1, stop_rule=RULE, actor=LOOP)


def test_a_worse_challenger_is_stopped_and_rolled_back_at_once(room: Room) -> None:
    rollout = start(room)
    stopped = room.deployments.observe(rollout.id, champion=GOOD, challenger=BAD, actor=LOOP)
    assert stopped.verdict is not None
    assert (stopped.verdict.kind, stopped.state) == ("stop", "rolled_back")
    assert stopped.verdict.difference.upper < -RULE.margin
    assert room.deployments.get("elec2").routes == (Route(version=1, share=1.0, role=Role.CHAMPION),)
    assert room.deployments.get_rollout(rollout.id) == stopped


def test_the_stop_rule_stops_a_persons_rollout_too(room: Room) -> None:
    rollout = start(room, actor=OWNER)
    assert room.deployments.observe(rollout.id, champion=GOOD, challenger=BAD, actor=LOOP).state == "rolled_back"


def test_too_few_rows_say_that_they_are_too_few_and_go_on(room: Room) -> None:
    rollout = start(room)
    looked = room.deployments.observe(rollout.id, champion=GOOD, challenger=FEW, actor=LOOP)
    assert looked.verdict is not None
    assert (looked.verdict.kind, looked.state, looked.looks) == ("continue", "running", 1)
    assert "not enough data, 10 of 100" in looked.verdict.reason


def test_a_challenger_shown_not_to_be_worse_may_be_promoted(room: Room) -> None:
    rollout = start(room)
    better = Outcomes(hits=480, rows=500)
    looked = room.deployments.observe(rollout.id, champion=GOOD, challenger=better, actor=LOOP)
    assert looked.verdict is not None
    assert looked.verdict.kind == "promote"
    assert looked.verdict.difference.lower > -RULE.margin
    assert looked.state == "running"
    promoted = room.deployments.promote(rollout.id, actor=LOOP)
    endpoint = room.deployments.get("elec2")
    assert (promoted.state, endpoint.champion.version, endpoint.canary) == ("promoted", 2, None)
    assert endpoint.previous == (Route(version=1, share=1.0, role=Role.CHAMPION),)


def test_after_max_rows_without_a_stop_a_challenger_may_be_promoted(room: Room) -> None:
    verdict = judge(RULE, champion=GOOD, challenger=Outcomes(hits=800, rows=1_000))
    assert verdict.kind == "promote"
    assert "no evidence of harm" in verdict.reason
    assert judge(RULE, champion=GOOD, challenger=Outcomes(hits=799, rows=999)).kind == "continue"


def test_a_verdict_carries_the_interval_of_the_measure() -> None:
    verdict = judge(RULE, champion=GOOD, challenger=BAD)
    assert verdict.difference == compare_means(
        Tally(total=60, count=200), Tally(total=800, count=1_000), alpha=RULE.alpha
    )


@pytest.mark.parametrize("actor", [LOOP, OWNER])
def test_a_promotion_that_was_not_earned_is_a_conflict_for_everyone(room: Room, actor: str) -> None:
    rollout = start(room)
    with pytest.raises(Conflict, match="never observed"):
        room.deployments.promote(rollout.id, actor=actor)
    room.deployments.observe(rollout.id, champion=GOOD, challenger=FEW, actor=LOOP)
    with pytest.raises(Conflict, match="not enough data"):
        room.deployments.promote(rollout.id, actor=actor)


def test_the_same_outcomes_again_are_no_new_look(room: Room) -> None:
    rollout = start(room)
    one = room.deployments.observe(rollout.id, champion=GOOD, challenger=FEW, actor=LOOP)
    assert room.deployments.observe(rollout.id, champion=GOOD, challenger=FEW, actor=LOOP) == one
    kinds = [event.kind for event in room.events.history(ref("rollout", rollout.id))]
    assert kinds == ["rollout.started", "rollout.observed"]


def test_every_look_is_evidence_in_the_log(room: Room) -> None:
    rollout = start(room)
    room.deployments.observe(rollout.id, champion=GOOD, challenger=BAD, actor=LOOP)
    looked, ended = room.events.history(ref("rollout", rollout.id))[1:]
    assert looked.payload["champion_outcomes"] == {"hits": 800, "rows": 1_000}
    assert looked.payload["challenger_outcomes"] == {"hits": 60, "rows": 200}
    assert ended.kind == "rollout.rolled_back"
    assert ended.edges[0].object == ref("model-version", "elec2/1")
    assert room.events.verify().intact


def test_a_rollout_names_its_version_and_what_allowed_it(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    rollout = room.deployments.start_rollout(
        "elec2",
        2,
        share=0.1,
        stop_rule=RULE,
        actor=LOOP,
        allowed_by=ref("approval", "a"),
    )
    [event] = room.events.history(ref("rollout", rollout.id))
    assert [(edge.relation, edge.object) for edge in event.edges] == [
        ("of", "model-version:elec2/2"),
        ("allowed-by", "approval:a"),
    ]
    assert {edge.subject for edge in event.edges} == {ref("rollout", rollout.id)}


@pytest.mark.parametrize(
    ("champion", "challenger", "field"),
    [
        (Outcomes(hits=5, rows=4), FEW, "champion.hits"),
        (GOOD, Outcomes(hits=-1, rows=4), "challenger.hits"),
        (GOOD, Outcomes(hits=4, rows=9), "challenger.rows"),
    ],
)
def test_impossible_outcomes_are_refused_by_name(
    room: Room, champion: Outcomes, challenger: Outcomes, field: str
) -> None:
    rollout = start(room)
    room.deployments.observe(rollout.id, champion=GOOD, challenger=FEW, actor=LOOP)
    with pytest.raises(InvalidInput) as caught:
        room.deployments.observe(rollout.id, champion=champion, challenger=challenger, actor=LOOP)
    assert caught.value.field == field
    assert room.deployments.get_rollout(rollout.id).looks == 1


def test_automation_may_end_its_own_rollout_and_not_a_persons(room: Room) -> None:
    rollout = start(room, actor=OWNER)
    with pytest.raises(PermissionDenied):
        room.deployments.rollback(rollout.id, actor=LOOP, reason="nervous")
    ended = room.deployments.rollback(rollout.id, actor=OWNER, reason="enough")
    assert (ended.state, ended.reason) == ("rolled_back", "enough")
    assert room.deployments.rollback(rollout.id, actor=OWNER, reason="again") == ended


def test_a_rollout_that_ended_takes_no_more_looks_and_no_promotion(room: Room) -> None:
    rollout = start(room)
    room.deployments.rollback(rollout.id, actor=LOOP, reason="enough")
    with pytest.raises(Conflict, match="ended"):
        room.deployments.observe(rollout.id, champion=GOOD, challenger=FEW, actor=LOOP)
    with pytest.raises(Conflict, match="ended"):
        room.deployments.promote(rollout.id, actor=LOOP)


def test_an_unknown_rollout_is_not_found(room: Room) -> None:
    with pytest.raises(NotFound):
        room.deployments.get_rollout(RolloutId("nobody"))
