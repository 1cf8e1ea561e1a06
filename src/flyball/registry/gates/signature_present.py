"""The rule that a model says what it takes: without a signature, wrong input is answered instead of refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import msgspec

from flyball.kernel.canonical import JsonValue
from flyball.registry.entities import RuleResult, Verdict
from flyball.registry.gates.evidence import Evidence
from flyball.registry.gates.parameters import parse_parameters, write_parameters


class SignaturePresent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pass when the model carries a signature that names at least one input."""

    name: ClassVar[str] = "signature_present"

    @classmethod
    def parse(cls, parameters: Mapping[str, JsonValue]) -> Self:
        return parse_parameters(cls, parameters, name=cls.name)

    def parameters(self) -> dict[str, JsonValue]:
        return write_parameters(self)

    def judge(self, evidence: Evidence) -> RuleResult:
        numbers = {"inputs": float(evidence.signature_inputs)}
        if not evidence.has_signature:
            reason = "the model has no signature: log it with signature= or input_example="
            return RuleResult(rule=self.name, verdict=Verdict.FAIL, reason=reason, numbers=numbers)
        if evidence.signature_inputs < 1:
            reason = "the model's signature names no input"
            return RuleResult(rule=self.name, verdict=Verdict.FAIL, reason=reason, numbers=numbers)
        reason = f"the signature names {evidence.signature_inputs} inputs"
        return RuleResult(rule=self.name, verdict=Verdict.PASS, reason=reason, numbers=numbers)
