"""The registry: models, their immutable versions, the names that point at them, and the gates before production."""

from flyball.registry.entities import (
    ANY,
    Decision,
    EvidenceKind,
    Expected,
    ModelVersion,
    Policy,
    RegisteredModel,
    RegistryEvent,
    Rule,
    RuleResult,
    Stage,
    Verdict,
)
from flyball.registry.gatekeeper import Gatekeeper
from flyball.registry.gates.evidence import BlockScore, Evidence, PairedEvaluation, WindowFact
from flyball.registry.models import RegistryStores
from flyball.registry.service import Registry

__all__ = [
    "ANY",
    "BlockScore",
    "Decision",
    "Evidence",
    "EvidenceKind",
    "Expected",
    "Gatekeeper",
    "ModelVersion",
    "PairedEvaluation",
    "Policy",
    "RegisteredModel",
    "Registry",
    "RegistryEvent",
    "RegistryStores",
    "Rule",
    "RuleResult",
    "Stage",
    "Verdict",
    "WindowFact",
]
