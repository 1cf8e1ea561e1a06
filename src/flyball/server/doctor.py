"""Look at an installation from all sides, and say for each what is wrong and what to do."""

from __future__ import annotations

import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from flyball.artifacts.opening import open_blob_store
from flyball.kernel.clock import SystemClock
from flyball.kernel.db import open_database
from flyball.kernel.errors import FlyballError
from flyball.kernel.events import EventLog
from flyball.kernel.events.sql import SqlEventStore
from flyball.kernel.settings import Settings
from flyball.server import migrations
from flyball.server.home import PRIVATE_FILE, TOKEN_FILE
from flyball.server.up import answers

LEAST_FREE_BYTES = 1_000_000_000
PROBE = b"flyball doctor"


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
        except (FlyballError, OSError, SQLAlchemyError) as error:
            message = error.message if isinstance(error, FlyballError) else str(error).splitlines()[0]
            yield Finding(
                subject=subject, healthy=False, detail=message, remedy="mend what the message names, look again"
            )


def _python(_settings: Settings) -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(
        subject="python", healthy=sys.version_info >= (3, 11), detail=version, remedy="use Python 3.11 to 3.13"
    )


def _home(settings: Settings) -> Finding:
    if not settings.home.exists():
        return Finding(
            subject="home", healthy=False, detail=f"{settings.home} does not exist", remedy="run: flyball up"
        )
    mode = stat.S_IMODE(settings.home.stat().st_mode)
    private = mode & 0o077 == 0
    return Finding(
        subject="home",
        healthy=private,
        detail=f"{settings.home} (mode {mode:o})",
        remedy=f"others on this machine can look into it: chmod 700 {settings.home}",
    )


def _disk(settings: Settings) -> Finding:
    place = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    return Finding(
        subject="disk",
        healthy=free >= LEAST_FREE_BYTES,
        detail=f"{free / 1e9:.1f} GB free at {place}",
        remedy="free space, or move FLYBALL_HOME to a larger disk",
    )


def _database(settings: Settings) -> Finding:
    with closing(open_database(settings.resolved_database_url)) as database:
        at, newest = migrations.current(database), migrations.newest()
    return Finding(
        subject="database",
        healthy=at == newest,
        detail=f"schema at {at or 'nothing'}, newest {newest}",
        remedy="run: flyball db upgrade" if at else "run: flyball up",
    )


def _audit(settings: Settings) -> Finding:
    with closing(open_database(settings.resolved_database_url)) as database:
        found = EventLog(SqlEventStore(database), SystemClock()).verify()
    detail = f"{found.count} events" if found.intact else f"broken at entry {found.first_bad}: {found.reason}"
    remedy = "stop everything, keep a copy of the database, and compare it with a backup or an exported chain"
    return Finding(subject="audit", healthy=found.intact, detail=detail, remedy=remedy)


def _artifacts(settings: Settings) -> Finding:
    store = open_blob_store(settings)
    blob = store.put([PROBE])
    whole = b"".join(store.open(blob.digest)) == PROBE
    return Finding(
        subject="artifacts",
        healthy=whole,
        detail=f"{settings.resolved_artifacts_url} can be written and read",
        remedy="what was read back differs from what was written: check the disk or the bucket",
    )


def _token(settings: Settings) -> Finding:
    path = settings.home / TOKEN_FILE
    if not path.exists():
        return Finding(subject="owner token", healthy=False, detail=f"{path} is missing", remedy="run: flyball up")
    mode = stat.S_IMODE(path.stat().st_mode)
    return Finding(
        subject="owner token",
        healthy=mode == PRIVATE_FILE,
        detail=f"{path} (mode {mode:o})",
        remedy=f"others can read it: chmod 600 {path}, delete it, and restart the server to get a new one",
    )


def _server(settings: Settings) -> Finding:
    return Finding(
        subject="server",
        healthy=answers(settings),
        detail=settings.resolved_server_url,
        remedy="nothing answers there; run: flyball up",
    )
