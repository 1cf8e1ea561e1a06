"""The promises of the registry's stores as test classes: subclass one, give it a store, and pytest holds it to them."""

from __future__ import annotations

import dataclasses

import pytest

from flyball.kernel.canonical import digest_bytes
from flyball.kernel.errors import AlreadyExists, Conflict
from flyball.registry.entities import (
    Decision,
    EvidenceKind,
    ModelVersion,
    Policy,
    RegisteredModel,
    Rule,
    RuleResult,
    Stage,
    Verdict,
    policy_digest,
)
from flyball.registry.models import RegistryStores
from flyball.registry.ports import DecisionStore
from flyball.registry.search import search_models, search_versions

DIGEST = digest_bytes(b"files")


def model(name: str, **changes: object) -> RegisteredModel:
    """Make a model for a test."""
    made = RegisteredModel(name=name, created_ms=1, updated_ms=1, created_by="user:owner")
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def version(name: str, number: int, **changes: object) -> ModelVersion:
    """Make a version for a test."""
    made = ModelVersion(
        name=name,
        version=number,
        source="mlflow-artifacts:/1/x",
        location="mlflow-artifacts:/1/x",
        digest=DIGEST,
        created_ms=number,
        updated_ms=number,
        created_by="user:owner",
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


class RegistryStoresConformance:
    """Promises of the three stores of the registry. A subclass gives the fixture `stores`: empty ones that belong together."""

    @pytest.fixture
    def elec(self, stores: RegistryStores) -> RegistryStores:
        """Fill a model with three versions, the second in production."""
        stores.models.add(model("elec", tags={"team": "grid"}))
        for number in (1, 2, 3):
            assert stores.versions.next_number("elec") == number
            stage = Stage.PRODUCTION if number == 2 else Stage.NONE
            stores.versions.add(version("elec", number, stage=stage, tags={"n": str(number)}, run_id=f"run{number}"))
        return stores

    def test_what_is_added_is_found_whole(self, stores: RegistryStores) -> None:
        made = model("a b.c", description="d", tags={"k": "v", "j": "Ω 'x'"})
        stores.models.add(made)
        assert stores.models.find("a b.c") == made
        assert stores.models.find("A B.C") is None

    def test_a_name_is_taken_once(self, stores: RegistryStores) -> None:
        stores.models.add(model("a", description="first"))
        with pytest.raises(AlreadyExists):
            stores.models.add(model("a", description="second"))
        kept = stores.models.find("a")
        assert kept is not None
        assert kept.description == "first"

    def test_save_replaces_description_tags_and_aliases(self, elec: RegistryStores) -> None:
        changed = model("elec", description="new", tags={"x": "1"}, aliases={"champion": 2, "next": 3}, updated_ms=9)
        elec.models.save(changed)
        assert elec.models.find("elec") == changed

    def test_a_version_is_found_whole_with_its_aliases(self, elec: RegistryStores) -> None:
        elec.models.save(model("elec", aliases={"b": 2, "a": 2, "c": 3}))
        found = elec.versions.find("elec", 2)
        expected = version("elec", 2, stage=Stage.PRODUCTION, tags={"n": "2"}, run_id="run2", aliases=("a", "b"))
        assert found == expected
        assert elec.versions.find("elec", 4) is None

    def test_saving_a_version_never_changes_its_files(self, elec: RegistryStores) -> None:
        other = digest_bytes(b"other")
        elec.versions.save(
            version("elec", 1, description="d", tags={}, digest=other, source="elsewhere", run_id="run9")
        )
        assert elec.versions.find("elec", 1) == version("elec", 1, description="d", run_id="run1")

    def test_removing_a_version_drops_its_aliases_and_frees_no_number(self, elec: RegistryStores) -> None:
        elec.models.save(model("elec", aliases={"champion": 3, "old": 1}))
        elec.versions.remove("elec", 3)
        kept = elec.models.find("elec")
        assert kept is not None
        assert kept.aliases == {"old": 1}
        assert elec.versions.next_number("elec") == 4

    def test_numbers_outlive_the_model(self, elec: RegistryStores) -> None:
        elec.models.remove("elec")
        assert elec.models.find("elec") is None
        assert elec.versions.find("elec", 1) is None
        elec.models.add(model("elec"))
        assert elec.versions.next_number("elec") == 4

    def test_a_renamed_model_takes_everything_along(self, elec: RegistryStores) -> None:
        elec.models.save(model("elec", tags={"team": "grid"}, aliases={"champion": 2}))
        elec.evidence.attach("elec", 2, kind=EvidenceKind.PROFILE, digest=DIGEST)
        elec.models.rename("elec", "power")
        assert elec.models.find("power") == model("power", tags={"team": "grid"}, aliases={"champion": 2})
        assert elec.versions.find("power", 2) is not None
        assert elec.evidence.read("power", 2) == {EvidenceKind.PROFILE: DIGEST}
        assert elec.versions.next_number("power") == 4

    def test_a_name_in_use_is_not_taken_by_renaming(self, elec: RegistryStores) -> None:
        elec.models.add(model("power"))
        with pytest.raises(AlreadyExists):
            elec.models.rename("elec", "power")

    def test_numbers_that_a_name_gave_out_stay_used_when_a_model_comes_to_it(self, elec: RegistryStores) -> None:
        elec.models.add(model("power"))
        for _ in range(7):
            elec.versions.next_number("power")
        elec.models.remove("power")
        assert (elec.versions.last_number("power"), elec.versions.last_number("absent")) == (7, 0)
        elec.models.rename("elec", "power")
        assert elec.versions.next_number("power") == 8

    def test_models_are_searched_and_ordered(self, stores: RegistryStores) -> None:
        for name, at in (("b", 3), ("a", 2), ("C", 1)):
            stores.models.add(model(name, updated_ms=at, tags={"team": name.lower()}))
        ask = {"limit": None, "page_token": ""}
        by_name = stores.models.search(search_models("", order_by=[], **ask))  # type: ignore[arg-type]
        by_time = stores.models.search(search_models("", order_by=["timestamp DESC"], **ask))  # type: ignore[arg-type]
        some = stores.models.search(search_models("tags.team != 'a' AND name ILIKE 'c'", order_by=[], **ask))  # type: ignore[arg-type]
        assert [each.name for each in by_name] == ["C", "a", "b"]
        assert [each.name for each in by_time] == ["b", "a", "C"]
        assert [each.name for each in some] == ["C"]

    @pytest.mark.parametrize(
        ("filter_text", "numbers"),
        [
            ("", [3, 2, 1]),
            ("version_number >= 2", [3, 2]),
            ("run_id IN ('run1', 'run3', 'x')", [3, 1]),
            ("run_id = 'run2' AND name = 'elec'", [2]),
            ("tags.n != '2'", [3, 1]),
            ("tags.absent != '2'", []),
            ("name LIKE 'ELEC'", []),
            ("name ILIKE 'EL%'", [3, 2, 1]),
            ("source_path LIKE 'mlflow-artifacts:%'", [3, 2, 1]),
        ],
    )
    def test_versions_are_searched(self, elec: RegistryStores, filter_text: str, numbers: list[int]) -> None:
        found = elec.versions.search(search_versions(filter_text, order_by=[], limit=None, page_token=""))
        assert [each.version for each in found] == numbers

    def test_a_search_returns_one_more_than_the_limit(self, elec: RegistryStores) -> None:
        found = elec.versions.search(search_versions("", order_by=["version_number ASC"], limit=1, page_token=""))
        assert [each.version for each in found] == [1, 2]

    def test_prompts_are_found_only_when_asked_for(self, elec: RegistryStores) -> None:
        elec.models.add(model("hello", tags={"mlflow.prompt.is_prompt": "true"}))
        only_prompts = "tags.`mlflow.prompt.is_prompt` = 'true'"
        plain = elec.models.search(search_models("", order_by=[], limit=None, page_token=""))
        asked = elec.models.search(search_models(only_prompts, order_by=[], limit=None, page_token=""))
        assert [each.name for each in plain] == ["elec"]
        assert [each.name for each in asked] == ["hello"]

    def test_newest_returns_one_version_of_each_stage(self, elec: RegistryStores) -> None:
        elec.models.add(model("other"))
        assert [(each.name, each.version) for each in elec.versions.newest(["elec", "other"])] == [
            ("elec", 2),
            ("elec", 3),
        ]
        assert elec.versions.newest([]) == []

    def test_evidence_of_a_kind_is_replaced(self, elec: RegistryStores) -> None:
        other = digest_bytes(b"other")
        elec.evidence.attach("elec", 1, kind=EvidenceKind.PROFILE, digest=DIGEST)
        elec.evidence.attach("elec", 1, kind=EvidenceKind.BASELINE, digest=DIGEST)
        elec.evidence.attach("elec", 1, kind=EvidenceKind.PROFILE, digest=other)
        assert elec.evidence.read("elec", 1) == {EvidenceKind.BASELINE: DIGEST, EvidenceKind.PROFILE: other}
        assert elec.evidence.read("elec", 2) == {}


def policy(number: int, margin: float = 0.0) -> Policy:
    """Make a policy for a test."""
    rules = (Rule(rule="beats_champion", parameters={"on": "recent", "confidence": 0.9, "margin": margin}),)
    return Policy(
        name="release",
        version=number,
        rules=rules,
        digest=policy_digest("release", rules),
        text="policy: release",
        created_ms=number,
        created_by="user:owner",
    )


def decision(decision_id: str, number: int) -> Decision:
    """Make a decision for a test."""
    found = RuleResult(
        rule="beats_champion", verdict=Verdict.PASS, reason="it does", numbers={"estimate": 0.1, "rows": 48.0}
    )
    return Decision(
        id=decision_id,
        model="elec",
        version=number,
        policy_name="release",
        policy_version=1,
        verdict=Verdict.PASS,
        results=(found,),
        evidence_digest=DIGEST,
        actor="service:loop",
        created_ms=5,
    )


class DecisionStoreConformance:
    """Promises of `DecisionStore`. A subclass gives the fixture `decisions`: an empty store."""

    def test_policies_are_found_whole(self, decisions: DecisionStore) -> None:
        decisions.add_policy(policy(1))
        decisions.add_policy(policy(2, margin=0.5))
        assert decisions.find_policy("release", 2) == policy(2, margin=0.5)
        assert decisions.policies("release") == [policy(1), policy(2, margin=0.5)]
        assert decisions.policies("other") == []
        assert decisions.find_policy("release", 3) is None

    def test_a_number_and_a_content_are_published_once(self, decisions: DecisionStore) -> None:
        decisions.add_policy(policy(1))
        with pytest.raises(Conflict):
            decisions.add_policy(policy(1, margin=0.5))
        with pytest.raises(Conflict):
            decisions.add_policy(policy(2))
        assert decisions.policies() == [policy(1)]

    def test_decisions_are_found_whole_oldest_first(self, decisions: DecisionStore) -> None:
        decisions.add_policy(policy(1))
        first, second = decision("a" * 32, 1), decision("b" * 32, 2)
        decisions.add_decision(second)
        decisions.add_decision(first)
        assert decisions.find_decision("b" * 32) == second
        assert decisions.decisions() == [first, second]
        assert decisions.decisions("elec", 2) == [second]
        assert decisions.decisions("other") == []
        assert decisions.find_decision("c" * 32) is None
