"""What must hold when processes are killed, disks are full, holders are late and writers meet."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from flyball.kernel.clock import ManualClock, SystemClock
from flyball.kernel.db import Database, open_database
from flyball.kernel.errors import LeaseLost, StoreFull
from flyball.kernel.events import EventKind, EventLog, ref
from flyball.kernel.events.sql import SqlEventStore
from flyball.kernel.leases.sql import SqlLeaseStore

WRITER = Path(__file__).with_name("kernel_writer.py")
# BEGIN, the rows, the reading of the head, the event, its edges, COMMIT: before and after each of them.
FEWEST_BOUNDARIES = 11

SUCCESSOR = """
import sys
from sqlalchemy import text
from flyball.kernel.clock import ManualClock
from flyball.kernel.db import open_database
from flyball.kernel.leases.sql import SqlLeaseStore
database = open_database(sys.argv[1])
print("ready", flush=True)
SqlLeaseStore(database, ManualClock(int(sys.argv[2]))).acquire("run/1", holder="successor", ttl_ms=1_000)
with database.read() as connection:
    print(connection.execute(text("SELECT count(*) FROM actions")).scalar(), flush=True)
"""


class Told(EventKind):
    DONE = "told.done"


@pytest.fixture
def actions(database: Database) -> Iterator[Database]:
    with database.transaction() as connection:
        connection.execute(text("CREATE TABLE actions (number INTEGER, part INTEGER, PRIMARY KEY (number, part))"))
    yield database
    with database.transaction() as connection:
        connection.execute(text("DROP TABLE actions"))


def url_of(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=False)


def start(database: Database | str, **task: object) -> subprocess.Popen[bytes]:
    url = database if isinstance(database, str) else url_of(database)
    argument = json.dumps({"url": url} | task)
    return subprocess.Popen([sys.executable, WRITER, argument], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def acknowledged(output: bytes) -> set[int]:
    return {int(line) for line in output.split()}


def done(database: Database) -> set[int]:
    """Return the numbers of the actions that are there, and check that none is there by half and the chain is whole."""
    with database.read() as connection:
        parts = [tuple(row) for row in connection.execute(text("SELECT number, part FROM actions"))]
    log = EventLog(SqlEventStore(database), SystemClock())
    events = list(log.all())
    told = [int(event.subject.partition(":")[2]) for event in events]
    numbers = {number for number, _ in parts}
    assert sorted(parts) == sorted((number, part) for number in numbers for part in (1, 2))
    assert sorted(told) == sorted(numbers)
    assert all(len(event.edges) == 2 for event in events)
    checked = log.verify()
    assert (checked.intact, checked.count) == (True, len(numbers))
    return numbers


def test_a_writer_killed_between_any_two_statements_leaves_no_half_action(actions: Database) -> None:
    expected: set[int] = set()
    for die_at in itertools.count():
        first = 2 * die_at
        output, errors = (writer := start(actions, first=first, die_at=die_at)).communicate()
        kept = done(actions)
        assert expected | acknowledged(output) <= kept <= expected | {first, first + 1}, errors
        expected = kept
        if writer.returncode != -signal.SIGKILL:
            break
    assert writer.returncode == 0, errors
    assert acknowledged(output) == {first, first + 1}
    assert die_at >= FEWEST_BOUNDARIES


@pytest.mark.parametrize("seed", range(4))
def test_writers_killed_at_any_moment_lose_nothing_acknowledged(actions: Database, seed: int) -> None:
    writer = start(actions, count=100_000, threads=6)
    assert writer.stdout is not None
    first = writer.stdout.readline()
    time.sleep(random.Random(seed).uniform(0, 0.3))
    writer.kill()
    seen = acknowledged(first + writer.stdout.read())
    writer.communicate()
    kept = done(actions)
    assert seen <= kept
    assert len(kept - seen) <= 6  # each thread has at most one action that was kept and not told
    assert start(actions, first=200_000, count=1).wait() == 0
    assert done(actions) == kept | {200_000}


def test_two_processes_append_at_once_to_one_gapless_chain(actions: Database, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    writers = [start(actions, first=first, count=150, threads=3, gate=str(gate)) for first in (0, 1_000)]
    while len(list(tmp_path.glob("gate.*"))) < len(writers):
        time.sleep(0.01)
    gate.touch()
    outputs = [writer.communicate() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], outputs
    expected = {*range(150), *range(1_000, 1_150)}
    assert acknowledged(b"".join(output for output, _ in outputs)) == done(actions) == expected
    with actions.read() as connection:
        actors = list(connection.execute(text("SELECT actor FROM events ORDER BY seq")).scalars())
    assert len(set(actors)) == 2
    assert sum(one != two for one, two in itertools.pairwise(actors)) > 1  # they did meet


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[int | None]:
    """Give a folder a disk of two megabytes, and yield None; where mounting is not allowed, yield a limit for files."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "flyball-test", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield None if mounted else 1_000_000
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def template(sqlite: Database, tmp_path: Path) -> Path:
    """A database file with the schema and the table of actions, to be copied to where it will run full."""
    with sqlite.transaction() as connection:
        connection.execute(text("CREATE TABLE actions (number INTEGER, part INTEGER, PRIMARY KEY (number, part))"))
    sqlite.close()
    return tmp_path / "flyball.db"


def test_a_full_disk_is_told_and_loses_nothing_acknowledged(template: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    with small_disk(folder) as limit:
        url = f"sqlite:///{shutil.copy(template, folder)}"
        output, errors = start(url, count=1_000, threads=4, file_limit=limit, long=True).communicate()
        seen = acknowledged(output)
        assert errors.split() == [b"store_full"] * 4
        assert seen
        with contextlib.closing(open_database(url)) as database:
            assert seen == done(database)


def test_a_file_that_may_not_grow_is_told_and_loses_nothing_acknowledged(template: Path) -> None:
    url = f"sqlite:///{template}"
    output, errors = start(url, count=1_000, threads=4, file_limit=1_000_000, long=True).communicate()
    seen = acknowledged(output)
    assert errors.split() == [b"store_full"] * 4
    assert seen
    with contextlib.closing(open_database(url)) as database:
        assert seen == done(database)


@contextlib.contextmanager
def no_file_may_grow_beyond(size_bytes: int) -> Iterator[None]:
    """Let this process's writes beyond a size fail, as on a full disk, and free the space again."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_when_space_is_freed_the_same_process_writes_on(sqlite: Database) -> None:
    log = EventLog(SqlEventStore(sqlite), ManualClock())

    def record(number: int) -> None:
        log.record(Told.DONE, actor="user:ada", subject=ref("x", str(number)), payload={"long": "x" * 100_000})

    record(1)
    full = pytest.raises(StoreFull, match="free space and repeat it")
    with no_file_may_grow_beyond(150_000), full:
        record(2)
    assert log.verify().count == 1
    record(2)
    assert log.verify().count == 2


def test_a_holder_whose_lease_expired_cannot_write(actions: Database, clock: ManualClock) -> None:
    leases = SqlLeaseStore(actions, clock)
    late = leases.acquire("run/1", holder="late", ttl_ms=1_000)

    def write(number: int) -> None:
        with actions.transaction() as connection:
            connection.execute(text("INSERT INTO actions VALUES (:n, 1)"), {"n": number})
            leases.fence(late)

    write(1)
    clock.advance(1_000)
    with pytest.raises(LeaseLost):
        write(2)
    present = leases.acquire("run/1", holder="present", ttl_ms=1_000)
    with pytest.raises(LeaseLost):
        write(3)
    leases.fence(present)
    with actions.read() as connection:
        assert list(connection.execute(text("SELECT number FROM actions")).scalars()) == [1]


def test_a_lease_cannot_be_taken_over_between_the_check_and_the_commit(actions: Database, clock: ManualClock) -> None:
    """The fence holds the lease's row until the commit, so that a successor's work comes after it."""
    leases = SqlLeaseStore(actions, clock)
    late = leases.acquire("run/1", holder="late", ttl_ms=1_000)
    command = [sys.executable, "-c", SUCCESSOR, url_of(actions), str(clock.now_ms() + 2_000)]
    with actions.transaction() as connection:
        leases.fence(late)
        successor = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert successor.stdout is not None
        assert successor.stdout.readline() == b"ready\n"
        time.sleep(0.3)  # time enough for a successor that does not wait
        connection.execute(text("INSERT INTO actions VALUES (1, 1)"))
    assert successor.communicate()[0] == b"1\n"
    assert successor.returncode == 0
