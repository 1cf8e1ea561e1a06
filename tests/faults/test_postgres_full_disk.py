"""A PostgreSQL server whose tables lie on a disk that really fills: it is told, and what was acknowledged stays."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from tests.faults.kernel_writer import act
from tests.postgres import started_postgres

from flyball.kernel.clock import SystemClock
from flyball.kernel.db import Database, open_database
from flyball.kernel.errors import StoreFull
from flyball.kernel.events import EventLog
from flyball.kernel.events.sql import SqlEventStore
from flyball.server.migrations import upgrade

WRITER = Path(__file__).with_name("kernel_writer.py")
DISK = "24m"
# Where mounting is not allowed, the server's processes may write no file beyond this: more than a segment of its
# write-ahead log (16 MiB), and no whole number of its pages, so that the page that does not fit is cut as on a full disk.
FILE_LIMIT = 18_000_001


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[bool]:
    """Mount a small disk at a folder; yield False where that is not allowed."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0777", "flyball-test", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def _small_files() -> Iterator[None]:
    """Limit the files of this process and of those it starts meanwhile."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


@contextlib.contextmanager
def _server(data: Path) -> Iterator[str]:
    """Start a server of this test's own, and yield where it answers."""
    server = started_postgres(data)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture
def uri() -> Iterator[str]:
    """A server with a tablespace called `small`, on a disk or in files that are."""
    with contextlib.ExitStack() as stack:
        # Not pytest's folder: for root the server runs as another account, which has no way in there.
        root = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="flyball-small-", ignore_cleanup_errors=True))
        )
        root.chmod(0o755)
        space, data = root / "space", root / "data"
        space.mkdir()
        data.mkdir()
        mounted = stack.enter_context(_small_disk(space))
        with contextlib.nullcontext() if mounted else _small_files():
            uri = stack.enter_context(_server(data))
        inside = space / "tables"
        inside.mkdir()
        shutil.chown(inside, data.stat().st_uid, data.stat().st_gid)
        with psycopg.connect(uri, autocommit=True) as server:
            server.execute(f"CREATE TABLESPACE small LOCATION '{inside}'")
        yield uri


@pytest.fixture
def small(uri: str) -> Iterator[Database]:
    """A database with the newest schema and the table of actions, wholly on the small disk."""
    with psycopg.connect(uri, autocommit=True) as server:
        server.execute("CREATE DATABASE flyball_small TABLESPACE small")
    url = uri.replace("/postgres?", "/flyball_small?").replace("postgresql://", "postgresql+psycopg://")
    with contextlib.closing(open_database(url)) as database:
        upgrade(database)
        with database.transaction() as made:
            made.execute(text("CREATE TABLE actions (number INTEGER, part INTEGER, PRIMARY KEY (number, part))"))
            made.execute(text("ALTER TABLE events ALTER COLUMN payload SET STORAGE EXTERNAL"))  # long ones stay long
        yield database


def _kept(database: Database) -> set[int]:
    """Return the numbers of the actions that are there; none is there by half, and the chain is whole."""
    with database.read() as connection:
        parts = sorted(tuple(row) for row in connection.execute(text("SELECT number, part FROM actions")))
    log = EventLog(SqlEventStore(database), SystemClock())
    numbers = {number for number, _ in parts}
    assert parts == sorted((number, part) for number in numbers for part in (1, 2))
    assert sorted(int(event.subject.partition(":")[2]) for event in log.all()) == sorted(numbers)
    assert log.verify().intact
    return numbers


def test_a_full_disk_of_the_server_is_told_and_loses_nothing_acknowledged(small: Database) -> None:
    url = small.engine.url.render_as_string(hide_password=False)
    task = json.dumps({"url": url, "count": 5_000, "threads": 4, "long": True})
    writer = subprocess.run([sys.executable, WRITER, task], capture_output=True, check=True)
    acknowledged = {int(line) for line in writer.stdout.split()}
    assert writer.stderr.split() == [b"store_full"] * 4
    assert acknowledged
    assert _kept(small) == acknowledged


def test_when_room_is_made_the_same_server_takes_the_change_again(small: Database) -> None:
    log = EventLog(SqlEventStore(small), SystemClock())
    with small.transaction() as connection:
        connection.execute(text("CREATE TABLE ballast (page TEXT STORAGE EXTERNAL)"))
    with pytest.raises(StoreFull, match="free space and repeat it"), small.transaction() as connection:
        connection.execute(text("INSERT INTO ballast SELECT repeat('x', 1000000) FROM generate_series(1, 200)"))
    with small.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM ballast")).scalar() == 0
    with small.transaction() as connection:
        connection.execute(text("DROP TABLE ballast"))
    act(small, log, 7, note="short")
    assert _kept(small) == {7}
