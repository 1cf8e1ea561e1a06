"""Verify a backup: read every byte of it again, check the chain of events, and name what is damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from flyball.artifacts.scratch import disk_faults
from flyball.kernel.canonical import Digest
from flyball.kernel.clock import Clock
from flyball.kernel.errors import Corrupted, FlyballError, NotFound
from flyball.server.backup.checksums import sum_tables
from flyball.server.backup.creating import read_listed, sum_chain
from flyball.server.backup.entities import FileSum, Manifest, Verdict
from flyball.server.backup.ports import ARTIFACTS, DATABASE, Place, StoredBackup
from flyball.server.backup.sql.snapshot import damaged_pages, open_frozen_side


def verify_backup(place: Place, backup_id: str, *, clock: Clock) -> Verdict:
    """Read a backup to its last byte.

    Raises:
        NotFound: there is none of that id.
    """
    try:
        with place.open(backup_id) as backup:
            damage = (*_database(backup, clock), *_artifacts(backup))
            return Verdict(backup=backup_id, read_bytes=_size(backup.manifest), damage=tuple(damage))
    except Corrupted as error:
        return Verdict(backup=backup_id, read_bytes=0, damage=(error.message,))


def copy_out(backup: StoredBackup, name: str, expected: FileSum, into: Path) -> None:
    """Write a file of a backup to a path, checked.

    Raises:
        Corrupted: its bytes are not those of the manifest.
    """
    tally, size_bytes = hashlib.sha256(), 0
    with disk_faults(), into.open("xb") as file:
        for chunk in backup.read(name):
            tally.update(chunk)
            size_bytes += len(chunk)
            file.write(chunk)
    if (size_bytes, tally.hexdigest()) != (expected.size_bytes, expected.digest):
        raise Corrupted(
            f"{name} was changed: {size_bytes} bytes with digest {tally.hexdigest()}, where {expected.size_bytes} bytes with "
            f"{expected.digest} were written"
        )


def listed_artifacts(backup: StoredBackup) -> list[tuple[Digest, int]]:
    """Return the artifacts of a backup, from its list, checked; none where it is of the database only.

    Raises:
        Corrupted: the list was changed.
    """
    expected = backup.manifest.artifacts
    if expected is None:
        return []
    with TemporaryDirectory(prefix="flyball-list-") as folder:
        path = Path(folder) / ARTIFACTS
        copy_out(backup, ARTIFACTS, expected.list, path)
        return list(read_listed([path.read_bytes()]))


def _database(backup: StoredBackup, clock: Clock) -> Iterator[str]:
    with TemporaryDirectory(prefix="flyball-verify-") as folder:
        path = Path(folder) / DATABASE
        try:
            copy_out(backup, DATABASE, backup.manifest.database, path)
        except Corrupted as error:
            yield error.message
        else:
            yield from damage_of(path, backup.manifest, clock)


def damage_of(database: Path, manifest: Manifest, clock: Clock) -> Iterator[str]:
    """Compare a database with what the manifest says of its rows and of its chain."""
    yield from (f"{DATABASE}: {line}" for line in damaged_pages(database))
    with open_frozen_side(database) as side:
        found = sum_tables(side)
    for name in sorted({*found, *manifest.tables}):
        if found.get(name) != manifest.tables.get(name):
            yield f"{DATABASE}: table '{name}' is not the one that was written"
    chain = sum_chain(database, clock)
    if not chain.intact:
        yield f"{DATABASE}: the chain of events is broken at {chain.reason}"
    if chain != manifest.chain:
        yield f"{DATABASE}: the chain of events ends at {chain.head}, not at {manifest.chain.head}"


def _artifacts(backup: StoredBackup) -> Iterator[str]:
    if backup.manifest.artifacts is None:
        return
    for digest in backup.manifest.artifacts.missing:
        yield f"artifact {digest} was missing or damaged in the installation when the backup was made"
    try:
        listed = listed_artifacts(backup)
    except Corrupted as error:
        yield error.message
        return
    for digest, size_bytes in listed:
        if fault := _blob_fault(backup, digest, size_bytes):
            yield fault


def _blob_fault(backup: StoredBackup, digest: Digest, size_bytes: int) -> str:
    try:
        read = sum(map(len, backup.read_blob(digest)))
    except NotFound:
        return f"artifact {digest} is missing"
    except FlyballError as error:
        return f"artifact {digest} is damaged: {error.message}"
    return "" if read == size_bytes else f"artifact {digest} has {read} bytes, not {size_bytes}"


def _size(manifest: Manifest) -> int:
    artifacts = manifest.artifacts
    return manifest.database.size_bytes + (artifacts.size_bytes + artifacts.list.size_bytes if artifacts else 0)
