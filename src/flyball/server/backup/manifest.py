"""The manifest as bytes: sealed with the digest of its own content, so that an edit of it shows."""

from __future__ import annotations

from typing import cast

import msgspec

from flyball.kernel.canonical import Digest, JsonValue, canonical_json, digest_json, parse_json
from flyball.kernel.errors import Corrupted, InvalidInput, Unsupported
from flyball.server.backup.entities import FORMAT, Manifest

SEAL = "digest"


def seal(manifest: Manifest) -> Digest:
    """Return the digest of a manifest's content."""
    return digest_json(_content(manifest))


def write_manifest(manifest: Manifest) -> bytes:
    """Return the bytes of a manifest."""
    return canonical_json({**_content(manifest), SEAL: seal(manifest)}) + b"\n"


def read_manifest(data: bytes, *, name: str) -> Manifest:
    """Read a manifest back.

    Raises:
        Corrupted: it was changed, or is none.
        Unsupported: a later release wrote it.
    """
    content = _read_content(data, name=name)
    if content.get("format") != FORMAT:
        raise Unsupported(f"backup {name} has format {content.get('format')}: install the release that made it")
    sealed = content.pop(SEAL, None)
    try:
        manifest = msgspec.convert(content, type=Manifest)
    except msgspec.ValidationError as error:
        raise Corrupted(f"the manifest of backup {name} is damaged: {error}") from error
    if digest_json(content) != sealed or data != write_manifest(manifest):
        raise Corrupted(f"the manifest of backup {name} was changed: it does not match its own digest")
    return manifest


def _read_content(data: bytes, *, name: str) -> dict[str, JsonValue]:
    try:
        content = parse_json(data)
    except InvalidInput as error:
        raise Corrupted(f"the manifest of backup {name} is damaged: {error.message}") from error
    if not isinstance(content, dict):
        raise Corrupted(f"the manifest of backup {name} is damaged: it is no object")
    return content


def _content(manifest: Manifest) -> dict[str, JsonValue]:
    return cast("dict[str, JsonValue]", msgspec.to_builtins(manifest))
