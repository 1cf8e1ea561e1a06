"""Group commit: writers take turns on one SQLite connection, and those who queued up meanwhile share one COMMIT.

A member's work lies between a savepoint and its release, so that an error undoes that member's work and nobody else's. Who
leaves while others wait leaves the COMMIT to them, and waits until it is on disk: what is acknowledged is durable. When the
COMMIT fails, or SQLite has rolled the transaction back, every member is told so, each by an error of its own.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flyball.kernel.errors import FlyballError, Unavailable
from flyball.kernel.faults import fault_of, is_busy

# A group is closed after this many members or this long, so that nobody's fsync waits behind an endless queue.
GROUP_MEMBERS = 64
GROUP_SECONDS = 0.005
# If the member that was to commit dies before it can (an interrupt), the next waiter does it after this long.
PATIENCE_SECONDS = 0.05
# Longer than any change of ours: who waits so long waits for somebody who waits for him. An error is better than silence.
TURN_SECONDS = 60.0
# Another process may hold the write lock for a group, or for a long change. SQLite's own waiting sleeps up to 100 ms between
# two looks, and starves beside a process that writes all the time: between two of its groups the lock is free for less
# than a millisecond. So we look more often, and by chance, so that two who wait do not keep step.
BUSY_SECONDS = 60.0
BUSY_PAUSE_SECONDS = (0.0002, 0.002)


class _Group:
    """The writes that share one COMMIT."""

    def __init__(self) -> None:
        self.members = 0
        self.opened = time.monotonic()
        self.ended = threading.Event()
        self.cause: BaseException | None = None

    @property
    def full(self) -> bool:
        return self.members >= GROUP_MEMBERS or time.monotonic() - self.opened > GROUP_SECONDS

    def fault(self) -> FlyballError:
        """Make the error for one member; an exception object is not shared between threads, which write into it."""
        return fault_of(self.cause) or Unavailable(
            "the commit that this change shared with others was broken off; nothing of it was kept: repeat the call"
        )


class GroupCommit:
    """One connection, one member at a time, one COMMIT for all who queued up meanwhile.

    `connect` returns the connection in autocommit mode, the same one until `discard` was called, which closes it: that is
    how a transaction in a doubtful state is ended for certain. It must not wait for locks itself (busy timeout 0).
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        discard: Callable[[], None],
        *,
        turn_s: float = TURN_SECONDS,
        busy_s: float = BUSY_SECONDS,
    ) -> None:
        self._connect = connect
        self._discard = discard
        self._turn_s = turn_s
        self._busy_s = busy_s
        self._turn = threading.Lock()
        self._waiting = 0
        self._counting = threading.Lock()
        self._group: _Group | None = None

    @contextmanager
    def member(self) -> Iterator[None]:
        """Write between BEGIN and COMMIT; on return the work is durable.

        Raises:
            StoreFull: the disk is full.
            Unavailable: the turn did not come, or the shared commit was broken off.
        """
        with self._taking_turn():
            group = self._join()
            try:
                with self._savepoint(group):
                    yield
            finally:
                if self._group is group and (not self._waiting or group.full):
                    self._commit(group)
        self._await(group)

    def close(self) -> None:
        """Commit what is open, then close the connection."""
        with self._turn:
            if self._group is not None:
                self._commit(self._group)
            self._discard()

    @contextmanager
    def _taking_turn(self) -> Iterator[None]:
        self._count(1)
        try:
            taken = self._turn.acquire(timeout=self._turn_s)
        finally:
            self._count(-1)
        if not taken:
            raise Unavailable(
                f"another change in this process has held the database for {self._turn_s:g} s; repeat the call"
            )
        try:
            yield
        finally:
            self._turn.release()

    def _count(self, change: int) -> None:
        with self._counting:
            self._waiting += change

    def _join(self) -> _Group:
        if self._group is None:
            self._begin()
            self._group = _Group()
        self._group.members += 1
        return self._group

    def _begin(self) -> None:
        try:
            if self._connect().in_transaction:  # an interrupt fell between BEGIN and the making of the group
                self._execute("ROLLBACK")
            deadline = time.monotonic() + self._busy_s
            while not self._try_begin(deadline):
                time.sleep(random.uniform(*BUSY_PAUSE_SECONDS))  # noqa: S311 -- nothing secret depends on it
        except sqlite3.Error:
            self._discard()
            raise

    def _try_begin(self, deadline: float) -> bool:
        try:
            self._execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            return False
        return True

    @contextmanager
    def _savepoint(self, group: _Group) -> Iterator[None]:
        try:
            self._execute("SAVEPOINT member")
            yield
            self._execute("RELEASE member")
        except BaseException as error:
            undone = False
            try:
                undone = self._undo()
            finally:
                if not undone:
                    self._lose(group, error)
            raise

    def _undo(self) -> bool:
        """Undo the work of one member; False when the whole transaction is gone (full disk) or in doubt (interrupt)."""
        try:
            if not self._connect().in_transaction:
                return False
            self._execute("ROLLBACK TO member")
            self._execute("RELEASE member")
        except sqlite3.Error:
            return False
        return True

    def _commit(self, group: _Group) -> None:
        try:
            self._execute("COMMIT")
        except sqlite3.Error as error:
            self._lose(group, error)
        except BaseException as error:  # an interrupt, which may have come before the COMMIT or after it
            if self._in_transaction():
                self._lose(group, error)
            else:
                self._end(group, None)
            raise
        else:
            self._end(group, None)

    def _in_transaction(self) -> bool:
        try:
            return self._connect().in_transaction
        except sqlite3.Error:
            return True

    def _execute(self, statement: str) -> None:
        self._connect().execute(statement).close()

    def _lose(self, group: _Group, cause: BaseException) -> None:
        try:
            self._discard()
        finally:
            self._end(group, cause)

    def _end(self, group: _Group, cause: BaseException | None) -> None:
        self._group = None
        group.cause = cause
        group.ended.set()

    def _await(self, group: _Group) -> None:
        while not group.ended.wait(PATIENCE_SECONDS):
            if self._turn.acquire(blocking=False):
                try:
                    if self._group is group:
                        self._commit(group)
                finally:
                    self._turn.release()
        if group.cause is not None:
            raise group.fault() from group.cause
