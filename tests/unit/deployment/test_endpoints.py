"""Endpoints: made once, changed by compare-and-set, rolled back by a flip."""

from __future__ import annotations

import threading

import pytest

from flyball.deployment.entities import EndpointState, EndpointStatus, Outcomes, Role, Route
from flyball.kernel.errors import AlreadyExists, Conflict, InvalidInput, NotFound, PermissionDenied
from flyball.kernel.events import Edge, ref
from flyball.serving.capture_rules import KEEP_ALL, CaptureMode, CaptureRules, Treatment

from .conftest import Room

OWNER, LOOP = "user:owner", "service:loop"
GOOD = Outcomes(hits=180, rows=200)


def only(version: int) -> tuple[Route, ...]:
    return (Route(version=version, share=1.0, role=Role.CHAMPION),)


def promote(room: Room, version: int, *, actor: str) -> None:
    rollout = room.deployments.start_rollout("elec2", version, share=0.5, stop_rule=room.rule, actor=actor)
    room.deployments.observe(
        rollout.id, champion=Outcomes(hits=500, rows=1_000), challenger=Outcomes(hits=900, rows=1_000), actor=actor
    )
    room.deployments.promote(rollout.id, actor=actor)


def test_a_new_endpoint_sends_everything_to_its_champion(room: Room) -> None:
    made = room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    assert (made.generation, made.routes, made.previous, made.state) == (1, only(1), (), EndpointState.ACTIVE)
    assert room.deployments.get("elec2") == made
    assert room.deployments.list() == [made]


def test_making_an_endpoint_is_told_to_the_log_with_what_it_serves(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    [event] = room.events.history(ref("endpoint", "elec2"))
    assert (event.kind, event.actor) == ("endpoint.created", OWNER)
    assert event.edges == (
        Edge(subject=ref("endpoint", "elec2"), relation="serves", object=ref("model-version", "elec2/1")),
    )


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "../x", "a b", "-a", "x" * 64])
def test_a_name_that_cannot_stand_in_a_url_is_refused(room: Room, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        room.deployments.create(name, "elec2", 1, actor=OWNER)
    assert caught.value.field == "name"


def test_a_taken_name_is_refused_and_nothing_is_recorded(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    with pytest.raises(AlreadyExists):
        room.deployments.create("elec2", "other", 2, actor=OWNER)
    assert len(room.events.history(ref("endpoint", "elec2"))) == 1


def test_an_unknown_endpoint_error_lists_those_there_are(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    with pytest.raises(NotFound, match="elec2"):
        room.deployments.get("elec3")


def test_rolling_back_makes_the_champion_before_the_champion_and_again_forward(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    promote(room, 2, actor=OWNER)
    back = room.deployments.rollback_endpoint("elec2", actor=OWNER, reason="wrong feature")
    assert (back.routes, back.previous) == (only(1), only(2))
    assert room.deployments.rollback_endpoint("elec2", actor=OWNER).routes == only(2)
    assert back.versions == (1, 2)


def test_a_rollback_without_a_champion_before_is_a_conflict(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    with pytest.raises(Conflict, match="no other champion"):
        room.deployments.rollback_endpoint("elec2", actor=OWNER)


def test_automation_may_roll_back_its_own_promotion(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    promote(room, 2, actor=LOOP)
    assert room.deployments.rollback_endpoint("elec2", actor=LOOP).routes == only(1)


def test_automation_may_not_undo_a_persons_promotion(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    promote(room, 2, actor=OWNER)
    with pytest.raises(PermissionDenied, match="user:owner"):
        room.deployments.rollback_endpoint("elec2", actor=LOOP)
    assert room.deployments.get("elec2").routes == only(2)


def test_automation_may_not_undo_a_persons_rollback(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    promote(room, 2, actor=LOOP)
    room.deployments.rollback_endpoint("elec2", actor=OWNER)
    with pytest.raises(PermissionDenied):
        room.deployments.rollback_endpoint("elec2", actor=LOOP)


def test_a_canary_of_automation_that_came_and_went_does_not_let_it_undo_the_person_before(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    promote(room, 2, actor=OWNER)
    canary = room.deployments.start_rollout("elec2", 3, share=0.1, stop_rule=room.rule, actor=LOOP)
    room.deployments.rollback(canary.id, actor=LOOP, reason="changed its mind")
    with pytest.raises(PermissionDenied):
        room.deployments.rollback_endpoint("elec2", actor=LOOP)


def test_rolling_back_an_endpoint_on_trial_ends_the_trial(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    rollout = room.deployments.start_rollout("elec2", 2, share=0.1, stop_rule=room.rule, actor=OWNER)
    assert room.deployments.rollback_endpoint("elec2", actor=OWNER, reason="no").routes == only(1)
    assert room.deployments.get_rollout(rollout.id).state == "rolled_back"


def test_of_two_rollouts_started_at_once_one_wins(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    outcomes: list[str] = []

    def start(version: int) -> None:
        try:
            room.deployments.start_rollout("elec2", version, share=0.1, stop_rule=room.rule, actor=OWNER)
            outcomes.append("started")
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=start, args=(version,)) for version in (2, 3, 4, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict"] * 3 + ["started"]
    assert len(room.deployments.list_rollouts("elec2")) == 1


def test_a_shadow_watches_and_goes_and_survives_a_promotion(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    watched = room.deployments.shadow("elec2", 7, share=1.0, actor=OWNER)
    assert watched.routes == (*only(1), Route(version=7, share=1.0, role=Role.SHADOW))
    promote(room, 2, actor=OWNER)
    assert room.deployments.get("elec2").routes == (*only(2), Route(version=7, share=1.0, role=Role.SHADOW))
    assert room.deployments.shadow("elec2", 7, share=0.0, actor=OWNER).routes == only(2)


def test_the_champion_cannot_shadow_itself(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    with pytest.raises(Conflict):
        room.deployments.shadow("elec2", 1, share=0.5, actor=OWNER)
    with pytest.raises(InvalidInput) as caught:
        room.deployments.shadow("elec2", 2, share=1.5, actor=OWNER)
    assert caught.value.field == "share"


def test_a_stopped_endpoint_takes_no_rollout_until_it_is_resumed(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    assert room.deployments.stop("elec2", actor=OWNER).state == "stopped"
    with pytest.raises(Conflict, match="resume"):
        room.deployments.start_rollout("elec2", 2, share=0.1, stop_rule=room.rule, actor=OWNER)
    assert room.deployments.resume("elec2", actor=OWNER).state == "active"
    assert [event.kind for event in room.events.history(ref("endpoint", "elec2"))] == [
        "endpoint.created",
        "endpoint.stopped",
        "endpoint.resumed",
    ]


def test_automation_may_not_stop_a_persons_endpoint(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    with pytest.raises(PermissionDenied):
        room.deployments.stop("elec2", actor=LOOP)


def test_what_a_process_reports_can_be_asked(room: Room) -> None:
    room.deployments.create("elec2", "elec2", 1, actor=OWNER)
    with pytest.raises(NotFound, match="not reported"):
        room.deployments.status("elec2")
    status = EndpointStatus(
        endpoint="elec2", generation=1, url="http://127.0.0.1:9", pid=1, heartbeat_ms=5, loaded=(1,), error=""
    )
    room.deployments.report_status(status)
    assert room.deployments.status("elec2") == status


def test_what_is_captured_is_set_read_back_and_told_to_the_log(room: Room) -> None:
    room.deployments.create("elec2", "power", 1, actor="user:owner")
    rules = CaptureRules(share=0.5, mode=CaptureMode.DURABLE, columns={"feature.age": Treatment.HASH})
    changed = room.deployments.set_capture("elec2", rules, actor="user:owner")
    assert (changed.generation, room.deployments.get("elec2").capture) == (2, rules)
    event = room.events.history(ref("endpoint", "elec2"))[-1]
    assert (event.kind, event.actor) == ("endpoint.capture_set", "user:owner")
    assert event.payload["capture"] == {
        "share": 0.5,
        "mode": "durable",
        "columns": {"feature.age": "hash"},
        "others": "keep",
    }


def test_the_same_rules_again_are_no_change(room: Room) -> None:
    room.deployments.create("elec2", "power", 1, actor="user:owner")
    assert room.deployments.set_capture("elec2", KEEP_ALL, actor="user:owner").generation == 1
    assert room.deployments.get("elec2").capture == KEEP_ALL
