"""Model versions, policies and decisions over HTTP."""

from __future__ import annotations

from flyball.governance.permissions import Permission
from flyball.registry import Decision, ModelVersion, Policy
from flyball.registry.naming import parse_version
from flyball.server.routing import Call, Route
from flyball.wire.v1 import models as shapes


def version(call: Call[None]) -> shapes.ModelVersionInfo:
    """Show a version with its evidence."""
    registry = call.platform.registry
    found = registry.get_version(call.path["name"], parse_version(call.path["version"]))
    return _version(
        found, {kind.value: digest for kind, digest in registry.evidence(found.name, found.version).items()}
    )


def publish(call: Call[shapes.NewPolicy]) -> shapes.PolicyInfo:
    """Publish a policy."""
    return _policy(call.platform.gatekeeper.publish(call.body.document, actor=call.actor))


def policy(call: Call[None]) -> shapes.PolicyInfo:
    """Show a policy."""
    return _policy(call.platform.gatekeeper.policy(call.path["name"], parse_version(call.path["version"])))


def decision(call: Call[None]) -> shapes.DecisionInfo:
    """Show a decision."""
    return _decision(call.platform.gatekeeper.decision(call.path["decision"]))


def replay(call: Call[None]) -> shapes.DecisionInfo:
    """Decide again by the policy and the evidence of then."""
    return _decision(call.platform.gatekeeper.replay(call.path["decision"]))


def _version(found: ModelVersion, evidence: dict[str, str]) -> shapes.ModelVersionInfo:
    return shapes.ModelVersionInfo(
        name=found.name,
        version=found.version,
        digest=found.digest,
        run_id=found.run_id,
        stage=found.stage,
        aliases=sorted(found.aliases),
        tags=dict(found.tags),
        evidence=evidence,
        created_ms=found.created_ms,
    )


def _policy(found: Policy) -> shapes.PolicyInfo:
    return shapes.PolicyInfo(
        name=found.name, version=found.version, digest=found.digest, rules=[rule.rule for rule in found.rules]
    )


def _decision(found: Decision) -> shapes.DecisionInfo:
    return shapes.DecisionInfo(
        id=found.id,
        model=found.model,
        version=found.version,
        policy=f"{found.policy_name}/{found.policy_version}",
        verdict=found.verdict,
        outcomes=[
            shapes.RuleOutcome(rule=one.rule, verdict=one.verdict, reason=one.reason, numbers=dict(one.numbers))
            for one in found.results
        ],
        evidence_digest=found.evidence_digest,
        actor=found.actor,
        created_ms=found.created_ms,
    )


ROUTES = (
    Route(
        method="GET",
        path="/api/v1/models/{name}/{version}",
        permission=Permission.REGISTRY_READ,
        handler=version,
        response=shapes.ModelVersionInfo,
        summary="Show a model version with its evidence",
    ),
    Route(
        method="POST",
        path="/api/v1/policies",
        permission=Permission.POLICIES_WRITE,
        handler=publish,
        request=shapes.NewPolicy,
        response=shapes.PolicyInfo,
        summary="Publish a policy; the same content is the same version",
    ),
    Route(
        method="GET",
        path="/api/v1/policies/{name}/{version}",
        permission=Permission.POLICIES_READ,
        handler=policy,
        response=shapes.PolicyInfo,
        summary="Show a policy",
    ),
    Route(
        method="GET",
        path="/api/v1/decisions/{decision}",
        permission=Permission.REGISTRY_READ,
        handler=decision,
        response=shapes.DecisionInfo,
        summary="Show a gate's decision",
    ),
    Route(
        method="POST",
        path="/api/v1/decisions/{decision}/replay",
        permission=Permission.REGISTRY_READ,
        handler=replay,
        response=shapes.DecisionInfo,
        summary="Decide again from the stored evidence",
    ),
)
