"""The identity of a model folder on this machine, as the registry counts it; apart from scoring, because every model server asks for it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flyball.kernel.canonical import Digest, digest_json


def tree_digest(folder: Path) -> Digest:
    """Return the digest of all files below a folder: of the JSON object from relative path to digest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest_json({path.relative_to(folder).as_posix(): digest_of(path) for path in files})


def digest_of(path: Path) -> Digest:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())
