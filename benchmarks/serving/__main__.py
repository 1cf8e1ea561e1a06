"""Compare the model servers in one run: `python -m benchmarks.serving`, or `make bench-serving`.

Prints figures with ratios as it goes, judges them by the table of targets, and writes `docs/benchmarks/serving.md`. Needs `wrk`
and `h2load` (Debian, Ubuntu: apt-get install wrk nghttp2-client). `--quick` takes two minutes and shows that everything runs; the
whole is broken off after eleven minutes, and says what was left out. `--no-build` takes the peers that are in `.venv-peers` (or
where BENCH_PEERS says).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from benchmarks.environments import PEERS, ROOT, make_peers
from benchmarks.serving import alone, comparing, judging
from benchmarks.serving.asking import read_subject
from benchmarks.serving.comparing import Plan
from benchmarks.serving.killing import killing
from benchmarks.serving.load import missing_programs
from benchmarks.serving.models import SLOW
from benchmarks.serving.overload import overload
from benchmarks.serving.report import Report
from benchmarks.serving.servers import OURS, SERVERS

OUT = ROOT / "docs" / "benchmarks" / "serving.md"
COMPARED = ("logistic-regression", "gradient-boosting", "xgboost", "torch")
WHOLE, QUICK = Plan(rounds=3, seconds=2), Plan(rounds=1, seconds=1)
OVERLOAD_S, KILLING_S = {WHOLE: 30, QUICK: 3}, {WHOLE: 40, QUICK: 30}
PARTS = ("start", "noop", "capture", "grpc", "overload", "kill", "compare")
# Beyond this a part is broken off, and what it had measured is kept: a server that hangs must not hold up the others.
PART_S = 180.0
# No part begins or goes on when the whole run has taken so long; the page is written with what there is.
WHOLE_S = 11 * 60.0
LEAST_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the run is to be made of."""

    servers: list[str]
    models: list[str]
    parts: list[str]
    plan: Plan


class TimeIsUp(Exception):
    """A part took too long."""


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", default=",".join(SERVERS))
    parser.add_argument("--models", default=",".join(COMPARED))
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument(
        "--no-build", action="store_true", help="install no peer; those that are not there are left out"
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    asked = Asked(
        servers=given.servers.split(","),
        models=given.models.split(","),
        parts=given.parts.split(","),
        plan=QUICK if given.quick else WHOLE,
    )
    missing = missing_programs()
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)}")
    signal.signal(signal.SIGTERM, _end)
    report, peers = Report(), [name for name in asked.servers if name != OURS]
    if given.no_build:
        for name in peers:
            if not (PEERS / name / "bin" / "python").exists():
                report.note(f"{name} is not installed in {PEERS} and was left out")
                asked.servers.remove(name)
    else:
        make_peers(peers)
    run(asked, given.out, report)


def run(asked: Asked, out: Path, report: Report) -> None:
    """Train the models, measure part by part, judge, and write the page."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="flyball-bench-") as name:
        folder = Path(name)
        _train(folder / "models", sorted({*asked.models, COMPARED[0], *([SLOW] if "overload" in asked.parts else [])}))
        for title, part in _parts(asked, report, folder):
            taken_s = time.monotonic() - began
            print(f"-- {title}, at {taken_s:.0f} s", flush=True)
            if WHOLE_S - taken_s < LEAST_S:
                report.note(f"{title} was left out: the time for the whole run was over")
                continue
            with _limited(title, report, seconds=min(PART_S, WHOLE_S - taken_s)):
                part()
    judging.judge(report)
    took_min = (time.monotonic() - began) / 60
    report.write(out, servers=asked.servers, conditions=judging.conditions(asked.plan, took_min))
    print(f"written to {out} after {took_min:.1f} minutes")


def _parts(asked: Asked, report: Report, folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    first, models = read_subject(folder / "models", COMPARED[0]), folder / "models"
    subjects = [read_subject(models, name) for name in asked.models]
    common = {"plan": asked.plan, "report": report, "folder": folder}
    with_mlserver = [name for name in (OURS, "mlserver") if name in asked.servers]
    if "start" in asked.parts:
        yield "start", partial(alone.starting, first, with_mlserver, **common)
    if "noop" in asked.parts:
        yield "no-op", partial(alone.beside_noop, subjects, **common)
    if "capture" in asked.parts:
        yield "capture", partial(alone.capturing, first, **common)
    if "grpc" in asked.parts:
        yield "gRPC", partial(alone.rows_over_grpc, first, with_mlserver, **common)
    if "overload" in asked.parts:
        slow, seconds = read_subject(models, SLOW), OVERLOAD_S[asked.plan]
        yield "overload", partial(overload, slow, report=report, folder=folder, seconds=seconds)
    if "kill" in asked.parts:
        yield "kill", partial(killing, first, report=report, folder=folder, seconds=KILLING_S[asked.plan])
    for subject in subjects if "compare" in asked.parts else ():
        yield subject.name, partial(comparing.compare, subject, asked.servers, **common)


@contextmanager
def _limited(title: str, report: Report, *, seconds: float) -> Iterator[None]:
    """Break a part off when its time is up; what fails in it ends it alone."""

    def stop(_number: int, _frame: object) -> None:
        raise TimeIsUp

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except TimeIsUp:
        report.note(f"{title} was broken off after {seconds:.0f} s")
    except (SystemExit, OSError, ValueError, LookupError, psutil.Error, subprocess.SubprocessError) as error:
        report.note(f"{title}: {error!r}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _train(folder: Path, names: list[str]) -> None:
    print(f"training {', '.join(names)}", flush=True)
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "benchmarks.serving.models", str(folder), *names]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **quiet}, stdout=subprocess.DEVNULL)


def _end(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt  # so that every server that runs is ended on the way out


if __name__ == "__main__":
    main()
