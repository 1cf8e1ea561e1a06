"""Compare the model servers in one run: `python -m benchmarks.serving`, or `make bench-serving`.

Prints figures with ratios as it goes, judges them by the table of targets, and writes `docs/benchmarks/serving.md`. Needs `wrk`
and `h2load` (Debian, Ubuntu: apt-get install wrk nghttp2-client). `--quick` takes two minutes and shows that everything runs.
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

from benchmarks.environments import ROOT, make_peers
from benchmarks.serving import alone, comparing, judging
from benchmarks.serving.asking import read_subject
from benchmarks.serving.comparing import Plan
from benchmarks.serving.load import missing_programs
from benchmarks.serving.models import SLOW
from benchmarks.serving.overload import overload
from benchmarks.serving.report import Report
from benchmarks.serving.servers import OURS, SERVERS

OUT = ROOT / "docs" / "benchmarks" / "serving.md"
COMPARED = ("logistic-regression", "gradient-boosting", "xgboost", "torch")
WHOLE, QUICK = Plan(rounds=3, seconds=2), Plan(rounds=1, seconds=1)
OVERLOAD_S = {WHOLE: 30, QUICK: 3}
# Beyond this a part is broken off, and what it had measured is kept: a server that hangs must not hold up the others.
PART_S = 240


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
    parser.add_argument("--parts", default="start,noop,capture,grpc,compare,overload")
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
    make_peers([name for name in asked.servers if name != OURS])
    run(asked, given.out)


def run(asked: Asked, out: Path) -> None:
    """Train the models, measure part by part, judge, and write the page."""
    report, began = Report(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="flyball-bench-") as name:
        folder = Path(name)
        _train(folder / "models", sorted({*asked.models, COMPARED[0], *([SLOW] if "overload" in asked.parts else [])}))
        for title, part in _parts(asked, report, folder):
            print(f"-- {title}, at {time.monotonic() - began:.0f} s", flush=True)
            with _limited(title, report):
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
    for subject in subjects if "compare" in asked.parts else ():
        yield subject.name, partial(comparing.compare, subject, asked.servers, **common)
    if "overload" in asked.parts:
        slow, seconds = read_subject(models, SLOW), OVERLOAD_S[asked.plan]
        yield "overload", partial(overload, slow, report=report, folder=folder, seconds=seconds)


@contextmanager
def _limited(title: str, report: Report) -> Iterator[None]:
    """Break a part off when its time is up; what fails in it ends it alone."""

    def stop(_number: int, _frame: object) -> None:
        raise TimeIsUp

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, PART_S)
    try:
        yield
    except TimeIsUp:
        report.note(f"{title} was broken off after {PART_S} s")
    except SystemExit as error:
        report.note(f"{title}: {error}")
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
