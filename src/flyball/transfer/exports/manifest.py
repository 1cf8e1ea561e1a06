"""The manifest of an export: what is in the folder, with the digest of every file; written last, checked first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from flyball.artifacts.paths import clean_path
from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import Corrupted, InvalidInput, Unsupported

NAME = "manifest.json"
FORMAT = "flyball-export"
VERSION = 1
EVENTS = "events.jsonl"
BLOBS = "blobs.parquet"
ARTIFACTS = "artifacts"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an export says of itself. `files` maps a name to the SHA-256 of its bytes, `rows` a table to its rows."""

    made_ms: int
    flyball: str
    files: Mapping[str, str]
    rows: Mapping[str, int]
    events: int
    head: str
    blobs: int
    blob_bytes: int
    missing_blobs: tuple[str, ...] = ()
    left_out: Mapping[str, int]

    def content(self) -> dict[str, JsonValue]:
        """Return the manifest as JSON."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "made_ms": self.made_ms,
            "flyball": self.flyball,
            "files": dict(self.files),
            "rows": dict(self.rows),
            "chain": {"events": self.events, "head": self.head},
            "blobs": {"count": self.blobs, "bytes": self.blob_bytes, "missing": list(self.missing_blobs)},
            "left_out": dict(self.left_out),
        }


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an export.

    Raises:
        InvalidInput: the folder holds none, or one that cannot be read.
        Unsupported: it is of another version of the format.
    """
    path = folder / NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise InvalidInput(f"{path} is no manifest of an export", field="folder")
        if found["version"] != VERSION:
            raise Unsupported(
                f"{path} is of version {found['version']} of the format; this release reads version {VERSION}",
                field="folder",
            )
        return _parse(found)
    except FileNotFoundError as error:
        raise InvalidInput(f"{folder} is no finished export: it has no {NAME}", field="folder") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error!r}", field="folder") from error


def _parse(found: dict[str, object]) -> Manifest:
    chain, blobs = cast("dict[str, object]", found["chain"]), cast("dict[str, object]", found["blobs"])
    files = cast("dict[str, str]", found["files"])
    return Manifest(
        made_ms=int(str(found["made_ms"])),
        flyball=str(found["flyball"]),
        files={clean_path(name): str(digest) for name, digest in files.items()},
        rows={name: int(count) for name, count in cast("dict[str, int]", found["rows"]).items()},
        events=int(str(chain["events"])),
        head=str(chain["head"]),
        blobs=int(str(blobs["count"])),
        blob_bytes=int(str(blobs["bytes"])),
        missing_blobs=tuple(map(str, cast("list[str]", blobs["missing"]))),
        left_out=cast("dict[str, int]", found["left_out"]),
    )


def check_files(folder: Path, manifest: Manifest) -> None:
    """Hold every file against its digest.

    Raises:
        Corrupted: one is missing or was changed; the message names it.
    """
    for name, digest in manifest.files.items():
        check_file(folder / name, digest)


def check_file(path: Path, digest: str) -> None:
    """Hold one file against a digest.

    Raises:
        Corrupted: it is missing, unreadable or was changed.
    """
    seen = hashlib.sha256()
    try:
        for chunk in read_file(path):
            seen.update(chunk)
    except OSError as error:
        raise Corrupted(f"the export is damaged: {path} cannot be read: {error.strerror}") from error
    if seen.hexdigest() != digest:
        raise Corrupted(f"the export is damaged: {path} is not what was written; nothing was imported")


def read_file(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def blob_path(folder: Path, digest: str) -> Path:
    """Return where the bytes of a digest lie in an export."""
    return folder / ARTIFACTS / "sha256" / digest[:2] / digest
