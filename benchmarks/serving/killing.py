"""Kill the process of a model again and again while it is asked, and hold that nothing is left unanswered and no other model harmed."""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.serving import load
from benchmarks.serving.asking import Subject, check, single_rows
from benchmarks.serving.encodings import open_inference
from benchmarks.serving.flood import Seen, flood
from benchmarks.serving.load import Request
from benchmarks.serving.report import Report
from benchmarks.serving.servers import MODEL, Server, flyball_with

OTHER = "other"
KILLS = 3
# Of what the two processes can do together, so that a queue that is too long is no reason for a refusal.
SHARE_OF_CAPACITY = 0.25
PATIENCE_S = 20.0
# Loading a small model takes a second; the pause before another attempt grows with each that fails.
AGAIN_S = 60.0
ANSWERED, REFUSED = 200, 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """When a process was killed, and how long it was until its model answered again."""

    at_s: float
    away_s: float


def killing(subject: Subject, *, report: Report, folder: Path, seconds: int) -> None:
    """Serve a model twice, each in a process of its own, ask both, and kill the process of one again and again."""
    home = folder / "killing"
    home.mkdir()
    folders = {MODEL: subject.folder, OTHER: subject.folder}
    with flyball_with(folders, home, FLYBALL_ISOLATION="always", FLYBALL_FAST_PATH="false") as server:
        check(server, subject)
        requests = {name: _request(server, subject, name) for name in folders}
        capacity = load.over_http(server.url, requests[MODEL], connections=8, seconds=2).rate
        with (
            ThreadPoolExecutor(len(folders)) as pool,
            _killed(server, requests, every_s=seconds / (2 * KILLS + 2)) as kills,
        ):
            asked = {
                name: pool.submit(
                    flood,
                    server.port,
                    request,
                    rate=capacity * SHARE_OF_CAPACITY,
                    seconds=seconds,
                    patience_s=PATIENCE_S,
                )
                for name, request in requests.items()
            }
            seen = {name: one.result() for name, one in asked.items()}
        _wait_for_all(server, requests)
        check(server, subject)  # and it answers rightly again
    harmed = [name for name, one in seen.items() if set(one.statuses) != {ANSWERED} or one.unanswered]
    fine = all(not one.unanswered and set(one.statuses) <= {ANSWERED, REFUSED} for one in seen.values())
    worst = max(seen.values(), key=lambda one: one.statuses[REFUSED])
    report.judged(
        f"a model's process killed {len(kills)} times in {seconds} s",
        wanted="all 200 or 503; the other model unharmed",
        found="; ".join([*(_said(one) for one in seen.values()), *_each(kills, worst)]),
        met=fine and len(harmed) <= 1 and len(kills) == KILLS,
    )


@contextlib.contextmanager
def _killed(server: Server, requests: Mapping[str, Request], *, every_s: float) -> Iterator[list[Kill]]:
    """Kill the process of one model whenever all are there, while the block runs; yields what came of each."""
    over, kills = threading.Event(), list[Kill]()
    _, *others = psutil.Process(server.process.pid).children()
    spared = {process.pid for process in others}

    def kill() -> None:
        while len(kills) < KILLS and not over.wait(every_s):
            _wait_for_all(server, requests)
            (victim,) = [one for one in psutil.Process(server.process.pid).children() if one.pid not in spared]
            at_s = time.monotonic()
            victim.kill()
            victim.wait(AGAIN_S)
            _wait_for_all(server, requests)
            kills.append(Kill(at_s=at_s, away_s=time.monotonic() - at_s))

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        yield kills
    finally:
        over.set()
        thread.join()


def _wait_for_all(server: Server, requests: Mapping[str, Request]) -> None:
    """Wait until every model answers again.

    Raises:
        SystemExit: that takes too long.
    """
    until = time.monotonic() + AGAIN_S
    while not _all_answer(server, requests):
        if time.monotonic() > until:
            raise SystemExit(f"a model that was killed did not answer again within {AGAIN_S:g} s")
        time.sleep(0.05)


def _all_answer(server: Server, requests: Mapping[str, Request]) -> bool:
    for request in requests.values():
        asked = urllib.request.Request(server.url + request.path, request.bodies[0], dict(request.headers))
        try:
            urllib.request.urlopen(asked, timeout=PATIENCE_S).close()
        except urllib.error.HTTPError:
            return False
    return True


def _request(server: Server, subject: Subject, model: str) -> Request:
    encoding = open_inference(model)
    headers = {"Content-Type": encoding.content_type, **server.headers}
    return Request(path=encoding.path, bodies=[encoding.body(rows) for rows in single_rows(subject)], headers=headers)


def _said(seen: Seen) -> str:
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(seen.statuses.items()))
    return f"of {seen.sent:,} sent, {statuses}, {seen.unanswered} without an answer"


def _each(kills: Sequence[Kill], seen: Seen) -> Iterator[str]:
    """Say of each kill how long the model was away, and what it answered from then to the next one."""
    ends = [*(kill.at_s for kill in kills[1:]), float("inf")]
    for number, (kill, until_s) in enumerate(zip(kills, ends, strict=True), start=1):
        answers = ", ".join(
            f"{status}: {count:,}" for status, count in sorted(seen.between(kill.at_s, until_s).items())
        )
        yield f"kill {number}: back after {kill.away_s:.1f} s ({answers})"
