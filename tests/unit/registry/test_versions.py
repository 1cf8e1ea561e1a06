"""Versions: their files, their numbers, their stages and their evidence."""

from __future__ import annotations

import pytest

from flyball.artifacts import Artifacts
from flyball.kernel.canonical import digest_bytes
from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import FlyballError, InvalidInput, LimitExceeded, NotFound
from flyball.kernel.events import Edge, EventLog, ref
from flyball.registry import EvidenceKind, Registry, Stage
from flyball.registry.entities import UNKNOWN_FILES

OWNER = "user:owner"
MODEL = "model/m-" + "1" * 32


def kinds(events: EventLog) -> list[str]:
    return [event.kind for event in events.all()]


def test_a_version_has_the_digest_of_its_files(elec: Registry, artifacts: Artifacts) -> None:
    assert elec.get_version("elec", 1).digest == artifacts.tree_digest(MODEL)


def test_a_version_is_made_by_its_run_and_logged_model(elec: Registry, events: EventLog) -> None:
    edges = events.store.edges_from(ref("model-version", "elec/1"))
    assert [(edge.relation, edge.object) for edge in edges] == [
        ("made-by", "run:" + "2" * 32),
        ("made-by", "logged-model:m-" + "1" * 32),
    ]


def test_edges_of_the_caller_are_kept(registry: Registry, events: EventLog, source: str) -> None:
    registry.create_model("m", actor=OWNER)
    mine = Edge(subject=ref("model-version", "m/1"), relation="made-by", object=ref("pipeline-run", "p"))
    registry.create_version("m", source=source, actor=OWNER, edges=[mine])
    assert events.store.edges_to(ref("pipeline-run", "p")) == [mine]


@pytest.mark.parametrize(
    "place",
    [
        "mlflow-artifacts:/1/models/m-" + "9" * 32 + "/artifacts",
        "mlflow-artifacts:/1/models/m-" + "1" * 32 + "/artifacts/absent",
        "runs:/" + "9" * 32 + "/model",
        "s3://bucket/model",
        "models:/m-" + "9" * 32,
        "dbfs:/x",
    ],
)
def test_a_version_of_files_that_are_not_kept_here_has_no_digest(elec: Registry, place: str) -> None:
    made = elec.create_version("elec", source=place, actor=OWNER)
    assert (made.version, made.digest, made.status) == (3, UNKNOWN_FILES, "READY")
    assert elec.get_version("elec", 3) == made
    copy = elec.create_version("elec", source="models:/elec/3", actor=OWNER)
    assert (copy.digest, copy.location) == (UNKNOWN_FILES, place)


@pytest.mark.parametrize(
    "place",
    [
        "models:/m-" + "1" * 32,
        "runs:/" + "2" * 32 + "/model",
        "mlflow-artifacts:/1/" + "2" * 32 + "/artifacts/model",
        "mlflow-artifacts:/1/models/m-" + "1" * 32 + "/artifacts",
    ],
)
def test_a_source_of_another_run_or_model_is_refused(elec: Registry, place: str) -> None:
    with pytest.raises(InvalidInput, match="not in"):
        elec.create_version("elec", source=place, run_id="4" * 32, model_id="m-" + "3" * 32, actor=OWNER)


def test_a_source_climbing_out_of_its_folder_is_refused(elec: Registry) -> None:
    with pytest.raises(InvalidInput):
        elec.create_version(
            "elec", source="mlflow-artifacts:/1/models/m-" + "1" * 32 + "/artifacts/../../x", actor=OWNER
        )


@pytest.mark.parametrize("place", ["models:/elec/2", "models:/elec@champion"])
def test_a_copy_has_the_files_and_the_origin_of_what_it_was_copied_from(elec: Registry, place: str) -> None:
    elec.set_alias("elec", "champion", 2, expected=None, actor=OWNER)
    elec.create_model("copies", actor=OWNER)
    origin, copy = elec.get_version("elec", 2), elec.create_version("copies", source=place, actor=OWNER)
    assert (copy.digest, copy.location, copy.run_id) == (origin.digest, origin.location, origin.run_id)
    assert copy.source == "models:/elec/2"


def test_a_copy_cannot_claim_another_origin(elec: Registry) -> None:
    with pytest.raises(InvalidInput) as caught:
        elec.create_version("elec", source="models:/elec/2", run_id="4" * 32, actor=OWNER)
    assert caught.value.field == "run_id"


def test_a_prompt_is_no_source_of_a_model_and_has_no_place(elec: Registry) -> None:
    elec.create_model("hello", tags={"mlflow.prompt.is_prompt": "true"}, actor=OWNER)
    elec.create_version("hello", source="prompt-template", actor=OWNER)
    with pytest.raises(InvalidInput):
        elec.create_version("elec", source="models:/hello/1", actor=OWNER)
    with pytest.raises(InvalidInput):
        elec.create_version("hello", source="mlflow-artifacts:/1/x", actor=OWNER)


def test_a_copy_of_an_absent_version_is_not_found(elec: Registry) -> None:
    for source in ("models:/elec/9", "models:/absent/1", "models:/elec@nobody"):
        with pytest.raises(NotFound):
            elec.create_version("elec", source=source, actor=OWNER)


def test_a_prompt_needs_no_files_and_has_the_digest_of_its_text(registry: Registry) -> None:
    registry.create_model("hello", tags={"mlflow.prompt.is_prompt": "true"}, actor=OWNER)
    made = [
        registry.create_version("hello", source="prompt-template", tags={"mlflow.prompt.text": text}, actor=OWNER)
        for text in ("Hi", "Hi", "Ho")
    ]
    assert made[0].digest == made[1].digest != made[2].digest


def test_a_number_is_never_given_out_again(elec: Registry, source: str) -> None:
    elec.delete_version("elec", 2, actor=OWNER)
    assert elec.create_version("elec", source=source, actor=OWNER).version == 3
    elec.delete_model("elec", actor=OWNER)
    elec.create_model("elec", actor=OWNER)
    assert elec.create_version("elec", source=source, actor=OWNER).version == 4


def test_a_version_of_an_absent_model_is_not_found(registry: Registry, source: str) -> None:
    with pytest.raises(NotFound):
        registry.create_version("absent", source=source, actor=OWNER)
    with pytest.raises(NotFound):
        registry.get_version("absent", 1)


def test_description_and_tags_change_and_the_rest_does_not(elec: Registry, clock: ManualClock) -> None:
    before = elec.get_version("elec", 1)
    clock.advance(5)
    elec.update_version("elec", 1, description="d", actor=OWNER)
    elec.set_version_tag("elec", 1, key="a", value="1", actor=OWNER)
    elec.set_version_tag("elec", 1, key="b", value="2", actor=OWNER)
    elec.delete_version_tag("elec", 1, key="a", actor=OWNER)
    elec.delete_version_tag("elec", 1, key="absent", actor=OWNER)
    after = elec.get_version("elec", 1)
    assert (after.description, after.tags, after.updated_ms) == ("d", {"b": "2"}, before.updated_ms + 5)
    assert (after.source, after.digest, after.created_ms) == (before.source, before.digest, before.created_ms)


def test_a_version_comes_to_a_stage_and_the_others_go_to_the_archive(elec: Registry, events: EventLog) -> None:
    elec.set_stage("elec", 1, stage="production", actor=OWNER)
    moved = elec.set_stage("elec", 2, stage="PRODUCTION", archive_existing=True, actor=OWNER)
    assert moved.stage is Stage.PRODUCTION
    assert elec.get_version("elec", 1).stage is Stage.ARCHIVED
    last = events.history(ref("model-version", "elec/2"))[-1]
    assert (last.kind, last.payload["archived"]) == ("stage.changed", [1])


def test_an_unknown_stage_or_archive_is_refused(elec: Registry) -> None:
    with pytest.raises(InvalidInput, match="must be one of None, Staging, Production, Archived"):
        elec.set_stage("elec", 1, stage="prod", actor=OWNER)
    with pytest.raises(InvalidInput):
        elec.set_stage("elec", 1, stage="Archived", archive_existing=True, actor=OWNER)


def test_latest_versions_are_the_newest_of_each_stage(elec: Registry, source: str) -> None:
    elec.set_stage("elec", 1, stage="Staging", actor=OWNER)
    elec.create_version("elec", source=source, actor=OWNER)
    assert [each.version for each in elec.latest_versions("elec")] == [1, 3]
    assert [each.version for each in elec.latest_versions("elec", ["none"])] == [3]
    assert elec.latest_versions("elec", ["Production"]) == []
    with pytest.raises(NotFound):
        elec.latest_versions("absent")


def test_evidence_is_attached_and_replaced_with_an_event_each(elec: Registry, events: EventLog) -> None:
    first, second = digest_bytes(b"1"), digest_bytes(b"2")
    for digest in (first, second, second):
        elec.attach("elec", 1, "profile", digest, actor=OWNER)
    elec.attach("elec", 1, EvidenceKind.BASELINE, first, actor=OWNER)
    assert elec.evidence("elec", 1) == {"profile": second, "baseline": first}
    told = [
        event.payload for event in events.history(ref("model-version", "elec/1")) if event.kind == "evidence.attached"
    ]
    assert [(each["kind"], each["previous"]) for each in told] == [
        ("profile", None),
        ("profile", first),
        ("baseline", None),
    ]


@pytest.mark.parametrize(("kind", "digest"), [("profil", "0" * 64), ("profile", "xyz"), ("profile", "")])
def test_evidence_of_an_unknown_kind_or_without_digest_is_refused(elec: Registry, kind: str, digest: str) -> None:
    with pytest.raises(InvalidInput):
        elec.attach("elec", 1, kind, digest, actor=OWNER)
    assert elec.evidence("elec", 1) == {}


def test_evidence_of_an_absent_version_is_not_found(elec: Registry) -> None:
    with pytest.raises(NotFound):
        elec.attach("elec", 9, "profile", "0" * 64, actor=OWNER)
    with pytest.raises(NotFound):
        elec.evidence("elec", 9)


@pytest.mark.parametrize(
    "given",
    [
        {"source": ""},
        {"source": "x" * 4_001},
        {"source": "x\x00"},
        {"description": "x" * 100_001},
        {"description": "\x00"},
        {"tags": {"": "x"}},
        {"tags": {"a/../b": "x"}},
        {"tags": {"k": "x" * 100_001}},
        {"tags": {"k": "\x00"}},
        {"run_id": "\x00"},
    ],
)
def test_bad_input_makes_no_version(elec: Registry, source: str, given: dict[str, object]) -> None:
    with pytest.raises((InvalidInput, LimitExceeded)) as caught:
        elec.create_version("elec", **{"source": source, "actor": OWNER, **given})  # type: ignore[arg-type]
    assert isinstance(caught.value, FlyballError)
    assert caught.value.field
    assert len(elec.search_versions("name = 'elec'").items) == 2


def test_pages_of_versions_join_to_the_whole(elec: Registry, source: str) -> None:
    for _ in range(3):
        elec.create_version("elec", source=source, actor=OWNER)
    seen: list[int] = []
    token = ""
    while True:
        page = elec.search_versions(order_by=["version_number ASC"], limit=2, page_token=token)
        seen += [each.version for each in page.items]
        if not page.next_token:
            break
        token = page.next_token
    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "given",
    [
        {"filter_text": "name = 'a' OR name = 'b'"},
        {"filter_text": "nme = 'a'"},
        {"filter_text": "name > 'a'"},
        {"filter_text": "version_number = 'a'"},
        {"filter_text": "metrics.x > 1"},
        {"order_by": ["nme"]},
        {"order_by": ["name", "name DESC"]},
        {"limit": 0},
        {"limit": 200_001},
        {"page_token": "garbage"},
    ],
)
def test_a_search_that_cannot_be_read_is_refused(elec: Registry, given: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        elec.search_versions(**given)  # type: ignore[arg-type]
