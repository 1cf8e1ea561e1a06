"""The story of one loop: data, run, version, gate, approval, endpoint, window, alert, request, retrained version."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from sqlalchemy import text

from flyball.governance.explanation import SEEN, Explanation, Hop, explanation_from_json
from flyball.governance.why import MAX_HOPS, Why, parse_thing, verify_explanation
from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.kernel.events import Edge, EventKind, EventLog, Ref, export_events, parse_export
from flyball.kernel.events.sql import SqlEventStore


class Told(EventKind):
    DONE = "told.done"


class Story:
    """Writes events as the rooms do."""

    def __init__(self, log: EventLog, clock: ManualClock) -> None:
        self.log = log
        self.clock = clock

    def tell(self, subject: str, *edges: str, actor: str = "service:worker", **facts: str) -> int:
        """Record an event; an edge is written as 'subject relation object'."""
        self.clock.advance(1_000)
        parts = [edge.split(" ") for edge in edges]
        return self.log.record(
            Told.DONE,
            actor=actor,
            subject=Ref(subject),
            payload=facts,
            edges=[Edge(subject=Ref(s), relation=r, object=Ref(o)) for s, r, o in parts],
        ).seq


@pytest.fixture
def log(database: Database, clock: ManualClock) -> EventLog:
    return EventLog(SqlEventStore(database), clock)


@pytest.fixture
def story(log: EventLog, clock: ManualClock) -> Story:
    return Story(log, clock)


@pytest.fixture
def loop(story: Story) -> Story:
    story.tell("dataset-version:elec2/1", actor="user:ada")
    story.tell("run:r1", "run:r1 used dataset-version:elec2/1", actor="user:ada")
    story.tell("model-version:elec2/1", "model-version:elec2/1 made-by run:r1", actor="user:ada")
    story.tell(
        "decision:d1",
        "decision:d1 judged model-version:elec2/1",
        "decision:d1 under policy:production/1",
        verdict="pass",
    )
    story.tell("approval:a1", actor="user:ada")
    story.tell("approval:a1", "approval:a1 approves decision:d1", actor="user:approver")
    story.tell("endpoint:elec2", "endpoint:elec2 serves model-version:elec2/1", actor="user:ada")
    story.tell(
        "window:elec2/1", "window:elec2/1 observes endpoint:elec2", "window:elec2/1 observes model-version:elec2/1"
    )
    story.tell("alert:x1", "alert:x1 about window:elec2/1", kind="quality_drop")
    return story


def things(hops: Iterable[Hop]) -> list[str]:
    return [f"{hop.relation} {hop.thing}" for hop in hops]


def find(explanation: Explanation, thing: str) -> Hop:
    return next(hop for _, hop in explanation.walk() if hop.thing == thing and hop.cut != SEEN)


def test_an_alert_is_followed_to_window_version_run_data_decision_and_approver(loop: Story) -> None:
    found = Why(loop.log).chain(Ref("alert:x1"))
    assert things(found.root.causes) == ["about window:elec2/1"]
    assert things(find(found, "window:elec2/1").causes) == ["observes endpoint:elec2", "observes model-version:elec2/1"]
    assert things(find(found, "model-version:elec2/1").causes) == ["made-by run:r1", "judged-by decision:d1"]
    assert things(find(found, "run:r1").causes) == ["used dataset-version:elec2/1"]
    assert things(find(found, "decision:d1").causes) == ["under policy:production/1", "approved-by approval:a1"]
    approval = find(found, "approval:a1")
    assert approval.proof is not None
    assert approval.proof.actor == "user:approver"
    assert (found.intact, found.complete) == (True, True)


def test_a_version_is_followed_to_its_making_and_its_approval(loop: Story) -> None:
    found = Why(loop.log).chain(Ref("model-version:elec2/1"))
    assert things(hop for _, hop in found.walk()) == [
        "made-by run:r1",
        "used dataset-version:elec2/1",
        "judged-by decision:d1",
        "under policy:production/1",
        "approved-by approval:a1",
    ]


def test_what_came_after_an_alert_is_no_cause_of_it(loop: Story) -> None:
    before = Why(loop.log).chain(Ref("alert:x1"))
    loop.tell("decision:d2", "decision:d2 judged model-version:elec2/1")
    loop.tell("rollout:o1", "rollout:o1 of model-version:elec2/1")
    loop.tell("endpoint:elec2", "endpoint:elec2 serves model-version:elec2/2")
    loop.tell("window:elec2/1", "window:elec2/1 observes model-version:elec2/9")
    after = Why(loop.log).chain(Ref("alert:x1"))
    assert things(hop for _, hop in after.walk()) == things(hop for _, hop in before.walk())


def test_an_endpoint_is_followed_to_what_it_served_at_the_moment_of_the_window(loop: Story) -> None:
    loop.tell(
        "endpoint:elec2",
        "endpoint:elec2 serves model-version:elec2/2",
        "endpoint:elec2 serves model-version:elec2/3",
    )
    loop.tell("window:elec2/2", "window:elec2/2 observes endpoint:elec2")
    loop.tell("endpoint:elec2", "endpoint:elec2 serves model-version:elec2/4")
    found = Why(loop.log).chain(Ref("window:elec2/2"))
    assert things(find(found, "endpoint:elec2").causes) == [
        "serves model-version:elec2/2",
        "serves model-version:elec2/3",
    ]
    assert things(Why(loop.log).chain(Ref("endpoint:elec2")).root.causes) == ["serves model-version:elec2/4"]


def test_a_loop_in_the_lineage_is_cut(loop: Story) -> None:
    loop.tell("request:q1", "request:q1 caused-by alert:x1")
    loop.tell("pipeline-run:p1", "pipeline-run:p1 for request:q1")
    loop.tell("run:r2", "run:r2 made-by pipeline-run:p1", "run:r2 used dataset-version:elec2/2")
    loop.tell("dataset-version:elec2/2", "dataset-version:elec2/2 from window:elec2/1")
    loop.tell("a:1", "a:1 from a:2", "a:2 from a:3")
    loop.tell("a:3", "a:3 from a:1", "a:3 from a:3")
    found = Why(loop.log).chain(Ref("a:1"))
    assert things(hop for _, hop in found.walk()) == ["from a:2", "from a:3", "from a:1", "from a:3"]
    assert [hop.cut for _, hop in found.walk()] == ["", "", SEEN, SEEN]
    retrained = Why(loop.log).chain(Ref("run:r2"))
    assert find(retrained, "alert:x1").causes
    mentions = [hop for _, hop in retrained.walk() if hop.thing == "window:elec2/1"]
    assert sorted(hop.cut for hop in mentions) == ["", SEEN]


def test_a_thing_is_explained_where_it_is_nearest_to_the_effect(story: Story) -> None:
    story.tell("b:3", "b:3 from b:4")
    story.tell("b:1", "b:1 from b:2", "b:1 from b:3", "b:2 from b:3")
    found = Why(story.log).chain(Ref("b:1"))
    assert [(hop.thing, hop.cut) for _, hop in found.walk()] == [
        ("b:2", ""),
        ("b:3", SEEN),
        ("b:3", ""),
        ("b:4", ""),
    ]


def test_depth_and_width_are_bounded_and_the_rest_is_marked(story: Story) -> None:
    for number in range(40):
        story.tell(f"c:{number}", f"c:{number} from c:{number + 1}")
    story.tell("d:0", *[f"d:0 from e:{number}" for number in range(20)])
    deep = Why(story.log).chain(Ref("c:0"), depth=3)
    assert [(hop.thing, hop.cut) for _, hop in deep.walk()] == [
        ("c:1", ""),
        ("c:2", ""),
        ("c:3", "not followed further"),
    ]
    wide = Why(story.log).chain(Ref("d:0"), width=5)
    assert [hop.thing for hop in wide.root.causes] == [f"e:{number}" for number in range(5)]
    assert wide.root.cut == "more than is shown"
    assert not deep.complete
    assert not wide.complete


def test_the_number_of_hops_is_bounded(story: Story) -> None:
    story.tell("m:0", *[f"m:0 from n:{number}" for number in range(MAX_HOPS + 10)])
    story.tell("n:0", "n:0 from o:0")
    found = Why(story.log).chain(Ref("m:0"), width=MAX_HOPS + 10)
    assert sum(not hop.cut for _, hop in found.walk()) < MAX_HOPS
    assert not found.complete


def test_every_hop_carries_the_place_and_the_digest_of_its_event(loop: Story) -> None:
    events = {event.seq: event for event in loop.log.all()}
    hops = [hop for _, hop in Why(loop.log).chain(Ref("alert:x1")).walk()]
    for hop in hops:
        assert hop.proof is not None
        assert hop.edge in events[hop.proof.seq].edges
        assert hop.proof.digest == events[hop.proof.seq].digest


def test_an_explanation_survives_json_and_verifies_against_an_export(loop: Story) -> None:
    found = Why(loop.log).chain(Ref("alert:x1"))
    again = explanation_from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    export = list(export_events(loop.log.all()))
    assert verify_explanation(again, parse_export(export)).intact


def test_a_forged_explanation_is_found_offline(loop: Story) -> None:
    export = list(export_events(loop.log.all()))
    found = json.dumps(Why(loop.log).chain(Ref("alert:x1")).to_json())
    innocent = found.replace("dataset-version:elec2/1", "dataset-version:elec2/7")
    for forged in (innocent, found.replace('"thing": "run:r1"', '"thing": "run:r7"')):
        assert forged != found
        checked = verify_explanation(explanation_from_json(json.loads(forged)), parse_export(export))
        assert not checked.intact
        assert checked.first_bad in {2, 3}


def test_an_explanation_of_another_record_does_not_verify(loop: Story) -> None:
    found = Why(loop.log).chain(Ref("alert:x1"))
    assert "not in the export" in verify_explanation(found, []).reason
    export = list(export_events(loop.log.all()))
    assert verify_explanation(found, parse_export(export[:1] + export[2:])).first_bad == 2


def test_an_edge_put_into_the_database_is_marked_as_not_proven(loop: Story, database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("UPDATE edges SET object = 'dataset-version:elec2/666' WHERE subject = 'run:r1'"))
    found = Why(loop.log).chain(Ref("alert:x1"))
    assert find(found, "dataset-version:elec2/666").fault == "the event does not carry this edge"
    assert not found.intact
    assert any("NOT PROVEN" in line for line in found.lines())


def test_an_edited_event_is_marked_as_not_proven(loop: Story, database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("UPDATE events SET actor = 'user:mallory' WHERE subject = 'approval:a1'"))
    found = Why(loop.log).chain(Ref("alert:x1"))
    assert find(found, "approval:a1").fault == "the event's content was changed"


def test_a_prediction_is_followed_through_what_its_record_says(loop: Story) -> None:
    belongs = {"p1": (Ref("endpoint:elec2"), Ref("model-version:elec2/1"), Ref("window:elec2/1"))}
    loop.tell("endpoint:elec2", "endpoint:elec2 serves model-version:elec2/2")
    found = Why(loop.log, prediction=belongs.__getitem__).chain(Ref("prediction:p1"))
    assert things(found.root.causes) == [
        "recorded-with endpoint:elec2",
        "recorded-with model-version:elec2/1",
        "recorded-with window:elec2/1",
    ]
    assert find(found, "endpoint:elec2").causes == ()
    assert find(found, "run:r1").proof is not None
    assert verify_explanation(found, loop.log.all()).intact


def test_a_prediction_without_a_prediction_log_is_refused(loop: Story) -> None:
    with pytest.raises(InvalidInput, match="no prediction log"):
        Why(loop.log).chain(Ref("prediction:p1"))


def test_a_thing_of_which_nothing_is_recorded_is_not_found(loop: Story) -> None:
    with pytest.raises(NotFound, match="nothing is recorded about 'alert:unknown'"):
        Why(loop.log).chain(Ref("alert:unknown"))


@pytest.mark.parametrize("wrong", ["", "alert", "alert:", ":x"])
def test_what_names_no_thing_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidInput, match="names no thing"):
        parse_thing(wrong)


def test_bounds_below_one_are_refused(loop: Story) -> None:
    with pytest.raises(InvalidInput, match="at least 1"):
        Why(loop.log).chain(Ref("alert:x1"), depth=0)


def test_the_text_is_an_indented_tree(loop: Story) -> None:
    short = {event.seq: event.digest[:12] for event in loop.log.all()}
    lines = list(Why(loop.log).chain(Ref("model-version:elec2/1")).lines())
    assert lines == [
        "model-version:elec2/1",
        f"│  · #3 told.done by user:ada, 2023-11-14T22:13:23Z, {short[3]}",
        f"├─ made-by run:r1 (#3 told.done by user:ada, 2023-11-14T22:13:23Z, {short[3]})",
        f"│  │  · #2 told.done by user:ada, 2023-11-14T22:13:22Z, {short[2]}",
        f"│  └─ used dataset-version:elec2/1 (#2 told.done by user:ada, 2023-11-14T22:13:22Z, {short[2]})",
        f"│        · #1 told.done by user:ada, 2023-11-14T22:13:21Z, {short[1]}",
        f"└─ judged-by decision:d1 (#4 told.done by service:worker, 2023-11-14T22:13:24Z, {short[4]})",
        f"   ├─ under policy:production/1 (#4 told.done by service:worker, 2023-11-14T22:13:24Z, {short[4]})",
        f"   └─ approved-by approval:a1 (#6 told.done by user:approver, 2023-11-14T22:13:26Z, {short[6]})",
        f"         · #5 told.done by user:ada, 2023-11-14T22:13:25Z, {short[5]}",
    ]


def test_the_text_tells_short_facts(loop: Story) -> None:
    assert any(line.endswith(": kind=quality_drop") for line in Why(loop.log).chain(Ref("alert:x1")).lines())


@pytest.mark.parametrize("wrong", [None, [], {}, {"root": 1}, {"root": {"thing": "x"}}, "x"])
def test_what_is_no_explanation_is_refused(wrong: None) -> None:
    with pytest.raises(InvalidInput, match="this is no explanation"):
        explanation_from_json(wrong)
