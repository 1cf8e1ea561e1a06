"""The ports of the registry: where models, versions, policies and decisions are kept, and what a gate is.

For every store: any number of threads and processes; every verb joins the caller's transaction; what is returned is a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import ClassVar, Protocol, Self, TypeAlias

from flyball.kernel.canonical import Digest, JsonValue
from flyball.registry.entities import Decision, EvidenceKind, ModelVersion, Policy, RegisteredModel, RuleResult
from flyball.registry.gates.evidence import Evidence
from flyball.registry.search import Search

DigestOf: TypeAlias = Callable[[str, str, str], Digest | None]
"""From (source, run id, logged-model id) to the tree digest of the model's files, None when there are no files."""


class ModelStore(Protocol):
    """Keep registered models with their tags and aliases."""

    def add(self, model: RegisteredModel) -> None:
        """Keep a new model without aliases.

        Raises:
            AlreadyExists: the name is taken.
        """
        ...

    def find(self, name: str) -> RegisteredModel | None:
        """Return a model, None when there is none."""
        ...

    def lock(self, name: str) -> RegisteredModel | None:
        """Return a model and let nobody else change it or its versions until the transaction ends."""
        ...

    def save(self, model: RegisteredModel) -> None:
        """Replace description, tags, aliases and time of a locked model."""
        ...

    def rename(self, name: str, new_name: str) -> None:
        """Give a locked model, its versions and its numbering another name; numbers that name gave out stay used.

        Raises:
            AlreadyExists: the new name is taken.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove a locked model and its versions; the numbers stay used."""
        ...

    def search(self, search: Search) -> list[RegisteredModel]:
        """Return the models that stand every clause, ordered, from the offset, at most one more than the limit."""
        ...


class VersionStore(Protocol):
    """Keep model versions with their tags and evidence."""

    def next_number(self, name: str) -> int:
        """Take the next number of a name; two callers never get the same one."""
        ...

    def last_number(self, name: str) -> int:
        """Return the number that a name gave out last, 0 when it gave out none."""
        ...

    def add(self, version: ModelVersion) -> None:
        """Keep a new version of a locked model."""
        ...

    def find(self, name: str, number: int) -> ModelVersion | None:
        """Return a version, None when there is none."""
        ...

    def save(self, version: ModelVersion) -> None:
        """Replace description, tags, stage and time; the rest of a version never changes."""
        ...

    def remove(self, name: str, number: int) -> None:
        """Remove a version, its evidence and the aliases that point at it."""
        ...

    def search(self, search: Search) -> list[ModelVersion]:
        """Return the versions that stand every clause, ordered, from the offset, at most one more than the limit."""
        ...

    def newest(self, names: Collection[str]) -> list[ModelVersion]:
        """Return the newest version of each stage of the named models."""
        ...


class EvidenceStore(Protocol):
    """Keep which evidence belongs to which version."""

    def attach(self, name: str, number: int, *, kind: EvidenceKind, digest: Digest) -> None:
        """Set the evidence of a kind, replacing what was there."""
        ...

    def read(self, name: str, number: int) -> dict[EvidenceKind, Digest]:
        """Return the evidence of a version, by kind."""
        ...


class DecisionStore(Protocol):
    """Keep published policies and the decisions made under them. Nothing here is ever changed or removed."""

    def add_policy(self, policy: Policy) -> None:
        """Keep a policy.

        Raises:
            Conflict: somebody published a version with this number, or this content, at the same moment.
        """
        ...

    def find_policy(self, name: str, number: int) -> Policy | None:
        """Return a policy, None when there is none."""
        ...

    def policies(self, name: str | None = None) -> list[Policy]:
        """Return the policies of one name, or of all, by name and number."""
        ...

    def add_decision(self, decision: Decision) -> None:
        """Keep a decision."""
        ...

    def find_decision(self, decision_id: str) -> Decision | None:
        """Return a decision, None when there is none."""
        ...

    def decisions(self, model: str | None = None, number: int | None = None) -> list[Decision]:
        """Return decisions, oldest first."""
        ...


class Gate(Protocol):
    """Judge evidence by one rule. Pure: no clock, no store, no chance; equal evidence gives an equal result."""

    name: ClassVar[str]

    @classmethod
    def parse(cls, parameters: Mapping[str, JsonValue]) -> Self:
        """Read the rule's parameters from a policy.

        Raises:
            UnknownKey: a parameter the rule does not have.
            InvalidInput: a value of the wrong type or out of range; `field` names the parameter.
        """
        ...

    def parameters(self) -> dict[str, JsonValue]:
        """Return every parameter, the defaults written out; `parse` takes them back."""
        ...

    def judge(self, evidence: Evidence) -> RuleResult:
        """Say pass, fail or undecided, with the reason and its numbers."""
        ...
