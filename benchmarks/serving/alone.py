"""The works that ours does alone, or beside MLServer only: start and memory, the share of a no-op, the price of capture, gRPC."""

from __future__ import annotations

import contextlib
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.environments import ROOT
from benchmarks.figures import cost, rate
from benchmarks.processes import Running, free_port, running
from benchmarks.serving.asking import Subject, check, grpc_message, single_rows
from benchmarks.serving.comparing import Plan, in_turns, noted, over, over_grpc, single, started
from benchmarks.serving.encodings import open_inference
from benchmarks.serving.load import Request
from benchmarks.serving.report import Report
from benchmarks.serving.servers import MODEL, OURS, SERVERS, flyball_with

STARTS = 3
SETTLED_REQUESTS = 200
START, MEMORY = "start to ready", "memory after a few requests"
NOOP, CAPTURE, GRPC = "share of a no-op POST", "one row, 32 connections, capture", "gRPC, one row, 32 connections"
WITH, WITHOUT, NO_OP, NO_OP_AT_ONCE = "capture on", "capture off", "no-op", "no-op at once"


def starting(subject: Subject, names: list[str], *, plan: Plan, report: Report, folder: Path) -> None:
    """Start each server alone, several times in turns: how long until it is ready, and what it then holds.

    Ours is started once before: its first start compares the model with its ONNX form and keeps the proof.
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    if OURS in names:
        with noted(report, f"first start of {OURS}"), SERVERS[OURS](subject.folder, made(folder / "first-start")):
            pass
    for turn in range(min(plan.rounds, STARTS)):
        for name in names:
            home = made(folder / f"start-{turn}-{name}")
            with noted(report, f"start of {name}"), SERVERS[name](subject.folder, home) as server:
                for _ in range(SETTLED_REQUESTS // 16):
                    check(server, subject)
                taken[name].append((server.started_s, server.memory_mb()))
    for name, found in taken.items():
        if found:
            report.add(START, subject.name, name, cost(statistics.median(start for start, _ in found), " s"))
            report.add(MEMORY, subject.name, name, cost(statistics.median(memory for _, memory in found), " MB"))


def beside_noop(subjects: list[Subject], *, plan: Plan, report: Report, folder: Path) -> None:
    """Measure ours with every model in one process, beside applications that do nothing on the same HTTP server.

    One is an ASGI application like any, the other takes its requests without a task, which ours does as well.
    """
    folders = {subject.name: subject.folder for subject in subjects}
    with flyball_with(folders, made(folder / "noop")) as ours, _noop() as noop, _noop("at-once") as noop_at_once:
        nothing = _request(MODEL, subjects[0], ours.headers)
        contenders = {NO_OP: over(noop, nothing), NO_OP_AT_ONCE: over(noop_at_once, nothing)}
        for subject in subjects:
            contenders[subject.name] = over(ours, _request(subject.name, subject, ours.headers))
        found = in_turns(contenders, plan, report)
    for subject in subjects:
        for name, server in ((subject.name, OURS), (NO_OP, NO_OP), (NO_OP_AT_ONCE, NO_OP_AT_ONCE)):
            if name in found:
                report.add(NOOP, subject.name, server, rate(found[name].rate))


def capturing(subject: Subject, *, plan: Plan, report: Report, folder: Path) -> None:
    """Measure ours with and without capture, in turns."""
    folders = {MODEL: subject.folder}
    with (
        flyball_with(folders, made(folder / "capture-on")) as captured,
        flyball_with(folders, made(folder / "capture-off"), "--no-capture") as bare,
    ):
        both = {WITH: captured, WITHOUT: bare}
        for server in both.values():
            check(server, subject)
        contenders = {name: single(server, subject) for name, server in both.items()}
        for name, taken in in_turns(contenders, plan, report).items():
            report.add(CAPTURE, subject.name, OURS if name == WITH else name, rate(taken.rate))


def rows_over_grpc(subject: Subject, names: list[str], *, plan: Plan, report: Report, folder: Path) -> None:
    """Measure one row over gRPC."""
    with started(names, subject, made(folder / "grpc"), report) as servers:
        contenders = {}
        for server in servers:
            with noted(report, f"gRPC of {server.name}"):
                message = grpc_message(server, subject.rows[:1], subject.answers[:1])
                contenders[server.name] = over_grpc(server, message)
        for name, taken in in_turns(contenders, plan, report).items():
            report.add(GRPC, subject.name, name, rate(taken.rate), beside=f"p99 {taken.p99_s * 1e3:.2f} ms")


def made(folder: Path) -> Path:
    """Make a folder."""
    folder.mkdir()
    return folder


@contextlib.contextmanager
def _noop(*how: str) -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, str(ROOT / "benchmarks" / "serving" / "noop.py"), str(port), *how]
    with running(command, port=port, ready="/", environment={}) as found:
        yield found


def _request(model: str, subject: Subject, headers: Mapping[str, str]) -> Request:
    """Ask for one row, as ours and the no-op are asked alike."""
    encoding = open_inference(model)
    bodies = [encoding.body(rows) for rows in single_rows(subject)]
    return Request(path=encoding.path, bodies=bodies, headers={"Content-Type": encoding.content_type, **headers})
