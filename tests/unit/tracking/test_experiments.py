from __future__ import annotations

import pytest

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.errors import AlreadyExists, InvalidInput, NotFound
from flyball.kernel.events import EventLog
from flyball.tracking.entities import Lifecycle, View
from flyball.tracking.service import Tracking, open_tracking

OWNER = "user:owner"


def test_default_is_there_from_the_start_and_only_once(
    tracking: Tracking, sqlite: Database, events: EventLog, clock: ManualClock
) -> None:
    open_tracking(sqlite, events=events, clock=clock)
    page = tracking.experiments.search()
    assert [(found.experiment_id, found.name) for found in page.items] == [("0", "Default")]
    assert [event.kind for event in events.all()] == ["experiment.created"]


def test_a_name_stays_taken_while_its_experiment_is_deleted(tracking: Tracking) -> None:
    made = tracking.experiments.create("a", actor=OWNER)
    tracking.experiments.delete(made.experiment_id, actor=OWNER)
    with pytest.raises(AlreadyExists, match="already exists"):
        tracking.experiments.create("a", actor=OWNER)
    assert tracking.experiments.get_by_name("a").lifecycle is Lifecycle.DELETED


def test_an_unknown_name_is_not_found(tracking: Tracking) -> None:
    for name in ("nobody", "nul\x00"):
        with pytest.raises(NotFound):
            tracking.experiments.get_by_name(name)


@pytest.mark.parametrize(
    ("name", "location", "tags"),
    [
        ("", "", []),
        (" ", "", []),
        ("x" * 501, "", []),
        ("nul\x00", "", []),
        ("a", "s3://bucket/x?versionId=1", []),
        ("a", "s3://bucket/x#part", []),
        ("a", "s3://[", []),
        ("a", "", [("", "x")]),
        ("a", "", [("k", "x" * 20_001)]),
        ("a", "", [("../k", "x")]),
    ],
)
def test_a_bad_experiment_is_refused_and_nothing_is_written(
    tracking: Tracking, name: str, location: str, tags: list[tuple[str, str]]
) -> None:
    with pytest.raises(InvalidInput):
        tracking.experiments.create(name, artifact_location=location, tags=tags, actor=OWNER)
    assert len(tracking.experiments.search(view=View.ALL).items) == 1


def test_a_deleted_experiment_takes_no_runs_tags_or_names(tracking: Tracking) -> None:
    made = tracking.experiments.create("a", actor=OWNER)
    tracking.experiments.delete(made.experiment_id, actor=OWNER)
    with pytest.raises(InvalidInput, match="must be in the 'active' state"):
        tracking.runs.create(made.experiment_id, actor=OWNER)
    with pytest.raises(InvalidInput):
        tracking.experiments.rename(made.experiment_id, "b", actor=OWNER)
    with pytest.raises(InvalidInput):
        tracking.experiments.set_tag(made.experiment_id, "k", "v", actor=OWNER)
    with pytest.raises(NotFound):
        tracking.experiments.delete(made.experiment_id, actor=OWNER)


def test_a_rename_to_a_taken_name_is_refused(tracking: Tracking) -> None:
    made = tracking.experiments.create("a", actor=OWNER)
    with pytest.raises(AlreadyExists):
        tracking.experiments.rename(made.experiment_id, "Default", actor=OWNER)
    assert tracking.experiments.rename(made.experiment_id, "b", actor=OWNER).name == "b"


def test_a_tag_is_set_replaced_and_deleted(tracking: Tracking) -> None:
    for value in ("1", "2"):
        tracking.experiments.set_tag("0", "k", value, actor=OWNER)
    assert tracking.experiments.get("0").tags == {"k": "2"}
    tracking.experiments.delete_tag("0", "k", actor=OWNER)
    assert tracking.experiments.get("0").tags == {}
    with pytest.raises(NotFound):
        tracking.experiments.delete_tag("0", "k", actor=OWNER)


def test_every_change_is_an_event(tracking: Tracking, events: EventLog) -> None:
    made = tracking.experiments.create("a", actor=OWNER)
    key = made.experiment_id
    tracking.experiments.rename(key, "b", actor=OWNER)
    tracking.experiments.set_tag(key, "k", "v", actor=OWNER)
    tracking.experiments.delete_tag(key, "k", actor=OWNER)
    tracking.experiments.delete(key, actor=OWNER)
    tracking.experiments.restore(key, actor=OWNER)
    assert [event.kind.removeprefix("experiment.") for event in events.all()][1:] == [
        "created",
        "renamed",
        "tagged",
        "untagged",
        "deleted",
        "restored",
    ]
    assert events.verify().intact


def test_experiments_are_searched_and_paged(tracking: Tracking, clock: ManualClock) -> None:
    for name in ("alpha", "beta", "Alpine"):
        clock.advance(1)
        tracking.experiments.create(name, tags=[("team", name[0])], actor=OWNER)
    search = tracking.experiments.search
    assert [found.name for found in search().items] == ["Alpine", "beta", "alpha", "Default"]
    assert [found.name for found in search(filter_text="name LIKE 'al%'").items] == ["alpha"]
    assert [found.name for found in search(filter_text="name ILIKE 'AL%'", order_by=["name"]).items] == [
        "Alpine",
        "alpha",
    ]
    assert [found.name for found in search(filter_text="tags.team = 'b'").items] == ["beta"]
    assert [found.name for found in search(filter_text="experiment_id IN ('1', '3')", order_by=["name"]).items] == [
        "Alpine",
        "alpha",
    ]
    first = search(max_results=3)
    assert [found.name for found in search(max_results=3, page_token=first.next_token).items] == ["Default"]
    with pytest.raises(InvalidInput):
        search(max_results=0)
    with pytest.raises(InvalidInput):
        search(order_by=["tags.team"])
