"""Sources that real MLflow made, put where a test wants them, and targets to import into."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from flyball.kernel.settings import Settings, load_settings
from flyball.server.transfer import open_target
from flyball.transfer.importing import Import
from flyball.transfer.opening import open_source
from flyball.transfer.report import Report
from flyball.transfer.target import Target

FIXTURES = Path(__file__).parents[2] / "fixtures" / "mlflow"
VERSIONS = ("2.9.2", "3.17.2")
PLACE = b"@FOLDER@"


def put_source(version: str, folder: Path) -> Path:
    """Copy what a version of MLflow made into a folder, and make its database there."""
    shutil.copytree(FIXTURES / version, folder)
    for path in folder.rglob("*"):
        if path.is_file() and PLACE in path.read_bytes():
            path.write_bytes(path.read_bytes().replace(PLACE, str(folder).encode()))
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.executescript((folder / "database.sql").read_text(encoding="utf-8"))
    return folder


def database_url(source: Path) -> str:
    return f"sqlite:///{source / 'mlflow.db'}"


def settings_of(home: Path, *, url: str = "") -> Settings:
    environ = {"FLYBALL_HOME": str(home)}
    return load_settings(environ | ({"FLYBALL_DATABASE_URL": url} if url else {}))


class Watcher:
    """Progress that nobody looks at, but that must add up."""

    def __init__(self) -> None:
        self.totals: dict[str, int | None] = {}
        self.done: dict[str, int] = {}
        self._now = ""

    def begin(self, what: str, *, total: int | None) -> None:
        self._now = what
        self.totals[what] = total
        self.done[what] = 0

    def advance(self, count: int = 1) -> None:
        self.done[self._now] += count


def import_into(
    home: Path, source: str, *, url: str = "", watcher: Watcher | None = None, artifacts: str = ""
) -> Report:
    """Run one import into the home."""
    with (
        contextlib.closing(open_source(source, artifacts=artifacts)) as opened,
        open_target(settings_of(home, url=url)) as target,
    ):
        return Import(opened, target, progress=watcher or Watcher()).run()


@contextlib.contextmanager
def target_of(home: Path, *, url: str = "") -> Iterator[Target]:
    with open_target(settings_of(home, url=url)) as target:
        yield target


def rows(database: Path, statement: str) -> list[tuple[object, ...]]:
    """Ask a SQLite file directly."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(statement).fetchall()


def counts(report: Report) -> dict[str, dict[str, int]]:
    return {str(kind): {str(key): n for key, n in counter.items() if n} for kind, counter in report.counts.items()}
