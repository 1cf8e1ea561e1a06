"""The rules: each says pass, fail or undecided, and why."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pytest

from flyball.kernel.errors import InvalidInput, UnknownKey
from flyball.registry import BlockScore, Evidence, PairedEvaluation, Verdict, WindowFact
from flyball.registry.gates.beats_champion import BeatsChampion
from flyball.registry.gates.environment_locked import EnvironmentLocked
from flyball.registry.gates.no_corrupted_window import NoCorruptedWindow
from flyball.registry.gates.signature_present import SignaturePresent

EVIDENCE = Evidence(
    model="elec",
    version=2,
    version_digest="a" * 64,
    has_signature=True,
    signature_inputs=7,
    requirements=("scikit-learn==1.9.1", "numpy==2.4.6"),
    champion_version=1,
    evaluations=(),
    training_windows=(WindowFact(window="w/1", verdict="clean", reason="checked"),),
)


def paired(*blocks: tuple[int, int, int], role: Literal["holdout", "recent"] = "recent") -> PairedEvaluation:
    """Make an evaluation from (rows, champion hits, challenger hits) of each day."""
    return PairedEvaluation(
        role=role,
        dataset="elec-recent/1",
        dataset_digest="0123abcd" * 8,
        metric="accuracy",
        blocks=tuple(
            BlockScore(block=str(day), rows=rows, champion_hits=champion, challenger_hits=challenger)
            for day, (rows, champion, challenger) in enumerate(blocks)
        ),
    )


def judge(*evaluations: PairedEvaluation, **parameters: object) -> tuple[Verdict, str]:
    rule = BeatsChampion.parse({"on": "recent", **parameters})  # type: ignore[dict-item]
    result = rule.judge(dataclasses.replace(EVIDENCE, evaluations=evaluations))
    return result.verdict, result.reason


BETTER = [(48, 30 + day % 3, 38 + day % 2) for day in range(20)]
WORSE = [(rows, challenger, champion) for rows, champion, challenger in BETTER]


def test_a_challenger_that_is_better_on_every_day_passes() -> None:
    rule = BeatsChampion.parse({"on": "recent"})
    result = rule.judge(dataclasses.replace(EVIDENCE, evaluations=(paired(*BETTER),)))
    assert result.verdict is Verdict.PASS
    assert result.numbers["rows"] == 960
    assert result.numbers["lower"] > 0
    assert result.numbers["challenger_accuracy"] - result.numbers["champion_accuracy"] == pytest.approx(
        result.numbers["estimate"]
    )
    assert "over 960 rows in 20 blocks: better than the margin" in result.reason


def test_a_challenger_that_is_worse_on_every_day_fails() -> None:
    verdict, reason = judge(paired(*WORSE))
    assert verdict is Verdict.FAIL
    assert reason.endswith("not better than the margin")


def test_days_that_disagree_leave_it_undecided_and_say_how_much_is_known() -> None:
    verdict, reason = judge(paired((48, 30, 40), (48, 40, 30), (48, 30, 36), (48, 35, 33)))
    assert verdict is Verdict.UNDECIDED
    assert "challenger minus champion is +0.0208" in reason
    assert "192 rows" in reason
    assert "not enough data" in reason


def test_one_day_alone_decides_nothing_however_large_the_difference() -> None:
    assert judge(paired((10_000, 5_000, 9_000)))[0] is Verdict.UNDECIDED


def test_the_margin_moves_the_line() -> None:
    assert judge(paired(*BETTER), margin=0.5)[0] is Verdict.FAIL
    assert judge(paired((48, 30, 30), (48, 31, 31), (48, 32, 32)))[0] is Verdict.UNDECIDED
    assert judge(paired((48, 30, 30), (48, 31, 31), (48, 32, 32)), margin=-0.005)[0] is Verdict.PASS


def test_an_evaluation_of_another_role_counts_for_nothing() -> None:
    assert judge(paired(*BETTER, role="holdout")) == (Verdict.UNDECIDED, "no evaluation on 'recent'")


def test_an_evaluation_without_rows_is_undecided() -> None:
    for empty in (paired(), paired((0, 0, 0))):
        assert judge(empty) == (Verdict.UNDECIDED, "the evaluation on 'recent' has no labelled rows")


def test_without_a_champion_there_is_nothing_to_beat() -> None:
    result = BeatsChampion.parse({"on": "holdout"}).judge(dataclasses.replace(EVIDENCE, champion_version=None))
    assert (result.verdict, result.reason) == (Verdict.PASS, "no champion yet")


def test_equal_evidence_gives_equal_numbers() -> None:
    rule = BeatsChampion.parse({"on": "recent"})
    evidence = dataclasses.replace(EVIDENCE, evaluations=(paired(*BETTER),))
    assert rule.judge(evidence) == rule.judge(Evidence.from_json(evidence.to_json()))


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({}, "on"),
        ({"on": "test"}, "on"),
        ({"on": 1}, "on"),
        ({"on": "recent", "confidence": "high"}, "confidence"),
        ({"on": "recent", "confidence": True}, "confidence"),
        ({"on": "recent", "confidence": 1.0}, "confidence"),
        ({"on": "recent", "confidence": 0.2}, "confidence"),
        ({"on": "recent", "margin": 1}, "margin"),
        ({"on": "recent", "margin": float("nan")}, "margin"),
    ],
)
def test_parameters_out_of_their_type_or_range_are_refused(parameters: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        BeatsChampion.parse(parameters)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_an_unknown_parameter_is_refused_with_near_misses() -> None:
    with pytest.raises(UnknownKey, match="did you mean confidence") as caught:
        BeatsChampion.parse({"on": "recent", "confidance": 0.9})
    assert caught.value.field == "confidance"
    with pytest.raises(UnknownKey):
        SignaturePresent.parse({"x": 1})


def test_defaults_are_written_out_and_read_back() -> None:
    rule = BeatsChampion.parse({"on": "recent"})
    assert rule.parameters() == {"on": "recent", "confidence": 0.95, "margin": 0.0}
    assert BeatsChampion.parse(rule.parameters()) == rule


@pytest.mark.parametrize(
    ("has_signature", "inputs", "verdict"), [(True, 1, Verdict.PASS), (True, 0, Verdict.FAIL), (False, 0, Verdict.FAIL)]
)
def test_a_signature_must_name_an_input(has_signature: bool, inputs: int, verdict: Verdict) -> None:  # noqa: FBT001
    evidence = dataclasses.replace(EVIDENCE, has_signature=has_signature, signature_inputs=inputs)
    assert SignaturePresent.parse({}).judge(evidence).verdict is verdict


@pytest.mark.parametrize(
    "line",
    [
        "numpy==2.4.6",
        "numpy == 2.4.6",
        "uvicorn[standard]==0.35.0",
        "torch===2.13.0+cpu",
        "tomli==2.0.1; python_version < '3.11'",
        "a.b-c_d==1!2.0rc1",
    ],
)
def test_a_pinned_requirement_passes(line: str) -> None:
    evidence = dataclasses.replace(EVIDENCE, requirements=(line, "", "# a comment"))
    result = EnvironmentLocked.parse({}).judge(evidence)
    assert (result.verdict, result.numbers) == (Verdict.PASS, {"requirements": 1.0, "unpinned": 0.0})


@pytest.mark.parametrize(
    "line",
    [
        "numpy",
        "numpy>=2",
        "numpy~=2.4",
        "numpy==2.*",
        "numpy==2.4.6,>1",
        "numpy==2.4.6 numpy",
        "-r requirements.txt",
        "git+https://example.org/x",
        "x @ https://example.org/x.whl",
        "numpy==",
    ],
)
def test_a_requirement_that_is_not_pinned_fails_by_name(line: str) -> None:
    result = EnvironmentLocked.parse({}).judge(dataclasses.replace(EVIDENCE, requirements=("pandas==3.1.1", line)))
    assert (result.verdict, result.reason) == (Verdict.FAIL, f"not pinned by ==: {line}")


def test_an_empty_environment_is_not_locked() -> None:
    for empty in ((), ("", "# nothing")):
        result = EnvironmentLocked.parse({}).judge(dataclasses.replace(EVIDENCE, requirements=empty))
        assert (result.verdict, result.reason[:28]) == (Verdict.FAIL, "the model names no requireme")


CLEAN, CORRUPTED, UNKNOWN = (
    WindowFact(window="w/1", verdict="clean", reason="checked"),
    WindowFact(window="w/2", verdict="corrupted", reason="nswprice is out of range"),
    WindowFact(window="w/3", verdict="unknown", reason="no monitor"),
)


@pytest.mark.parametrize(
    ("windows", "verdict", "reason"),
    [
        ((CLEAN,), Verdict.PASS, "all 1 training windows are clean"),
        ((CLEAN, UNKNOWN, CORRUPTED), Verdict.FAIL, "trained on corrupted data: w/2 (nswprice is out of range)"),
        ((CLEAN, UNKNOWN), Verdict.UNDECIDED, "nothing is known of: w/3 (no monitor)"),
        ((), Verdict.UNDECIDED, "the evidence names no training window"),
    ],
)
def test_training_windows_must_be_known_to_be_clean(
    windows: tuple[WindowFact, ...], verdict: Verdict, reason: str
) -> None:
    result = NoCorruptedWindow.parse({}).judge(dataclasses.replace(EVIDENCE, training_windows=windows))
    assert (result.verdict, result.reason) == (verdict, reason)


def test_evidence_comes_back_whole_from_json() -> None:
    evidence = dataclasses.replace(EVIDENCE, evaluations=(paired(*BETTER), paired(role="holdout")))
    assert Evidence.from_json(evidence.to_json()) == evidence
    assert Evidence.from_json(evidence.to_json()).digest() == evidence.digest()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "2"}, "version"),
        ({"training_windows": [{"window": "w", "verdict": "maybe", "reason": ""}]}, "verdict"),
        ({"surprise": 1}, "no field 'evidence.surprise'"),
        (
            {"training_windows": [{"window": "w", "verdict": "clean", "reason": "", "more": 1}]},
            r"evidence.training_windows\[0\].more",
        ),
    ],
)
def test_json_that_is_no_evidence_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Evidence.from_json({**EVIDENCE.to_json(), **change})  # type: ignore[dict-item]


def test_evidence_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(InvalidInput, match="two evaluations claim the role 'recent'"):
        dataclasses.replace(EVIDENCE, evaluations=(paired(), paired()))
    with pytest.raises(InvalidInput, match="more hits than rows"):
        paired((10, 11, 0))
