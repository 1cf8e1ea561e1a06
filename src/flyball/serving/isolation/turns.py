"""Turns: a lock that is handed over in the order of asking.

Python's own locks go to whoever comes first when they are free, which is the thread that has just let go of it: under load the
others would wait without an end.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """One thread at a time, first come, first served."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    @contextmanager
    def mine(self) -> Iterator[None]:
        """Wait for the turn, and hold it."""
        self.take()
        try:
            yield
        finally:
            self.give()

    def take(self, *, timeout_s: float = -1) -> bool:
        """Wait for the turn, at most so long (a negative number: without an end); False when it did not come."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=timeout_s):
            return True
        with self._guard:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return False
        return True  # it was handed over meanwhile

    def give(self) -> None:
        """Hand the turn to the one that has waited longest."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
