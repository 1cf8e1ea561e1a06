"""What a backup is, what is written about it, and the events of whole databases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flyball.kernel.canonical import Digest
from flyball.kernel.events import EventKind
from flyball.server.backup.checksums import TableSum

FORMAT = 1


class BackupEvent(EventKind):
    """What happens to a database as a whole."""

    BACKUP_CREATED = "backup.created"
    DATABASE_RESTORED = "database.restored"
    DATABASE_MOVED = "database.moved"
    DATABASE_UPGRADED = "database.upgraded"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSum:
    """A file of a backup."""

    size_bytes: int
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSum:
    """The chain of events as it was found. `head` is the digest of its last entry."""

    intact: bool
    count: int
    head: Digest
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactSum:
    """The artifacts of a backup: the file that lists them, and the digests that the database names and nobody had."""

    list: FileSum
    count: int
    size_bytes: int
    missing: tuple[Digest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All that a backup consists of, written last: what has no manifest is no backup. No artifacts: of the database only."""

    format: int
    id: str
    created_ms: int
    release: str
    revision: str
    database: FileSum
    tables: Mapping[str, TableSum]
    chain: ChainSum
    artifacts: ArtifactSum | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a verification of a backup found; no damage means that every byte was read and is as it was written."""

    backup: str
    read_bytes: int
    damage: tuple[str, ...]
