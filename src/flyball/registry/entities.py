"""Models, versions, policies and decisions, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from flyball.kernel.canonical import Digest, JsonValue, digest_json
from flyball.kernel.events import EventKind, Ref, ref


class RegistryEvent(EventKind):
    """What happens in the registry; documented in `docs/reference/events.md`."""

    MODEL_CREATED = "registered_model.created"
    MODEL_UPDATED = "registered_model.updated"
    MODEL_RENAMED = "registered_model.renamed"
    MODEL_DELETED = "registered_model.deleted"
    VERSION_CREATED = "model_version.created"
    VERSION_UPDATED = "model_version.updated"
    VERSION_DELETED = "model_version.deleted"
    VERSION_SCORED = "model_version.scored"
    ALIAS_MOVED = "alias.moved"
    ALIAS_REMOVED = "alias.removed"
    STAGE_CHANGED = "stage.changed"
    EVIDENCE_ATTACHED = "evidence.attached"
    POLICY_PUBLISHED = "policy.published"
    DECISION_MADE = "decision.made"


class Stage(StrEnum):
    """MLflow's deprecated stages; new code uses aliases."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"


class EvidenceKind(StrEnum):
    """What may be attached to a version; each is a JSON artifact."""

    PROFILE = "profile"
    """Profile of the data the model was trained on: the reference for drift."""
    BASELINE = "baseline"
    """Quality the model showed before release: the reference for quality."""
    EVALUATION = "evaluation"
    """The newest evaluation against the champion."""
    SKETCHES = "sketches"
    """Features, answers and repeated rows of the data that the model was trained on: the finer reference for drift."""
    PARITY = "parity"
    """How far the answers of its conversion to ONNX are from its own, on which rows, by which versions."""


UNKNOWN_FILES = Digest("")
"""In the place of the digest of files that are not kept here."""


class Expected(Enum):
    """The answer to "where must the alias point now?" of a caller who does not mind."""

    ANY = "any"


ANY = Expected.ANY


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel:
    """A name under which versions are kept. `aliases` maps an alias to a version number."""

    name: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    created_ms: int
    updated_ms: int
    created_by: str

    @property
    def ref(self) -> Ref:
        """Name this model in events and lineage."""
        return ref("model", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """Files that never change, under a number that is never given out twice.

    `digest` is the tree digest of the files at the moment of creation, `UNKNOWN_FILES` when they are not
    kept here; `location` is where they are downloaded from: the
    same as `source` unless the source names another model version.
    """

    name: str
    version: int
    source: str
    location: str
    run_id: str = ""
    model_id: str = ""
    run_link: str = ""
    digest: Digest
    status: str = "READY"
    stage: Stage = Stage.NONE
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    created_ms: int
    updated_ms: int
    created_by: str

    @property
    def ref(self) -> Ref:
        """Name this version in events and lineage."""
        return version_ref(self.name, self.version)


def version_ref(name: str, version: int) -> Ref:
    """Name a version in events and lineage.

    >>> version_ref("elec2", 3)
    'model-version:elec2/3'
    """
    return ref("model-version", f"{name}/{version}")


class Verdict(StrEnum):
    """What a rule, or a whole policy, says. Undecided is never a pass."""

    PASS = "pass"  # noqa: S105 -- a verdict, no password
    FAIL = "fail"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of a policy, with every default written out so that a later default cannot change an old policy."""

    rule: str
    parameters: Mapping[str, JsonValue]

    def content(self) -> dict[str, JsonValue]:
        """Return the rule as JSON."""
        return {"rule": self.rule, "parameters": dict(self.parameters)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A published list of rules. It never changes; a changed text is the next version."""

    name: str
    version: int
    rules: tuple[Rule, ...]
    digest: Digest
    text: str
    created_ms: int
    created_by: str

    @property
    def ref(self) -> Ref:
        """Name this policy in events and lineage."""
        return ref("policy", f"{self.name}/{self.version}")


def policy_digest(name: str, rules: tuple[Rule, ...]) -> Digest:
    """Return the digest of what a policy says, whatever its layout and comments."""
    return digest_json({"name": name, "rules": [rule.content() for rule in rules]})


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """What one rule found: a verdict, the sentence that explains it, and the numbers behind the sentence."""

    rule: str
    verdict: Verdict
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def content(self) -> dict[str, JsonValue]:
        """Return the result as JSON."""
        return {
            "rule": self.rule,
            "verdict": str(self.verdict),
            "reason": self.reason,
            "numbers": dict(self.numbers),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a policy said about a version, on evidence that is kept. The evidence digest makes it repeatable."""

    id: str
    model: str
    version: int
    policy_name: str
    policy_version: int
    verdict: Verdict
    results: tuple[RuleResult, ...]
    evidence_digest: Digest
    actor: str
    created_ms: int

    @property
    def ref(self) -> Ref:
        """Name this decision in events and lineage."""
        return ref("decision", self.id)


def verdict_of(results: tuple[RuleResult, ...]) -> Verdict:
    """Join the results: one failure fails, one open question leaves it undecided."""
    found = {result.verdict for result in results}
    for verdict in (Verdict.FAIL, Verdict.UNDECIDED):
        if verdict in found:
            return verdict
    return Verdict.PASS
