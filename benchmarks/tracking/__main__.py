"""Compare the tracking servers in one run: `python -m benchmarks.tracking`, or `make bench-tracking`.

Prints a table with ratios as it goes, and writes `docs/benchmarks/tracking.md`. Every server is alone while it is measured; the
database of each is filled with the same runs. Needs `wrk` (Debian, Ubuntu: apt-get install wrk).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.environments import ROOT
from benchmarks.figures import cost
from benchmarks.tracking import filling, works
from benchmarks.tracking.report import Report
from benchmarks.tracking.servers import SERVERS, make_peers

SIZES = (1_000, 10_000, 100_000)
MILLION = 1_000_000
LIMIT_S = 60.0
OUT = ROOT / "docs" / "benchmarks" / "tracking.md"


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", default="flyball,fasttrackml,mlflow")
    parser.add_argument("--parts", default="start,writes,searches,history,artifacts,million")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing; Debian, Ubuntu: apt-get install wrk")
    names, parts = asked.servers.split(","), set(asked.parts.split(","))
    if set(names) - {"flyball"}:
        make_peers()
    report = Report(names)
    sizes = [int(size) for size in asked.sizes.split(",")]
    with tempfile.TemporaryDirectory(prefix="flyball-bench-") as folder:
        for name in names:
            _fresh(name, Path(folder) / f"{name}-fresh", parts, report)
            if "searches" in parts:
                for size in sizes:
                    _filled(name, Path(folder) / f"{name}-{size}", size, report)
            if "history" in parts:
                _history(name, Path(folder) / f"{name}-history", report)
        if "million" in parts and "flyball" in names:
            _filled("flyball", Path(folder) / "flyball-million", MILLION, report)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    report.write(asked.out)
    print(f"written to {asked.out}")


def _fresh(name: str, home: Path, parts: set[str], report: Report) -> None:
    if not parts & {"start", "writes", "artifacts"}:
        return
    with SERVERS[name](home):
        pass  # the first start makes the database; what counts is the next one
    with SERVERS[name](home) as server:
        if "start" in parts:
            report.add(name, "start to ready", cost(server.started_s, " s"))
            report.add(name, "idle memory", cost(server.memory_mb(), " MB"))
        if "writes" in parts:
            report.add_all(name, works.writes(server))
        # fasttrackml hands artifacts to the client's file system and has no proxy.
        if "artifacts" in parts and name != "fasttrackml":
            report.add_all(name, works.artifacts(server))


def _filled(name: str, home: Path, size: int, report: Report) -> None:
    _prepare(name, home, size)
    if name == "mlflow" and size >= SIZES[2]:
        _filled_slow(name, home, size, report)
        return
    with SERVERS[name](home) as server:
        for what, times in works.searches(server, runs=size, times=_times(name, size)).items():
            report.add(name, f"search 100 of {size:,} runs, {what}", cost(times.median_s * 1e3, " ms"))
            if size == MILLION:
                report.add(name, f"search 100 of {size:,} runs, {what}, p95", cost(times.p95_s * 1e3, " ms"))
    shutil.rmtree(home)


def _filled_slow(name: str, home: Path, size: int, report: Report) -> None:
    """Search once each, for a minute at most; a server that was left searching is not asked again."""
    for what in works.SEARCHES:
        with SERVERS[name](home) as server:
            figure = works.search_once(server, what, runs=size, limit_s=LIMIT_S)
        report.add(name, f"search 100 of {size:,} runs, {what}", figure)
    shutil.rmtree(home)


def _times(name: str, size: int) -> int:
    if name != "mlflow":
        return 30
    return 5 if size <= SIZES[0] else 3


def _history(name: str, home: Path, report: Report) -> None:
    database = _prepare(name, home, 2)
    run = filling.run_id(1)
    filling.add_history(database, run, works.HISTORY_POINTS)
    with SERVERS[name](home) as server:
        read = works.history(server, run, points=works.HISTORY_POINTS, times=3 if name == "flyball" else 1)
        report.add(name, "read a history of 1,000,000 points", cost(read.median_s, " s"))
        if name == "flyball":
            times = works.drawn(server, run, points=works.HISTORY_POINTS)
            report.add(name, "draw it in 2,000 points", cost(times.median_s * 1e3, " ms"))
    shutil.rmtree(home)


def _prepare(name: str, home: Path, size: int) -> Path:
    with SERVERS[name](home) as server:
        database = server.database
    print(f"filling {name} with {size:,} runs", flush=True)
    (filling.fill_flyball if name == "flyball" else filling.fill_peer)(database, size)
    return database


if __name__ == "__main__":
    sys.exit(main())
