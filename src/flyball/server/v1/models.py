"""Model versions, policies and decisions over HTTP."""

from __future__ import annotations

from starlette.responses import StreamingResponse

from flyball.governance.permissions import Permission
from flyball.kernel.canonical import Digest, JsonValue, parse_json
from flyball.kernel.errors import Conflict, InvalidInput, NotFound
from flyball.monitoring.evidence import check_evidence
from flyball.registry import Decision, EvidenceKind, ModelVersion, Policy
from flyball.registry.naming import parse_evidence_kind, parse_version
from flyball.server.model_inputs import model_entries
from flyball.server.routing import Call, Route
from flyball.serving.parity import certificate_of
from flyball.wire.v1 import models as shapes

# The sketches of two hundred columns are three million bytes.
MOST_EVIDENCE_BYTES = 32 << 20


def version(call: Call[None]) -> shapes.ModelVersionInfo:
    """Show a version with its evidence."""
    registry = call.platform.registry
    found = registry.get_version(call.path["name"], parse_version(call.path["version"]))
    return _version(
        found, {kind.value: digest for kind, digest in registry.evidence(found.name, found.version).items()}
    )


def files(call: Call[None]) -> shapes.ModelFileList:
    """List the files of a version."""
    found = _named(call)
    listed = [
        shapes.ModelFile(path=path, digest=entry.digest or "", size_bytes=entry.size_bytes or 0)
        for path, entry in model_entries(call.platform.artifacts, found).items()
    ]
    return shapes.ModelFileList(name=found.name, version=found.version, digest=found.digest, files=listed)


def file_content(call: Call[None]) -> StreamingResponse:
    """Stream a file of a version."""
    found, digest = _named(call), call.path["digest"]
    entries = model_entries(call.platform.artifacts, found).values()
    if all(entry.digest != digest for entry in entries):
        raise NotFound(f"{found.name}/{found.version} has no file {digest[:64]}", field="digest")
    return StreamingResponse(call.platform.artifacts.blobs.open(Digest(digest)), media_type="application/octet-stream")


def _named(call: Call[None]) -> ModelVersion:
    """Return the version that a path names: by its number, or by an alias behind an at sign."""
    text = call.path["version"]
    if text.startswith("@"):
        return call.platform.registry.version_by_alias(call.path["name"], text[1:])
    return call.platform.registry.get_version(call.path["name"], parse_version(text))


def attach(call: Call[None]) -> shapes.ModelVersionInfo:
    """Attach evidence that was made elsewhere."""
    platform, name, number = call.platform, call.path["name"], parse_version(call.path["version"])
    kind = parse_evidence_kind(call.path["kind"])
    found = platform.registry.get_version(name, number)
    try:
        content = parse_json(b"".join(call.chunks(MOST_EVIDENCE_BYTES)))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the evidence is no JSON: {error}", field="body") from error
    if kind is EvidenceKind.PARITY:
        _check_parity(content, found)
    else:
        check_evidence(kind, content)
    platform.registry.attach(name, number, kind, platform.artifacts.put_json(content), actor=call.actor)
    return version(call)


def _check_parity(content: JsonValue, version: ModelVersion) -> None:
    certificate = certificate_of(content)
    if certificate.model_digest != version.digest:
        raise Conflict(
            f"the certificate is about the files {certificate.model_digest[:16]}..., {version.name}/{version.version} has "
            f"{version.digest[:16]}...",
            field="model_digest",
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
        method="PUT",
        path="/api/v1/models/{name}/{version}/evidence/{kind}",
        permission=Permission.REGISTRY_WRITE,
        handler=attach,
        response=shapes.ModelVersionInfo,
        summary="Attach a profile, a baseline, sketches or a parity certificate to a model version",
        streamed=True,
    ),
    Route(
        method="GET",
        path="/api/v1/models/{name}/{version}/files",
        permission=Permission.REGISTRY_READ,
        handler=files,
        response=shapes.ModelFileList,
        summary="List the files of a model version, which may be named by @alias",
    ),
    Route(
        method="GET",
        path="/api/v1/models/{name}/{version}/files/{digest}",
        permission=Permission.REGISTRY_READ,
        handler=file_content,
        summary="Read a file of a model version",
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
