"""The gatekeeper: publishes policies, decides under them, and can decide again on the evidence of then."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from flyball.artifacts import Artifacts
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, NotFound
from flyball.kernel.events import Edge, EventLog
from flyball.kernel.ids import new_id
from flyball.registry.entities import (
    UNKNOWN_FILES,
    Decision,
    Policy,
    RegistryEvent,
    RuleResult,
    policy_digest,
    verdict_of,
    version_ref,
)
from flyball.registry.gates.catalogue import Catalogue, InstalledGates
from flyball.registry.gates.evidence import Evidence
from flyball.registry.policies import load_rule, parse_policy
from flyball.registry.ports import DecisionStore
from flyball.registry.service import Registry


class Gatekeeper:
    """Decisions about model versions. A verdict is joined from the rules: one failure fails, one doubt leaves it open."""

    def __init__(
        self,
        store: DecisionStore,
        *,
        registry: Registry,
        artifacts: Artifacts,
        events: EventLog,
        clock: Clock,
        database: Database,
        catalogue: Catalogue | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._artifacts = artifacts
        self._events = events
        self._clock = clock
        self._database = database
        self._catalogue = catalogue or InstalledGates()

    def publish(self, text: str, *, actor: str) -> Policy:
        """Publish a policy file as the next version of its name; content that was published already keeps its version.

        Raises:
            InvalidInput: see `parse_policy`; nothing is published.
            Conflict: somebody else published under this name at the same moment.
        """
        said = parse_policy(text, catalogue=self._catalogue)
        digest = policy_digest(said.name, said.rules)
        with self._database.transaction():
            published = self._store.policies(said.name)
            for policy in published:
                if policy.digest == digest:
                    return policy
            policy = Policy(
                name=said.name,
                version=len(published) + 1,
                rules=said.rules,
                digest=digest,
                text=text,
                created_ms=self._clock.now_ms(),
                created_by=actor,
            )
            self._store.add_policy(policy)
            self._events.record(
                RegistryEvent.POLICY_PUBLISHED,
                actor=actor,
                subject=policy.ref,
                payload={"digest": digest, "rules": [rule.content() for rule in policy.rules]},
            )
            return policy

    def policy(self, name: str, version: int | None = None) -> Policy:
        """Return a published policy, the newest when no version is given.

        Raises:
            NotFound: there is none; the message lists what there is.
        """
        published = self._store.policies(name)
        for policy in reversed(published):
            if version in {None, policy.version}:
                return policy
        if published:
            raise NotFound(f"policy '{name}' has no version {version}; it has 1 to {len(published)}", field="policy")
        known = ", ".join(sorted({policy.name for policy in self._store.policies()})) or "none"
        raise NotFound(f"no policy '{name}' is published; published: {known}", field="policy")

    def policies(self) -> list[Policy]:
        """Return every published policy, by name and version."""
        return self._store.policies()

    def decide(self, policy: Policy, evidence: Evidence, *, actor: str, edges: Iterable[Edge] = ()) -> Decision:
        """Judge a version under a policy, and keep the evidence with the decision.

        Raises:
            NotFound: the version does not exist.
            Conflict: the evidence speaks of other files than the version has, or its files are not kept here.
        """
        subject = self._registry.get_version(evidence.model, evidence.version)
        if subject.digest == UNKNOWN_FILES:
            raise Conflict(
                f"the files of {subject.name}/{subject.version} are not kept here ({subject.source}), so nothing about them can be"
                " decided: log the model to this server and register it",
                field="version",
            )
        if evidence.version_digest != subject.digest:
            raise Conflict(
                f"the evidence was taken from files with digest {evidence.version_digest[:16]}..., but"
                f" {subject.name}/{subject.version} has {subject.digest[:16]}...; gather it again",
                field="version_digest",
            )
        results = self._judge(policy, evidence)
        stored = self._artifacts.put_json(evidence.to_json())
        decision = Decision(
            id=new_id(),
            model=evidence.model,
            version=evidence.version,
            policy_name=policy.name,
            policy_version=policy.version,
            verdict=verdict_of(results),
            results=results,
            evidence_digest=stored,
            actor=actor,
            created_ms=self._clock.now_ms(),
        )
        with self._database.transaction():
            self._store.add_decision(decision)
            self._record(decision, policy, edges)
        return decision

    def decision(self, decision_id: str) -> Decision:
        """Return a decision.

        Raises:
            NotFound: there is none of this id.
        """
        found = self._store.find_decision(decision_id)
        if found is None:
            raise NotFound(f"no decision '{decision_id[:80]}'", field="decision_id")
        return found

    def decisions(self, *, model: str | None = None, version: int | None = None) -> list[Decision]:
        """Return decisions, oldest first, of one model or version when asked."""
        return self._store.decisions(model, version)

    def evidence(self, decision_id: str) -> Evidence:
        """Return the evidence of a decision as it was seen then.

        Raises:
            NotFound: there is no such decision.
            Corrupted: its stored bytes do not match their digest any more.
        """
        return Evidence.from_json(self._artifacts.read_json(self.decision(decision_id).evidence_digest))

    def replay(self, decision_id: str) -> Decision:
        """Decide again, by the policy and the evidence of then; what differs from the record was not decided so.

        Raises:
            NotFound: there is no such decision.
            Corrupted: the stored evidence does not match its digest any more.
        """
        made = self.decision(decision_id)
        results = self._judge(self.policy(made.policy_name, made.policy_version), self.evidence(decision_id))
        return dataclasses.replace(made, results=results, verdict=verdict_of(results))

    def _judge(self, policy: Policy, evidence: Evidence) -> tuple[RuleResult, ...]:
        return tuple(load_rule(rule, catalogue=self._catalogue).judge(evidence) for rule in policy.rules)

    def _record(self, decision: Decision, policy: Policy, edges: Iterable[Edge]) -> None:
        judged = Edge(subject=decision.ref, relation="judged", object=version_ref(decision.model, decision.version))
        under = Edge(subject=decision.ref, relation="under", object=policy.ref)
        self._events.record(
            RegistryEvent.DECISION_MADE,
            actor=decision.actor,
            subject=decision.ref,
            payload={
                "model": decision.model,
                "version": decision.version,
                "policy": f"{policy.name}/{policy.version}",
                "policy_digest": policy.digest,
                "verdict": str(decision.verdict),
                "results": [result.content() for result in decision.results],
                "evidence_digest": decision.evidence_digest,
            },
            edges=(judged, under, *edges),
        )
