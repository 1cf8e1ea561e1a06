"""Policies and decisions on a database."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row, insert, select

from flyball.kernel.canonical import Digest, canonical_json
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict
from flyball.registry.entities import Decision, Policy, Rule, RuleResult, Verdict
from flyball.registry.sql.matching import insert_new
from flyball.registry.tables import decisions, policies


class SqlDecisionStore:
    """Rows that are only ever added."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_policy(self, policy: Policy) -> None:
        row = {
            "name": policy.name,
            "version": policy.version,
            "rules": canonical_json([rule.content() for rule in policy.rules]).decode(),
            "digest": policy.digest,
            "text": policy.text,
            "created_ms": policy.created_ms,
            "created_by": policy.created_by,
        }
        with self._database.transaction() as connection:
            if not insert_new(connection, policies, row):
                raise Conflict(f"policy '{policy.name}' was published by somebody else at this moment", field="policy")

    def find_policy(self, name: str, number: int) -> Policy | None:
        query = select(policies).where(policies.c.name == name, policies.c.version == number)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return _policy(row) if row else None

    def policies(self, name: str | None = None) -> list[Policy]:
        query = select(policies).order_by(policies.c.name, policies.c.version)
        if name is not None:
            query = query.where(policies.c.name == name)
        with self._database.read() as connection:
            return [_policy(row) for row in connection.execute(query)]

    def add_decision(self, decision: Decision) -> None:
        row = {
            "id": decision.id,
            "model": decision.model,
            "version": decision.version,
            "policy_name": decision.policy_name,
            "policy_version": decision.policy_version,
            "verdict": str(decision.verdict),
            "results": canonical_json([result.content() for result in decision.results]).decode(),
            "evidence_digest": decision.evidence_digest,
            "actor": decision.actor,
            "created_ms": decision.created_ms,
        }
        with self._database.transaction() as connection:
            connection.execute(insert(decisions), row)

    def find_decision(self, decision_id: str) -> Decision | None:
        with self._database.read() as connection:
            row = connection.execute(select(decisions).where(decisions.c.id == decision_id)).first()
        return _decision(row) if row else None

    def decisions(self, model: str | None = None, number: int | None = None) -> list[Decision]:
        query = select(decisions).order_by(decisions.c.id)
        if model is not None:
            query = query.where(decisions.c.model == model)
        if number is not None:
            query = query.where(decisions.c.version == number)
        with self._database.read() as connection:
            return [_decision(row) for row in connection.execute(query)]


def _policy(row: Row[Any]) -> Policy:
    return Policy(
        name=row.name,
        version=row.version,
        rules=tuple(Rule(rule=each["rule"], parameters=each["parameters"]) for each in json.loads(row.rules)),
        digest=Digest(row.digest),
        text=row.text,
        created_ms=row.created_ms,
        created_by=row.created_by,
    )


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        id=row.id,
        model=row.model,
        version=row.version,
        policy_name=row.policy_name,
        policy_version=row.policy_version,
        verdict=Verdict(row.verdict),
        results=tuple(_result(each) for each in json.loads(row.results)),
        evidence_digest=Digest(row.evidence_digest),
        actor=row.actor,
        created_ms=row.created_ms,
    )


def _result(content: dict[str, Any]) -> RuleResult:
    # Canonical JSON writes 2.0 as 2: floats are made floats again, so that what is read equals what was written.
    numbers = {key: float(value) for key, value in content["numbers"].items()}
    return RuleResult(
        rule=content["rule"], verdict=Verdict(content["verdict"]), reason=content["reason"], numbers=numbers
    )
