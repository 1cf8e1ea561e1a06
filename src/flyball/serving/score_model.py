"""The identity of a model folder on this machine, as the registry counts it."""

from __future__ import annotations

from pathlib import Path

from flyball.kernel.canonical import Digest, digest_json
from flyball.serving.score_part import digest_of


def tree_digest(folder: Path) -> Digest:
    """Return the digest of all files below a folder: of the JSON object from relative path to digest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest_json({path.relative_to(folder).as_posix(): digest_of(path) for path in files})
