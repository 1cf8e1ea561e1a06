"""Laws of the gates: evidence survives JSON, verdicts do not depend on order, bounds keep their promise."""

from __future__ import annotations

import itertools
import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.kernel.canonical import canonical_json
from flyball.registry import BlockScore, Evidence, PairedEvaluation, RuleResult, Verdict, WindowFact
from flyball.registry.entities import verdict_of
from flyball.registry.gates.beats_champion import BeatsChampion

words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)


@st.composite
def scores(draw: st.DrawFn) -> BlockScore:
    rows = draw(st.integers(0, 500))
    hits = st.integers(0, rows)
    return BlockScore(block=draw(words), rows=rows, champion_hits=draw(hits), challenger_hits=draw(hits))


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    roles = draw(st.lists(st.sampled_from(["holdout", "recent"]), unique=True))
    return Evidence(
        model=draw(words),
        version=draw(st.integers(1, 10_000)),
        version_digest="a" * 64,
        has_signature=draw(st.booleans()),
        signature_inputs=draw(st.integers(0, 50)),
        requirements=tuple(draw(st.lists(words, max_size=4))),
        champion_version=draw(st.none() | st.integers(1, 100)),
        evaluations=tuple(
            PairedEvaluation(
                role=role,  # type: ignore[arg-type]
                dataset="d/1",
                dataset_digest="0123abcd" * 8,
                metric="accuracy",
                blocks=tuple(draw(st.lists(scores(), max_size=6))),
            )
            for role in roles
        ),
        training_windows=tuple(
            WindowFact(window=draw(words), verdict=verdict, reason=draw(words))  # type: ignore[arg-type]
            for verdict in draw(st.lists(st.sampled_from(["clean", "corrupted", "unknown"]), max_size=4))
        ),
    )


@given(evidences())
def test_evidence_survives_its_canonical_json(evidence: Evidence) -> None:
    stored = canonical_json(evidence.to_json())
    assert Evidence.from_json(json.loads(stored)) == evidence
    assert Evidence.from_json(json.loads(stored)).digest() == evidence.digest()


@given(evidences())
@settings(max_examples=25, deadline=None)
def test_any_evidence_gets_a_verdict_with_a_reason_and_the_same_one_again(evidence: Evidence) -> None:
    rule = BeatsChampion.parse({"on": "recent"})
    result = rule.judge(evidence)
    assert result.reason
    assert all(np.isfinite(number) for number in result.numbers.values())
    assert rule.judge(Evidence.from_json(evidence.to_json())) == result


@given(st.lists(st.sampled_from(Verdict), min_size=1, max_size=4))
def test_the_order_of_the_rules_changes_no_verdict(verdicts: list[Verdict]) -> None:
    orders = itertools.permutations(RuleResult(rule="r", verdict=verdict, reason="") for verdict in verdicts)
    joined = {verdict_of(order) for order in orders}
    assert len(joined) == 1
    assert (joined == {Verdict.PASS}) == (set(verdicts) == {Verdict.PASS})


def test_two_equal_models_pass_no_more_often_than_the_confidence_allows() -> None:
    """Each of 400 trials has 20 days of 48 rows, with days that are hard for both; one-sided 5 % means about 20 passes."""
    random = np.random.default_rng(7)
    rule = BeatsChampion.parse({"on": "recent", "confidence": 0.95})
    passes = 0
    for trial in range(400):
        ease = np.clip(random.normal(0.8, 0.08, size=20), 0.0, 1.0)
        champion, challenger = random.binomial(48, ease), random.binomial(48, ease)
        evaluation = PairedEvaluation(
            role="recent",
            dataset="d/1",
            dataset_digest=f"{trial:08x}" * 8,
            metric="accuracy",
            blocks=tuple(
                BlockScore(block=str(day), rows=48, champion_hits=int(a), challenger_hits=int(b))
                for day, (a, b) in enumerate(zip(champion, challenger, strict=True))
            ),
        )
        evidence = Evidence(
            model="m",
            version=2,
            version_digest="a" * 64,
            has_signature=True,
            signature_inputs=1,
            requirements=(),
            champion_version=1,
            evaluations=(evaluation,),
            training_windows=(),
        )
        passes += rule.judge(evidence).verdict is Verdict.PASS
    # Binomial(400, 0.05) exceeds 34 with a chance below 0.1 %.
    assert passes <= 34
