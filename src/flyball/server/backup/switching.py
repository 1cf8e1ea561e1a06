"""Put a SQLite file in the place of another, so that at any moment there is either the old database or the new one."""

from __future__ import annotations

import os
from pathlib import Path

from flyball.kernel.errors import Conflict
from flyball.server.home import PRIVATE_FILE, sync_folder

# What SQLite keeps beside a database: the write-ahead log and its index. A log of the old one must never meet the new file.
BESIDE = ("-wal", "-shm")


def switch_in(new: Path, place: Path, *, now_ms: int) -> Path | None:
    """Let the file `new` take a place, and return where the old one is kept, None where there was none.

    Nobody may have either open. The old database gets second names before anything is taken away; only then its log is removed, which
    the kept copy needs and the new file must not have. A crash in between leaves the old database in its place, and all of it
    under the kept name.
    """
    for suffix in BESIDE:
        if new.with_name(new.name + suffix).exists():
            raise Conflict(f"{new} is still open; close it first")
    new.chmod(PRIVATE_FILE)
    _sync_file(new)
    kept = _keep(place, now_ms=now_ms)
    for suffix in BESIDE:
        place.with_name(place.name + suffix).unlink(missing_ok=True)
    new.replace(place)
    sync_folder(place.parent)
    return kept


def _keep(place: Path, *, now_ms: int) -> Path | None:
    if not place.exists():
        return None
    kept = place.with_name(f"{place.name}.replaced-{now_ms}")
    for suffix in ("", *BESIDE):
        source = place.with_name(place.name + suffix)
        if source.exists():
            os.link(source, kept.with_name(kept.name + suffix))
    sync_folder(place.parent)
    return kept


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
