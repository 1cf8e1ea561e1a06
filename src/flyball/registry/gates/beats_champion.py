"""The rule that a challenger is better than the champion on the same rows, by more than chance explains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

import msgspec

from flyball.kernel.canonical import JsonValue
from flyball.measures.intervals import Interval, paired_block_bootstrap
from flyball.registry.entities import RuleResult, Verdict
from flyball.registry.gates.evidence import Evidence, PairedEvaluation
from flyball.registry.gates.parameters import parse_parameters, write_parameters

# The seed comes from the data that was judged on: equal evidence gives equal bounds, and nobody can try seeds until one
# is kind.
_SEED_DIGITS = 8


class BeatsChampion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pass when the lower bound of the difference in accuracy lies above the margin, fail when the upper lies below.

    `on` is the role of the evaluation. `confidence` holds for each bound alone. `margin` is a share: 0.01 asks for one point
    of accuracy more than the champion's, -0.005 allows half a point less.
    """

    name: ClassVar[str] = "beats_champion"

    on: Literal["holdout", "recent"]
    confidence: Annotated[float, msgspec.Meta(ge=0.5, lt=1.0)] = 0.95
    margin: Annotated[float, msgspec.Meta(gt=-1.0, lt=1.0)] = 0.0

    @classmethod
    def parse(cls, parameters: Mapping[str, JsonValue]) -> Self:
        return parse_parameters(cls, parameters, name=cls.name)

    def parameters(self) -> dict[str, JsonValue]:
        return write_parameters(self)

    def judge(self, evidence: Evidence) -> RuleResult:
        if evidence.champion_version is None:
            return RuleResult(rule=self.name, verdict=Verdict.PASS, reason="no champion yet")
        evaluation = evidence.evaluation(self.on)
        if evaluation is None:
            return RuleResult(rule=self.name, verdict=Verdict.UNDECIDED, reason=f"no evaluation on '{self.on}'")
        if evaluation.rows == 0:
            reason = f"the evaluation on '{self.on}' has no labelled rows"
            return RuleResult(rule=self.name, verdict=Verdict.UNDECIDED, reason=reason)
        interval = self._interval(evaluation)
        verdict = self._verdict(interval)
        return RuleResult(
            rule=self.name,
            verdict=verdict,
            reason=self._reason(verdict, interval, evaluation),
            numbers=self._numbers(interval, evaluation),
        )

    def _interval(self, evaluation: PairedEvaluation) -> Interval:
        return paired_block_bootstrap(
            [block.champion_hits for block in evaluation.blocks],
            [block.challenger_hits for block in evaluation.blocks],
            [block.rows for block in evaluation.blocks],
            confidence=self.confidence,
            seed=int(evaluation.dataset_digest[:_SEED_DIGITS], 16),
        )

    def _verdict(self, interval: Interval) -> Verdict:
        if interval.lower > self.margin:
            return Verdict.PASS
        if interval.upper < self.margin:
            return Verdict.FAIL
        return Verdict.UNDECIDED

    def _reason(self, verdict: Verdict, interval: Interval, evaluation: PairedEvaluation) -> str:
        words = {
            Verdict.PASS: "better than the margin",
            Verdict.FAIL: "not better than the margin",
            Verdict.UNDECIDED: "not enough data to tell",
        }
        return (
            f"on '{self.on}' challenger minus champion is {interval.estimate:+.4f}"
            f" (bounds {interval.lower:+.4f} to {interval.upper:+.4f} at {self.confidence:.0%}, margin {self.margin:+.4f})"
            f" over {evaluation.rows} rows in {len(evaluation.blocks)} blocks: {words[verdict]}"
        )

    def _numbers(self, interval: Interval, evaluation: PairedEvaluation) -> dict[str, float]:
        rows = evaluation.rows
        return {
            "estimate": interval.estimate,
            "lower": interval.lower,
            "upper": interval.upper,
            "margin": self.margin,
            "rows": float(rows),
            "blocks": float(len(evaluation.blocks)),
            "champion_accuracy": sum(block.champion_hits for block in evaluation.blocks) / rows,
            "challenger_accuracy": sum(block.challenger_hits for block in evaluation.blocks) / rows,
        }
