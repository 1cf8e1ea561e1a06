"""The rule that a model was not trained on data that is known to be wrong, or of which nothing is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import msgspec

from flyball.kernel.canonical import JsonValue
from flyball.registry.entities import RuleResult, Verdict
from flyball.registry.gates.evidence import Evidence, WindowFact
from flyball.registry.gates.parameters import parse_parameters, write_parameters

_SHOWN = 3


class NoCorruptedWindow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pass when every training window is known to be clean, fail when one is corrupted."""

    name: ClassVar[str] = "no_corrupted_window"

    @classmethod
    def parse(cls, parameters: Mapping[str, JsonValue]) -> Self:
        return parse_parameters(cls, parameters, name=cls.name)

    def parameters(self) -> dict[str, JsonValue]:
        return write_parameters(self)

    def judge(self, evidence: Evidence) -> RuleResult:
        windows = evidence.training_windows
        corrupted = [fact for fact in windows if fact.verdict == "corrupted"]
        unknown = [fact for fact in windows if fact.verdict == "unknown"]
        numbers = {
            "windows": float(len(windows)),
            "corrupted": float(len(corrupted)),
            "unknown": float(len(unknown)),
        }
        if corrupted:
            verdict, reason = Verdict.FAIL, f"trained on corrupted data: {_name(corrupted)}"
        elif unknown:
            verdict, reason = Verdict.UNDECIDED, f"nothing is known of: {_name(unknown)}"
        elif not windows:
            verdict, reason = Verdict.UNDECIDED, "the evidence names no training window"
        else:
            verdict, reason = Verdict.PASS, f"all {len(windows)} training windows are clean"
        return RuleResult(rule=self.name, verdict=verdict, reason=reason, numbers=numbers)


def _name(facts: list[WindowFact]) -> str:
    shown = "; ".join(f"{fact.window} ({fact.reason})" for fact in facts[:_SHOWN])
    return shown if len(facts) <= _SHOWN else f"{shown} and {len(facts) - _SHOWN} more"
