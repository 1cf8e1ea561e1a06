"""What a blob is, and what a name that points at one looks like in a listing."""

from __future__ import annotations

from dataclasses import dataclass

from flyball.kernel.canonical import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes that a store holds under the SHA-256 of their content."""

    digest: Digest
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file or a folder under a root. `path` is relative to the root; a folder has neither size nor digest."""

    path: str
    is_dir: bool
    size_bytes: int | None
    digest: Digest | None

    @classmethod
    def of_file(cls, path: str, blob: Blob) -> Entry:
        """Describe a file."""
        return cls(path=path, is_dir=False, size_bytes=blob.size_bytes, digest=blob.digest)

    @classmethod
    def of_folder(cls, path: str) -> Entry:
        """Describe a folder."""
        return cls(path=path, is_dir=True, size_bytes=None, digest=None)
