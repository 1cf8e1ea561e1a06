"""A process that writes and is killed on the way; started by `test_kernel_faults.py` with one JSON argument.

It prints a line for every action that was acknowledged. An action is two rows, and an event with two edges, in one
transaction.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from flyball.kernel.clock import SystemClock
from flyball.kernel.db import Database, open_database
from flyball.kernel.errors import FlyballError
from flyball.kernel.events import Edge, EventKind, EventLog, ref
from flyball.kernel.events.sql import SqlEventStore
from flyball.kernel.group_commit import GroupCommit

LONG = "x" * 20_000


class Written(EventKind):
    DONE = "action.done"


@dataclass(frozen=True)
class Task:
    """What to do.

    `die_at` is the boundary between two statements, counted in the second action, at which to die. `gate` is a file to wait
    for, after having said by a file beside it that one waits; then there is a pause before each action, so that writers meet.
    """

    url: str
    first: int = 0
    count: int = 2
    threads: int = 1
    die_at: int | None = None
    file_limit: int | None = None
    long: bool = False
    gate: str = ""


class Killer:
    """Counts the boundaries before and after every statement, and kills this process at one of them."""

    def __init__(self, die_at: int) -> None:
        self.die_at = die_at
        self.passed = 0
        self.armed = False

    def watch(self) -> None:
        event.listen(Engine, "before_cursor_execute", self.boundary)
        event.listen(Engine, "after_cursor_execute", self.boundary)
        event.listen(Engine, "commit", self.boundary)  # PostgreSQL: just before COMMIT
        execute: Callable[[GroupCommit, str], None] = GroupCommit._execute

        def watched(commit: GroupCommit, statement: str) -> None:  # SQLite: BEGIN, SAVEPOINT, RELEASE, COMMIT
            self.boundary()
            execute(commit, statement)
            self.boundary()

        setattr(GroupCommit, "_execute", watched)  # noqa: B010 -- a plain assignment to a method is refused by mypy

    def boundary(self, *_: object) -> None:
        if not self.armed:
            return
        if self.passed == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed += 1


def act(database: Database, log: EventLog, number: int, *, note: str) -> None:
    """Do one action, and acknowledge it on standard output."""
    action, cause = ref("action", str(number)), ref("cause", str(number))
    with database.transaction() as connection:
        connection.execute(text("INSERT INTO actions VALUES (:n, 1)"), {"n": number})
        log.record(
            Written.DONE,
            actor=f"service:writer-{os.getpid()}",
            subject=action,
            payload={"note": note},
            edges=[
                Edge(subject=action, relation="caused-by", object=cause),
                Edge(subject=cause, relation="of", object=action),
            ],
        )
        connection.execute(text("INSERT INTO actions VALUES (:n, 2)"), {"n": number})
    os.write(1, f"{number}\n".encode())


def wait_for(gate: str) -> None:
    """Wait until the gate is there."""
    if gate:
        Path(f"{gate}.{os.getpid()}").touch()
    while gate and not Path(gate).exists():
        time.sleep(0.001)


def main(task: Task) -> None:
    """Do all actions, in threads when asked to; stop a thread at its first error and tell it."""
    if task.file_limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (task.file_limit, task.file_limit))
    database = open_database(task.url)
    log = EventLog(SqlEventStore(database), SystemClock())
    killer = Killer(-1 if task.die_at is None else task.die_at)
    killer.watch()

    wait_for(task.gate)

    def work(thread: int) -> None:
        try:
            for number in range(task.first + thread, task.first + task.count, task.threads):
                killer.armed = task.die_at is not None and number > task.first
                if task.gate:
                    time.sleep(0.002)
                act(database, log, number, note=LONG if task.long else "short")
        except FlyballError as error:
            os.write(2, f"{error.code}\n".encode())

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(task.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()


if __name__ == "__main__":
    given: dict[str, Any] = json.loads(sys.argv[1])
    main(Task(**given))
