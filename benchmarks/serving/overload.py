"""Ask ours for ten times what it can do, and hold that every request is answered and memory stays bounded."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

from benchmarks.serving import load
from benchmarks.serving.asking import Subject, check, request_of
from benchmarks.serving.flood import Seen, flood
from benchmarks.serving.load import Request
from benchmarks.serving.report import Report
from benchmarks.serving.servers import MODEL, Server, flyball_with

TIMES_CAPACITY = 10
ROWS = 200
# What a caller waits for, in the header that says so; and how long we wait for an answer after that.
DEADLINE = {"X-Request-Timeout-Ms": "2000"}
PATIENCE_S = 20.0
# The queue may hold 256 MB of requests, and a batch of them may be copied while it is joined.
MORE_MB = 512.0
BETWEEN_LOOKS_S = 0.25
GOOD = frozenset({200, 429, 504})
WORK = "ten times capacity"


def overload(subject: Subject, *, report: Report, folder: Path, seconds: int) -> None:
    """Overload ours with requests of many rows."""
    home = folder / "overload"
    home.mkdir()
    with flyball_with({MODEL: subject.folder}, home) as server:
        request = _request(server, subject)
        capacity = _capacity(server, request)
        before = server.memory_mb()
        with_deadline = replace(request, headers={**request.headers, **DEADLINE})
        with _Peak(server.memory_mb) as peak:
            seen = flood(
                server.port, with_deadline, rate=capacity * TIMES_CAPACITY, seconds=seconds, patience_s=PATIENCE_S
            )
        check(server, subject)  # and afterwards it answers as if nothing had been
        held = f"{before:,.0f} MB before, {peak.found:,.0f} at most, {server.memory_mb():,.0f} after"
    fine = not seen.unanswered and set(seen.statuses) <= GOOD and seen.statuses[200] > 0
    report.judged(
        f"{WORK}, {seconds} s",
        wanted="all 200, 429 or 504; memory bounded",
        found=f"{capacity:,.0f} requests/s of {ROWS} rows is its capacity; {_said(seen)}; {held}",
        met=fine and peak.found - before <= MORE_MB,
    )


def _request(server: Server, subject: Subject) -> Request:
    encoding = server.many[0]
    return request_of(server, encoding, [subject.rows[at : at + ROWS] for at in range(0, len(subject.rows), ROWS)])


def _capacity(server: Server, request: Request) -> float:
    return [load.over_http(server.url, request, connections=8, seconds=2).rate for _ in range(2)][-1]


def _said(seen: Seen) -> str:
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(seen.statuses.items()))
    faults = "".join(f", {name}: {count}" for name, count in sorted(seen.faults.items()))
    median_ms = statistics.median(seen.good_s or [0.0]) * 1e3
    return (
        f"of {seen.sent:,} sent, {statuses}, {seen.unanswered} without an answer{faults}; the median of status 200 "
        f"took {median_ms:,.0f} ms"
    )


class _Peak:
    """The largest of what is looked at again and again, in a thread of its own, while the block runs."""

    def __init__(self, look: Callable[[], float]) -> None:
        self._look = look
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.found = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(BETWEEN_LOOKS_S):
            self.found = max(self.found, self._look())
