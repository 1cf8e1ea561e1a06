"""Shapes of model versions, policies and decisions."""

from __future__ import annotations

from flyball.wire.v1 import Body, Shape


class ModelVersionInfo(Shape):
    """A version with its content digest, aliases and the evidence attached to it (kind to digest)."""

    name: str
    version: int
    digest: str
    run_id: str
    stage: str
    aliases: list[str]
    tags: dict[str, str]
    evidence: dict[str, str]
    created_ms: int


class ModelVersions(Shape):
    """The versions of a model, newest first."""

    versions: list[ModelVersionInfo]


class NewPolicy(Body):
    """A policy as its YAML text."""

    document: str


class PolicyInfo(Shape):
    """A published policy; it never changes again."""

    name: str
    version: int
    digest: str
    rules: list[str]


class RuleOutcome(Shape):
    """What one rule said: pass, fail or undecided, why, and the numbers behind it."""

    rule: str
    verdict: str
    reason: str
    numbers: dict[str, float]


class DecisionInfo(Shape):
    """A gate's decision, with the digest of the evidence as it saw it."""

    id: str
    model: str
    version: int
    policy: str
    verdict: str
    outcomes: list[RuleOutcome]
    evidence_digest: str
    actor: str
    created_ms: int


class ModelFile(Shape):
    """A file of a model version."""

    path: str
    digest: str
    size_bytes: int


class ModelFileList(Shape):
    """The files of a version, and the digest of their tree."""

    name: str
    version: int
    digest: str
    files: list[ModelFile]
