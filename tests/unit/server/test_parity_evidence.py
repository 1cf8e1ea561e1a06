"""A certificate of an endpoint becomes evidence on the versions that it is about, with an event."""

from __future__ import annotations

from flyball.registry import EvidenceKind
from flyball.server.endpoint import SERVICE, keep_certificate
from flyball.server.platform import Platform
from flyball.serving.parity import Certificate, Parity


def test_a_certificate_is_attached_once_to_the_versions_with_its_digest(platform: Platform) -> None:
    platform.registry.create_model("power", actor="user:owner")
    for _ in range(2):
        platform.registry.create_version("power", source="s3://elsewhere/model", actor="user:owner")
    certificate = Certificate(
        model_digest="a" * 64, verdict=Parity.WITHIN, reason="", tolerance_ppm=10, versions={"onnxruntime": "1"}
    )
    for _ in range(2):
        keep_certificate(platform, "power", certificate, digests={1: "a" * 64, 2: "b" * 64})
    kept = platform.registry.evidence("power", 1)[EvidenceKind.PARITY]
    assert platform.artifacts.read_json(kept) == certificate.content()
    assert platform.registry.evidence("power", 2) == {}
    events = [event for event in platform.events.all() if event.kind == "evidence.attached"]
    assert [(event.actor, event.payload["kind"], event.payload["digest"]) for event in events] == [
        (SERVICE, "parity", kept)
    ]
