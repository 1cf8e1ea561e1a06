"""Look at an installation from all sides, and say for each what is wrong and what to do. Nothing is mended here."""

from __future__ import annotations

import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flyball.artifacts.opening import open_blob_store
from flyball.governance.access import Access
from flyball.governance.sql import SqlAccessStore
from flyball.kernel.clock import SystemClock
from flyball.kernel.db import Database, open_database
from flyball.kernel.errors import FlyballError, NotFound, Unauthenticated
from flyball.kernel.events import EventLog
from flyball.kernel.events.sql import SqlEventStore
from flyball.kernel.settings import Settings
from flyball.server import migrations
from flyball.server.home import OTHERS
from flyball.server.up import answers

# Below this a day of predictions and one training run may not fit any more.
LEAST_FREE_BYTES = 1_000_000_000
PROBE = b"flyball doctor"
_SQLITE = "sqlite:///"
_START = "run: flyball up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One side of the installation, and what to do about it when it is not healthy."""

    subject: str
    healthy: bool
    detail: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Examine everything; an examination that fails is itself a finding, never a crash."""
    checks: tuple[tuple[str, Callable[[Settings], Finding]], ...] = (
        ("python", _python),
        ("home", _home),
        ("disk", _disk),
        ("database", _database),
        ("audit", _audit),
        ("artifacts", _artifacts),
        ("owner token", _token),
        ("server", _server),
    )
    for subject, check in checks:
        try:
            yield check(settings)
        except Exception as error:  # noqa: BLE001 -- whatever goes wrong here is what people came to see
            message = error.message if isinstance(error, FlyballError) else f"{type(error).__name__}: {error}"
            first = message.splitlines()[0]
            yield Finding(
                subject=subject, healthy=False, detail=first, remedy="mend what the message names, look again"
            )


def _python(_settings: Settings) -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    healthy = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding(subject="python", healthy=healthy, detail=version, remedy="use Python 3.11 to 3.13")


def _home(settings: Settings) -> Finding:
    if not settings.home.is_dir():
        return Finding(subject="home", healthy=False, detail=f"no folder {settings.home}", remedy=_START)
    mode = stat.S_IMODE(settings.home.stat().st_mode)
    return Finding(
        subject="home",
        healthy=not mode & OTHERS,
        detail=f"{settings.home} (mode {mode:o})",
        remedy=f"others on this machine can look into it: chmod 700 {settings.home}",
    )


def _disk(settings: Settings) -> Finding:
    places = {_existing(settings.home)} | {_existing(path) for path in [_artifact_folder(settings)] if path}
    free, place = min((shutil.disk_usage(place).free, str(place)) for place in places)
    return Finding(
        subject="disk",
        healthy=free >= LEAST_FREE_BYTES,
        detail=f"{free / 1e9:.1f} GB free at {place}",
        remedy="free space, or move FLYBALL_HOME to a larger disk",
    )


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _database(settings: Settings) -> Finding:
    with closing(_open_existing(settings)) as database:
        at, newest = migrations.current(database), migrations.newest()
    return Finding(
        subject="database",
        healthy=at == newest,
        detail=f"schema at {at or 'nothing'}, newest {newest}",
        remedy="run: flyball db upgrade" if at else _START,
    )


def _audit(settings: Settings) -> Finding:
    with closing(_open_newest(settings)) as database:
        found = EventLog(SqlEventStore(database), SystemClock()).verify()
    detail = f"{found.count} events" if found.intact else f"broken at entry {found.first_bad}: {found.reason}"
    remedy = "stop everything, keep a copy of the database, and compare it with a backup or an exported chain"
    return Finding(subject="audit", healthy=found.intact, detail=detail, remedy=remedy)


def _artifacts(settings: Settings) -> Finding:
    folder = _artifact_folder(settings)  # made by the first artifact, so it is its parent that must be there
    if folder is not None and not folder.parent.is_dir():
        return Finding(subject="artifacts", healthy=False, detail=f"no folder {folder.parent}", remedy=_START)
    store = open_blob_store(settings)
    blob = store.put([PROBE])  # the same content each time, so that it is kept once
    whole = b"".join(store.open(blob.digest)) == PROBE
    return Finding(
        subject="artifacts",
        healthy=whole,
        detail=f"{settings.resolved_artifacts_url} can be written and read",
        remedy="what was read back differs from what was written: check the disk or the bucket",
    )


def _token(settings: Settings) -> Finding:
    path = settings.owner_token_file
    if not path.exists():
        return Finding(subject="owner token", healthy=False, detail=f"no file {path}", remedy=_START)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & OTHERS:
        remedy = "others could read it: restart the server, which revokes it and makes a new one"
        return Finding(subject="owner token", healthy=False, detail=f"{path} (mode {mode:o})", remedy=remedy)
    with closing(_open_newest(settings)) as database:
        clock = SystemClock()
        access = Access(SqlAccessStore(database), EventLog(SqlEventStore(database), clock), clock, database)
        try:
            access.authenticate(path.read_text(encoding="utf-8").strip())
        except Unauthenticated as error:
            remedy = "restart the server, which makes a new one"
            return Finding(subject="owner token", healthy=False, detail=f"{path}: {error.message}", remedy=remedy)
    return Finding(subject="owner token", healthy=True, detail=f"{path} (mode {mode:o})")


def _server(settings: Settings) -> Finding:
    return Finding(
        subject="server",
        healthy=answers(settings),
        detail=settings.resolved_server_url,
        remedy=f"nothing answers there; {_START}",
    )


def _open_existing(settings: Settings) -> Database:
    """Open the database without making one."""
    url = settings.resolved_database_url
    path = Path(url.removeprefix(_SQLITE))
    if url.startswith(_SQLITE) and not path.exists():
        raise NotFound(f"no file {path}; {_START}", field="database")
    return open_database(url)


def _open_newest(settings: Settings) -> Database:
    database = _open_existing(settings)
    try:
        migrations.require_newest(database)
    except FlyballError:
        database.close()
        raise
    return database


def _artifact_folder(settings: Settings) -> Path | None:
    """Return the folder of the artifacts, None where they lie elsewhere."""
    parts = urlsplit(settings.resolved_artifacts_url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None
