"""The rule that a model's environment is written down exactly, so that what serves it is what trained it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Self

import msgspec

from flyball.kernel.canonical import JsonValue
from flyball.registry.entities import RuleResult, Verdict
from flyball.registry.gates.evidence import Evidence
from flyball.registry.gates.parameters import parse_parameters, write_parameters

# A name, perhaps extras, one exact version without wildcard (PEP 440), perhaps an environment marker (PEP 508).
_PINNED = re.compile(
    r"[A-Za-z0-9][\w.-]*\s*(\[[\w\s,.-]*\])?\s*={2,3}\s*[\w.!+-]+\s*(;.*)?",
)
_SHOWN = 5


class EnvironmentLocked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pass when the model names its requirements and every one is pinned by `==`."""

    name: ClassVar[str] = "environment_locked"

    @classmethod
    def parse(cls, parameters: Mapping[str, JsonValue]) -> Self:
        return parse_parameters(cls, parameters, name=cls.name)

    def parameters(self) -> dict[str, JsonValue]:
        return write_parameters(self)

    def judge(self, evidence: Evidence) -> RuleResult:
        lines = [line.strip() for line in evidence.requirements]
        named = [line for line in lines if line and not line.startswith("#")]
        loose = [line for line in named if not _PINNED.fullmatch(line)]
        numbers = {"requirements": float(len(named)), "unpinned": float(len(loose))}
        if not named:
            verdict, reason = Verdict.FAIL, "the model names no requirements: its environment is unknown"
        elif loose:
            more = f" and {len(loose) - _SHOWN} more" if len(loose) > _SHOWN else ""
            verdict, reason = Verdict.FAIL, f"not pinned by ==: {', '.join(loose[:_SHOWN])}{more}"
        else:
            verdict, reason = Verdict.PASS, f"all {len(named)} requirements are pinned"
        return RuleResult(rule=self.name, verdict=verdict, reason=reason, numbers=numbers)
