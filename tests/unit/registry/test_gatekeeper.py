"""Policies are published once; decisions keep their evidence and can be made again from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from flyball.artifacts import Artifacts
from flyball.kernel.errors import Conflict, Corrupted, InvalidInput, LimitExceeded, NotFound, UnknownKey
from flyball.kernel.events import Edge, EventLog, ref
from flyball.registry import BlockScore, Evidence, Gatekeeper, PairedEvaluation, Registry, Verdict, WindowFact
from flyball.registry.gates.catalogue import InstalledGates

OWNER = "user:owner"
POLICY = """
policy: release
rules:
  - rule: signature_present
  - rule: environment_locked
  - rule: beats_champion
    on: recent
    confidence: 0.9
  - rule: no_corrupted_window
"""


@pytest.fixture
def evidence(elec: Registry) -> Evidence:
    blocks = tuple(
        BlockScore(block=str(day), rows=48, champion_hits=30 + day % 3, challenger_hits=37 + day % 2)
        for day in range(14)
    )
    recent = PairedEvaluation(
        role="recent", dataset="r/1", dataset_digest="0123abcd" * 8, metric="accuracy", blocks=blocks
    )
    return Evidence(
        model="elec",
        version=2,
        version_digest=elec.get_version("elec", 2).digest,
        has_signature=True,
        signature_inputs=7,
        requirements=("scikit-learn==1.9.1",),
        champion_version=1,
        evaluations=(recent,),
        training_windows=(WindowFact(window="w/1", verdict="clean", reason="checked"),),
    )


def test_a_policy_is_published_with_every_default_written_out(gatekeeper: Gatekeeper, events: EventLog) -> None:
    policy = gatekeeper.publish(POLICY, actor=OWNER)
    assert (policy.name, policy.version) == ("release", 1)
    assert policy.rules[2].content() == {
        "rule": "beats_champion",
        "parameters": {"on": "recent", "confidence": 0.9, "margin": 0.0},
    }
    assert gatekeeper.policy("release") == policy
    assert [event.kind for event in events.history(policy.ref)] == ["policy.published"]


def test_the_same_content_is_the_same_version_and_other_content_the_next(gatekeeper: Gatekeeper) -> None:
    first = gatekeeper.publish(POLICY, actor=OWNER)
    again = gatekeeper.publish(POLICY.replace("0.9", "0.90   # as agreed"), actor="user:other")
    changed = gatekeeper.publish(POLICY.replace("0.9", "0.8"), actor=OWNER)
    assert again == first
    assert changed.version == 2
    assert gatekeeper.policies() == [first, changed]
    assert gatekeeper.policy("release").version == 2
    assert gatekeeper.policy("release", 1) == first


def test_an_unpublished_policy_is_not_found_and_the_published_are_named(gatekeeper: Gatekeeper) -> None:
    gatekeeper.publish(POLICY, actor=OWNER)
    with pytest.raises(NotFound, match="published: release"):
        gatekeeper.policy("relese")
    with pytest.raises(NotFound, match="it has 1 to 1"):
        gatekeeper.policy("release", 2)


@pytest.mark.parametrize(
    ("text", "error", "field", "message"),
    [
        ("", InvalidInput, "the policy", "must be a mapping"),
        ("[]", InvalidInput, "the policy", "must be a mapping"),
        ("policy: x\nrules: [", InvalidInput, "the policy", "is no YAML"),
        ("policy: x", InvalidInput, "rules", "must be a list, not nothing"),
        ("policy: x\nrules: []", InvalidInput, "rules", "is empty"),
        ("policy: x\nrules: {}", InvalidInput, "rules", "must be a list, not dict"),
        ("rules: [{rule: signature_present}]", InvalidInput, "policy", "must be a name"),
        ("policy: 7\nrules: [{rule: signature_present}]", InvalidInput, "policy", "must be a name"),
        ("policy: a/b\nrules: [{rule: signature_present}]", InvalidInput, "policy", "must be a name"),
        ("policy: x\nrulse: []", UnknownKey, "rulse", "did you mean rules"),
        ("policy: x\npolicy: y\nrules: []", InvalidInput, "policy", "given twice"),
        ("policy: x\nrules: [signature_present]", InvalidInput, "rules[0]", "must be a mapping"),
        ("policy: x\nrules: [{on: recent}]", InvalidInput, "rules[0].rule", "needs 'rule'"),
        (
            "policy: x\nrules: [{rule: signatur_present}]",
            InvalidInput,
            "rules[0].rule",
            "did you mean signature_present. known: beats_champion, environment_locked",
        ),
        (
            "policy: x\nrules: [{rule: nonsense}]",
            InvalidInput,
            "rules[0].rule",
            "unknown rule 'nonsense'; known: beats",
        ),
        (
            "policy: x\nrules: [{rule: beats_champion, on: recent, confidance: 0.9}]",
            UnknownKey,
            "rules[0].confidance",
            "did you mean confidence",
        ),
        (
            "policy: x\nrules: [{rule: beats_champion, on: recent, confidence: high}]",
            InvalidInput,
            "rules[0].confidence",
            "got `str`",
        ),
        (
            "policy: x\nrules: [{rule: beats_champion, on: recent, margin: [1]}]",
            InvalidInput,
            "rules[0].margin",
            "must be text, a number",
        ),
        (
            "policy: x\nrules: [{rule: signature_present}, {rule: signature_present}]",
            InvalidInput,
            "rules[1]",
            "repeats rules",
        ),
        (
            "policy: x\nrules: [{rule: beats_champion, on: recent, on: holdout}]",
            InvalidInput,
            None,
            "given twice",
        ),
        ("policy: x\nrules: [{rule: beats_champion, 7: recent}]", InvalidInput, "7", "'7' on line 2 is no name"),
        ("#" * 65_537, LimitExceeded, "policy", "65537 characters"),
    ],
)
def test_a_policy_that_cannot_be_read_is_refused_and_not_published(
    gatekeeper: Gatekeeper, events: EventLog, text: str, error: type[Exception], field: str | None, message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        gatekeeper.publish(text, actor=OWNER)
    if field is not None:
        assert getattr(caught.value, "field", None) == field
    assert gatekeeper.policies() == []
    assert list(events.all()) == []


def test_a_decision_joins_its_rules_and_keeps_its_evidence(
    gatekeeper: Gatekeeper, evidence: Evidence, artifacts: Artifacts
) -> None:
    policy = gatekeeper.publish(POLICY, actor=OWNER)
    decision = gatekeeper.decide(policy, evidence, actor="service:loop")
    assert decision.verdict is Verdict.PASS
    assert [result.rule for result in decision.results] == [rule.rule for rule in policy.rules]
    assert gatekeeper.decision(decision.id) == decision
    assert decision.evidence_digest == evidence.digest()
    assert artifacts.read_json(decision.evidence_digest) == evidence.to_json()
    assert gatekeeper.evidence(decision.id) == evidence
    assert gatekeeper.decisions(model="elec", version=2) == [decision]
    assert gatekeeper.decisions(model="elec", version=1) == []


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"champion_version": None}, Verdict.PASS),
        ({"evaluations": ()}, Verdict.UNDECIDED),
        ({"evaluations": (), "has_signature": False}, Verdict.FAIL),
        ({"training_windows": ()}, Verdict.UNDECIDED),
        ({"training_windows": (WindowFact(window="w", verdict="corrupted", reason="units"),)}, Verdict.FAIL),
    ],
)
def test_one_failure_fails_and_one_doubt_leaves_it_undecided(
    gatekeeper: Gatekeeper, evidence: Evidence, change: dict[str, object], verdict: Verdict
) -> None:
    policy = gatekeeper.publish(POLICY, actor=OWNER)
    changed = dataclasses.replace(evidence, **change)  # type: ignore[arg-type]
    assert gatekeeper.decide(policy, changed, actor=OWNER).verdict is verdict


def test_a_replayed_decision_is_the_same_bit_for_bit(gatekeeper: Gatekeeper, evidence: Evidence) -> None:
    policy = gatekeeper.publish(POLICY, actor=OWNER)
    for each in (evidence, dataclasses.replace(evidence, evaluations=())):
        decision = gatekeeper.decide(policy, each, actor=OWNER)
        gatekeeper.publish(POLICY.replace("0.9", "0.6"), actor=OWNER)
        assert gatekeeper.replay(decision.id) == decision
        assert [result.content() for result in gatekeeper.replay(decision.id).results] == [
            result.content() for result in decision.results
        ]


def test_a_decision_is_replayed_only_on_evidence_that_is_whole(
    gatekeeper: Gatekeeper, evidence: Evidence, artifacts: Artifacts
) -> None:
    decision = gatekeeper.decide(gatekeeper.publish(POLICY, actor=OWNER), evidence, actor=OWNER)
    artifacts.blobs.delete(decision.evidence_digest)
    with pytest.raises((NotFound, Corrupted)):
        gatekeeper.replay(decision.id)


def test_a_version_whose_files_are_not_kept_here_is_not_decided_about(
    gatekeeper: Gatekeeper, elec: Registry, evidence: Evidence
) -> None:
    policy = gatekeeper.publish(POLICY, actor=OWNER)
    made = elec.create_version("elec", source="s3://bucket/model", actor=OWNER)
    claimed = dataclasses.replace(evidence, version=made.version, version_digest=made.digest)
    with pytest.raises(Conflict, match="not kept here"):
        gatekeeper.decide(policy, claimed, actor=OWNER)


def test_evidence_from_other_files_decides_nothing(gatekeeper: Gatekeeper, evidence: Evidence) -> None:
    policy = gatekeeper.publish(POLICY, actor=OWNER)
    with pytest.raises(Conflict, match="gather it again"):
        gatekeeper.decide(policy, dataclasses.replace(evidence, version_digest="b" * 64), actor=OWNER)
    with pytest.raises(NotFound):
        gatekeeper.decide(policy, dataclasses.replace(evidence, version=9), actor=OWNER)
    assert gatekeeper.decisions() == []


def test_a_decision_leaves_its_edges_in_the_record(
    gatekeeper: Gatekeeper, evidence: Evidence, events: EventLog
) -> None:
    policy = gatekeeper.publish(POLICY, actor=OWNER)
    mine = Edge(subject=ref("evaluation", "e"), relation="of", object=ref("model-version", "elec/2"))
    decision = gatekeeper.decide(policy, evidence, actor=OWNER, edges=[mine])
    event = events.history(decision.ref)[-1]
    assert event.payload["verdict"] == "pass"
    assert [(edge.subject, edge.relation, edge.object) for edge in event.edges] == [
        (f"decision:{decision.id}", "judged", "model-version:elec/2"),
        (f"decision:{decision.id}", "under", "policy:release/1"),
        ("evaluation:e", "of", "model-version:elec/2"),
    ]
    assert events.verify().intact


def test_an_unknown_decision_is_not_found(gatekeeper: Gatekeeper) -> None:
    with pytest.raises(NotFound):
        gatekeeper.decision("nope")
    with pytest.raises(NotFound):
        gatekeeper.replay("nope")


def test_every_rule_in_its_file_is_installed() -> None:
    folder = Path(__file__).parents[3] / "src" / "flyball" / "registry" / "gates"
    others = {"__init__", "catalogue", "evidence", "parameters"}
    rules = sorted(path.stem for path in folder.glob("*.py") if path.stem not in others)
    installed = InstalledGates()
    assert installed.names() == rules
    assert [installed.load(name).name for name in rules] == rules
