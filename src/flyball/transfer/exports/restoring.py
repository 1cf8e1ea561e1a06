"""Take an export into an empty installation: everything is checked first, then written in one transaction, or nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from flyball.kernel.canonical import parse_digest
from flyball.kernel.errors import Conflict, Corrupted, FlyballError, InvalidInput
from flyball.kernel.events import Event, parse_export, verify_chain
from flyball.transfer.exports.manifest import (
    BLOBS,
    EVENTS,
    Manifest,
    blob_path,
    check_file,
    check_files,
    read_file,
    read_manifest,
)
from flyball.transfer.ports import Progress
from flyball.transfer.sql.exported import BATCH, EXPORTED
from flyball.transfer.sql.restoring import is_empty, restore_events, restore_rows
from flyball.transfer.target import Target

EVENT_TABLE = "events"


def restore_export(folder: Path, target: Target, *, progress: Progress) -> Manifest:
    """Take an export in.

    The chain of events travels as it is, so the installation must have none of its own: two chains cannot be one.

    Raises:
        Corrupted: a file is missing or was changed, or the chain does not verify; nothing was written.
        Conflict: this installation has a history.
    """
    manifest = read_manifest(folder)
    if not is_empty(target.database):
        raise Conflict(
            "this installation has a history of its own, and two chains of events cannot be one: set FLYBALL_HOME (and "
            "FLYBALL_DATABASE_URL) to an empty installation. To bring runs and models of another installation in beside what is "
            "here, start its server and import from its URL as from MLflow",
            field="folder",
        )
    _check(folder, manifest, progress=progress)
    _put_blobs(folder, target, progress=progress)
    with target.database.transaction() as connection:
        if not is_empty(target.database):
            raise Conflict("this installation has got a history meanwhile; nothing was imported", field="folder")
        for exported in EXPORTED:
            if exported.name == EVENT_TABLE:
                continue
            progress.begin(exported.name, total=manifest.rows.get(exported.name))
            for records in _records(folder / f"{exported.name}.parquet", list(exported.columns)):
                restore_rows(connection, exported, records, metrics=target.tracking.metrics)
                progress.advance(len(records))
        restore_events(connection, _events(folder))
        target.finish.move_experiment_counter()
    return manifest


def _check(folder: Path, manifest: Manifest, *, progress: Progress) -> None:
    progress.begin("checking", total=len(manifest.files) + manifest.blobs)
    needed = {f"{exported.name}.parquet" for exported in EXPORTED} | {EVENTS, BLOBS}
    lacking = sorted(needed - set(manifest.files))
    if lacking:
        raise Corrupted(f"the export is damaged: its manifest does not name {', '.join(lacking)}")
    check_files(folder, manifest)
    progress.advance(len(manifest.files))
    for digest in _blobs(folder):
        check_file(blob_path(folder, digest), digest)
        progress.advance()
    try:
        found = verify_chain(_events(folder))
    except InvalidInput as error:
        raise Corrupted(f"the export is damaged: {folder / EVENTS}: {error.message}") from error
    if not found.intact or (found.count, found.head) != (manifest.events, manifest.head):
        reason = found.reason or "its chain is not the one that the manifest names"
        raise Corrupted(f"the export is damaged: {folder / EVENTS}: {reason}; nothing was imported")


def _put_blobs(folder: Path, target: Target, *, progress: Progress) -> None:
    progress.begin("files", total=None)
    for digest in _blobs(folder):
        if not target.artifacts.blobs.has(parse_digest(digest)):
            put = target.artifacts.blobs.put(read_file(blob_path(folder, digest)))
            if put.digest != digest:
                raise Corrupted(
                    f"the export changed while it was read: {blob_path(folder, digest)}; nothing was imported"
                )
        progress.advance()


def _blobs(folder: Path) -> Iterator[str]:
    for records in _records(folder / BLOBS, ["digest", "size_bytes"]):
        for record in records:
            yield parse_digest(str(record["digest"]))


def _events(folder: Path) -> Iterator[Event]:
    with (folder / EVENTS).open("rb") as lines:
        yield from parse_export(lines)


def _records(path: Path, columns: list[str]) -> Iterator[list[dict[str, object]]]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH, columns=columns):
                yield batch.to_pylist()
    except FlyballError:
        raise
    except (OSError, ValueError, KeyError) as error:
        raise Corrupted(f"the export is damaged: {path} cannot be read: {error}") from error
