"""The works in which every server is measured with every model, in turns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.figures import cost, rate
from benchmarks.processes import Running
from benchmarks.serving import load
from benchmarks.serving.asking import Message, Subject, check, check_many, request_of, single_rows
from benchmarks.serving.load import Load, Request
from benchmarks.serving.report import Report
from benchmarks.serving.servers import SERVERS, Server

MANY_CONNECTIONS = 32
LARGE_CONNECTIONS = 4
LARGE_ROWS = 1_000
WARM_UP_S = 1
ONE_AT_32, P99_AT_32 = "one row, 32 connections", "p99 of one row, 32 connections"
ONE_AT_1, LARGE = "one row, 1 connection", "1,000 rows a request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long is measured: so many rounds, in each of which every server has its turn of so many seconds."""

    rounds: int
    seconds: int
    warm_up: bool = True

    def shorter(self) -> Plan:
        """Return a plan for servers that are warm, and for works of which a second says enough."""
        return replace(self, seconds=WARM_UP_S, warm_up=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A server, and one load of so many seconds on it. Several may have the same server."""

    server: Running
    shoot: Callable[[int], Load]


def compare(subject: Subject, names: Sequence[str], *, plan: Plan, report: Report, folder: Path) -> None:
    """Measure all servers with one model."""
    with started(names, subject, folder, report) as servers:
        contenders = {server.name: single(server, subject) for server in servers}
        _measure(contenders, plan, report, _add_at_32(subject, report))
        plan = plan.shorter()
        contenders = {server.name: single(server, subject, connections=1) for server in servers}
        _measure(contenders, plan, report, _add_at_1(subject, report))
        found = {server.name: _quickest(server, subject, report) for server in servers}
        contenders = {name: contender for name, contender in found.items() if contender is not None}
        _measure(contenders, plan, report, _add_large(subject, report))
        for server in servers:
            with noted(report, f"{server.name} with {subject.name}"):
                check(server, subject)  # and they are right after all that as well


def single(server: Server, subject: Subject, *, connections: int = MANY_CONNECTIONS) -> Contender:
    """Ask a server for one row again and again."""
    return over(server, request_of(server, server.one, single_rows(subject)), connections=connections)


def over(server: Running, request: Request, *, connections: int = MANY_CONNECTIONS) -> Contender:
    """Send a request to a server again and again."""

    def shoot(seconds: int) -> Load:
        return load.over_http(server.url, request, connections=connections, seconds=seconds)

    return Contender(server=server, shoot=shoot)


def over_grpc(server: Server, message: Message, *, connections: int = MANY_CONNECTIONS) -> Contender:
    """Send a message to a server again and again."""

    def shoot(seconds: int) -> Load:
        return load.over_grpc(
            server.grpc_port,
            message.body,
            headers=server.headers,
            answer_bytes=message.answer_bytes,
            connections=connections,
            seconds=seconds,
        )

    return Contender(server=server, shoot=shoot)


@contextlib.contextmanager
def started(names: Sequence[str], subject: Subject, folder: Path, report: Report) -> Iterator[list[Server]]:
    """Start servers beside each other, leave out those that do not start or answer wrongly, and end them all."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(names)) as pool:

        def start(name: str) -> Server:
            home = folder / f"{name}-{subject.name}"
            home.mkdir()
            server = stack.enter_context(SERVERS[name](subject.folder, home))
            check(server, subject)
            return server

        waiting = {name: pool.submit(start, name) for name in names}
        servers = []
        for name, future in waiting.items():
            with noted(report, f"{name} with {subject.name}"):
                servers.append(future.result())
        yield servers


@contextlib.contextmanager
def noted(report: Report, what: str) -> Iterator[None]:
    """Let the others go on where one fails."""
    try:
        yield
    except SystemExit as error:
        report.note(f"{what}: {error}")


def in_turns(contenders: Mapping[str, Contender], plan: Plan, report: Report) -> dict[str, Load]:
    """Warm each up where the plan says so, then give each its turn in every round; the median. What fails is left out."""
    found: dict[str, list[Load]] = {name: [] for name in contenders}
    broken = set()
    for turn in range(0 if plan.warm_up else 1, plan.rounds + 1):
        for name in sorted(set(contenders) - broken, reverse=bool(turn % 2)):
            broken.add(name)
            with noted(report, name), _others_paused(name, contenders):
                taken = contenders[name].shoot(plan.seconds if turn else WARM_UP_S)
                found[name] += [taken] if turn else []
                broken.discard(name)
    return {name: load.middle(loads) for name, loads in found.items() if loads and name not in broken}


@contextlib.contextmanager
def _others_paused(name: str, contenders: Mapping[str, Contender]) -> Iterator[None]:
    """Let one server have the machine."""
    others = {other.server.port: other.server for other in contenders.values()}
    del others[contenders[name].server.port]
    for other in others.values():
        other.pause()
    try:
        yield
    finally:
        for other in others.values():
            other.resume()


Add = Callable[[str, Load, str], None]


def _measure(contenders: Mapping[str, Contender], plan: Plan, report: Report, add: Add) -> None:
    before = {name: contender.server.cpu_s() for name, contender in contenders.items()}
    for name, taken in in_turns(contenders, plan, report).items():
        used = (contenders[name].server.cpu_s() - before[name]) / max(taken.count, 1)
        # The warm-up is in the processor's time and not in the count, so this says a little too much, of everyone.
        add(name, taken, f"{used * 1e6:,.0f} µs of processor a request, p99 {taken.p99_s * 1e3:.2f} ms")


def _add_at_32(subject: Subject, report: Report) -> Add:
    def add(name: str, taken: Load, beside: str) -> None:
        report.add(ONE_AT_32, subject.name, name, rate(taken.rate), beside=beside)
        report.add(P99_AT_32, subject.name, name, cost(taken.p99_s * 1e3, " ms"))

    return add


def _add_at_1(subject: Subject, report: Report) -> Add:
    return lambda name, taken, beside: report.add(ONE_AT_1, subject.name, name, rate(taken.rate), beside=beside)


def _add_large(subject: Subject, report: Report) -> Add:
    def add(name: str, taken: Load, beside: str) -> None:
        report.add(LARGE, subject.name, name, rate(taken.rate * LARGE_ROWS, " rows/s"), beside=beside)

    return add


def _quickest(server: Server, subject: Subject, report: Report) -> Contender | None:
    """Try the encodings of a server for a second each."""
    rates: dict[str, tuple[float, Contender]] = {}
    for encoding in server.many:
        with noted(report, f"{server.name} with {subject.name}"):
            message = check_many(server, encoding, subject)
            asked = request_of(server, encoding, [subject.rows])
            contender = (
                over(server, asked, connections=LARGE_CONNECTIONS)
                if message is None
                else over_grpc(server, message, connections=LARGE_CONNECTIONS)
            )
            rates[encoding.name] = (contender.shoot(WARM_UP_S).rate, contender)
    if not rates:
        return None
    best_first = sorted(rates.items(), key=lambda item: -item[1][0])
    said = ", ".join(f"{name} {found * LARGE_ROWS:,.0f} rows/s" for name, (found, _) in best_first)
    report.encodings[f"{server.name}, {subject.name}"] = said
    return best_first[0][1][1]
