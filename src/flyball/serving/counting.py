"""What became of the requests of one queue, and how long they took: numbers for whoever looks, at the price of a few additions."""

from __future__ import annotations

from bisect import bisect_left
from enum import StrEnum

# Upper ends of the classes of durations, in seconds: from what a small model needs to what nobody waits for.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Fate(StrEnum):
    """What became of a request that was sent to a version."""

    ANSWERED = "answered"
    FAILED = "failed"
    """The model refused its rows or broke, or its prediction could not be kept."""
    EXPIRED = "expired"
    """Its time was over before its turn."""
    DROPPED = "dropped"
    """Nobody waited any more when its turn had not begun: its time was over, or its client had gone."""
    REFUSED = "refused"
    """Too much was waiting."""


class Durations:
    """A histogram of seconds: how many in each class (one more for what is longer than all), and their sum."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.total_s = 0.0

    def add(self, took_s: float) -> None:
        """Count one."""
        self.counts[bisect_left(SECONDS, took_s)] += 1
        self.total_s += took_s


class QueueCounts:
    """The fates of a queue's requests, and how long those that were answered took from their queueing to their answer."""

    __slots__ = ("durations", "fates")

    def __init__(self) -> None:
        self.fates = dict.fromkeys(Fate, 0)
        self.durations = Durations()
