"""Registered models, and the aliases that point at their versions."""

from __future__ import annotations

import pytest

from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import AlreadyExists, Conflict, FlyballError, InvalidInput, LimitExceeded, NotFound
from flyball.kernel.events import EventLog, ref
from flyball.registry import ANY, Registry

OWNER = "user:owner"


def test_a_model_is_created_once(registry: Registry) -> None:
    made = registry.create_model("elec", description="d", tags={"team": "grid"}, actor=OWNER)
    assert registry.get_model("elec") == made
    with pytest.raises(AlreadyExists):
        registry.create_model("elec", actor="user:other")
    assert registry.get_model("elec") == made


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:b", "a\nb", "a\x00", "..", "x" * 257])
def test_a_name_that_cannot_be_is_refused(registry: Registry, name: str) -> None:
    with pytest.raises((InvalidInput, LimitExceeded)) as caught:
        registry.create_model(name, actor=OWNER)
    assert caught.value.field == "name"


def test_an_absent_model_is_not_found(registry: Registry) -> None:
    assert registry.find_model("absent") is None
    for verb in (
        lambda: registry.get_model("absent"),
        lambda: registry.update_model("absent", description="", actor=OWNER),
        lambda: registry.delete_model("absent", actor=OWNER),
        lambda: registry.rename_model("absent", "b", actor=OWNER),
        lambda: registry.set_model_tag("absent", "k", value="v", actor=OWNER),
        lambda: registry.set_alias("absent", "a", 1, expected=ANY, actor=OWNER),
    ):
        with pytest.raises(NotFound):
            verb()


def test_description_and_tags_change(registry: Registry, clock: ManualClock) -> None:
    made = registry.create_model("elec", tags={"a": "1"}, actor=OWNER)
    clock.advance(7)
    registry.update_model("elec", description="new", actor=OWNER)
    registry.set_model_tag("elec", "b", value="2", actor=OWNER)
    registry.delete_model_tag("elec", "a", actor=OWNER)
    found = registry.get_model("elec")
    assert (found.description, found.tags) == ("new", {"b": "2"})
    assert found.updated_ms == made.updated_ms + 7


def test_a_renamed_model_keeps_its_versions_and_their_lineage(elec: Registry, events: EventLog) -> None:
    elec.set_alias("elec", "champion", 1, expected=None, actor=OWNER)
    elec.rename_model("elec", "power", actor=OWNER)
    assert elec.version_by_alias("power", "champion").version == 1
    assert elec.find_model("elec") is None
    edges = events.store.edges_from(ref("model-version", "power/1"))
    assert [(edge.relation, edge.object) for edge in edges] == [("renamed-from", "model-version:elec/1")]


def test_a_model_may_take_its_former_name_again_and_no_name_of_anothers_versions(elec: Registry) -> None:
    for name in ("power", "grid", "elec"):
        elec.rename_model(elec.search_models().items[0].name, name, actor=OWNER)
    assert [each.version for each in elec.search_versions("name = 'elec'").items] == [2, 1]
    elec.rename_model("elec", "power", actor=OWNER)
    elec.create_model("elec", actor=OWNER)
    elec.delete_model("elec", actor=OWNER)
    with pytest.raises(AlreadyExists, match="stand in the record"):
        elec.rename_model("power", "elec", actor=OWNER)
    elec.create_model("unused", actor=OWNER)
    elec.delete_model("unused", actor=OWNER)
    assert elec.rename_model("power", "unused", actor=OWNER).name == "unused"
    assert elec.rename_model("unused", "unused", actor=OWNER).name == "unused"


def test_renaming_to_a_name_in_use_changes_nothing(elec: Registry) -> None:
    elec.create_model("power", actor=OWNER)
    with pytest.raises(AlreadyExists):
        elec.rename_model("elec", "power", actor=OWNER)
    with pytest.raises(InvalidInput):
        elec.rename_model("elec", "a/b", actor=OWNER)
    assert elec.get_version("elec", 2).version == 2


def test_a_deleted_model_takes_its_versions_with_it(elec: Registry, events: EventLog) -> None:
    elec.delete_model("elec", actor=OWNER)
    with pytest.raises(NotFound):
        elec.get_version("elec", 1)
    assert events.history(ref("model", "elec"))[-1].payload == {"versions": [1, 2]}


def test_models_are_found_page_by_page(registry: Registry) -> None:
    for name in "dacb":
        registry.create_model(name, actor=OWNER)
    first = registry.search_models(limit=3)
    second = registry.search_models(limit=3, page_token=first.next_token or "")
    assert [each.name for each in (*first.items, *second.items)] == ["a", "b", "c", "d"]
    assert second.next_token is None


def test_an_alias_points_at_one_version_and_says_where_it_was(elec: Registry, events: EventLog) -> None:
    elec.set_alias("elec", "champion", 1, expected=None, actor=OWNER)
    elec.set_alias("elec", "champion", 2, expected=1, actor="service:loop")
    assert elec.version_by_alias("elec", "champion").version == 2
    assert elec.get_version("elec", 2).aliases == ("champion",)
    assert elec.get_version("elec", 1).aliases == ()
    moves = [event for event in events.history(ref("model", "elec")) if event.kind == "alias.moved"]
    assert [(event.actor, event.payload["previous"], event.payload["version"]) for event in moves] == [
        (OWNER, None, 1),
        ("service:loop", 1, 2),
    ]


@pytest.mark.parametrize("expected", [None, 2, 9])
def test_an_alias_that_points_elsewhere_is_not_moved(elec: Registry, expected: int | None) -> None:
    elec.set_alias("elec", "champion", 1, expected=ANY, actor=OWNER)
    with pytest.raises(Conflict, match="points at version 1 now") as caught:
        elec.set_alias("elec", "champion", 2, expected=expected, actor=OWNER)
    assert caught.value.field == "alias"
    assert elec.version_by_alias("elec", "champion").version == 1


def test_an_alias_of_an_absent_version_is_refused(elec: Registry) -> None:
    with pytest.raises(NotFound):
        elec.set_alias("elec", "champion", 9, expected=ANY, actor=OWNER)
    with pytest.raises(NotFound, match="champion"):
        elec.version_by_alias("elec", "champion")


@pytest.mark.parametrize("alias", ["", "latest", "Latest", "v1", "V12", "a b", "a/b", "x" * 256])
def test_an_alias_that_cannot_be_is_refused(elec: Registry, alias: str) -> None:
    with pytest.raises((InvalidInput, LimitExceeded)) as caught:
        elec.set_alias("elec", alias, 1, expected=ANY, actor=OWNER)
    assert isinstance(caught.value, FlyballError)
    assert caught.value.field == "alias"


def test_a_removed_alias_is_gone_and_removing_it_again_does_nothing(elec: Registry, events: EventLog) -> None:
    elec.set_alias("elec", "champion", 1, expected=None, actor=OWNER)
    with pytest.raises(Conflict):
        elec.remove_alias("elec", "champion", expected=2, actor=OWNER)
    elec.remove_alias("elec", "champion", actor=OWNER)
    elec.remove_alias("elec", "champion", actor=OWNER)
    assert elec.get_model("elec").aliases == {}
    assert [event.kind for event in events.history(ref("model", "elec"))].count("alias.removed") == 1


def test_the_record_of_all_this_is_one_intact_chain(elec: Registry, events: EventLog) -> None:
    elec.set_alias("elec", "champion", 1, expected=None, actor=OWNER)
    elec.set_stage("elec", 2, stage="Staging", actor=OWNER)
    elec.delete_version("elec", 1, actor=OWNER)
    assert events.verify().intact
    assert [event.kind for event in events.all()] == [
        "registered_model.created",
        "model_version.created",
        "model_version.created",
        "alias.moved",
        "stage.changed",
        "model_version.deleted",
    ]
