from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, StoreFull
from flyball.kernel.events import EventKind, EventLog, ref
from flyball.kernel.events.sql import SqlEventStore
from flyball.server.lanes import Lanes
from flyball.server.routing import PUBLIC, Answer, Call, Lane, Route


class Kind(EventKind):
    WRITTEN = "test.written"


class Said(msgspec.Struct):
    text: str


@pytest.fixture
def log(database: Database, clock: ManualClock) -> EventLog:
    return EventLog(SqlEventStore(database), clock)


@pytest.fixture
def lanes(database: Database) -> Iterator[Lanes]:
    with contextlib.closing(Lanes(database)) as opened:
        yield opened


def route(handler: Callable[[Call[Any]], Answer], *, lane: Lane = Lane.WRITES, together: Any = None) -> Route:
    return Route(
        method="POST",
        path="/x",
        permission=PUBLIC,
        handler=handler,
        summary="x",
        lane=lane,
        together=together,
    )


def call(body: object) -> Call[Any]:
    return Call(platform=None, principal=None, path={}, body=body, request=None)  # type: ignore[arg-type]


def in_one_turn(lanes: Lanes, wanted: Sequence[tuple[Route, object]]) -> list[Answer | BaseException]:
    """Hold the lane until all have queued, so that they share a turn."""
    free, busy = threading.Event(), threading.Event()

    def hold(_call: Call[Any]) -> Said:
        busy.set()
        assert free.wait(60)
        return Said("held")

    async def run() -> list[Answer | BaseException]:
        holding = asyncio.create_task(lanes.answer(route(hold, lane=wanted[0][0].lane), call(None)))
        await asyncio.to_thread(busy.wait, 60)
        tasks = [asyncio.create_task(lanes.answer(one, call(body))) for one, body in wanted]
        await asyncio.sleep(0)
        free.set()
        await holding
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(run())


def test_writes_of_one_turn_share_a_transaction_and_an_error_undoes_only_its_own(lanes: Lanes, log: EventLog) -> None:
    threads: set[int] = set()

    def write(received: Call[Any]) -> Said:
        threads.add(threading.get_ident())
        log.record(Kind.WRITTEN, actor="user:a", subject=ref("thing", received.body), payload={})
        if received.body == "bad":
            raise Conflict("not this one")
        return Said(received.body)

    answers = in_one_turn(lanes, [(route(write), name) for name in ("a", "bad", "b")])
    assert [answers[0], type(answers[1]), answers[2]] == [Said("a"), Conflict, Said("b")]
    assert [event.subject for event in log.all()] == ["thing:a", "thing:b"]
    assert len(threads) == 1
    assert log.verify().intact


def test_a_change_whose_inner_error_was_caught_is_undone_alone(lanes: Lanes, log: EventLog, database: Database) -> None:
    def write(received: Call[Any]) -> Said:
        with database.transaction():
            log.record(Kind.WRITTEN, actor="user:a", subject=ref("thing", received.body), payload={})
            if received.body == "bad":
                with contextlib.suppress(Conflict), database.transaction():
                    raise Conflict("caught on the way")
        return Said(received.body)

    answers = in_one_turn(lanes, [(route(write), name) for name in ("a", "bad", "b")])
    assert isinstance(answers[1], Exception)
    assert [event.subject for event in log.all()] == ["thing:a", "thing:b"]


def test_a_turn_whose_commit_fails_fails_for_each_with_an_error_of_its_own(
    lanes: Lanes, log: EventLog, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> contextlib.AbstractContextManager[None]:
        raise StoreFull("the disk is full")

    def write(_call: Call[Any]) -> Said:
        return Said("never acknowledged")

    def fill(_call: Call[Any]) -> Said:
        monkeypatch.setattr(database, "transaction", full)
        return Said("held")

    async def run() -> list[Any]:
        await lanes.answer(route(fill), call(None))
        return await asyncio.gather(*(lanes.answer(route(write), call(at)) for at in range(9)), return_exceptions=True)

    failed = [answer for answer in asyncio.run(run()) if isinstance(answer, StoreFull)]
    assert len({id(error) for error in failed}) == len(failed) >= 8


def test_calls_of_one_kind_are_answered_together_and_each_gets_its_own_answer(lanes: Lanes) -> None:
    sizes: list[int] = []

    def together(calls: Sequence[Call[Any]]) -> list[Answer | Exception]:
        sizes.append(len(calls))
        return [Conflict("odd") if item.body % 2 else Said(str(item.body)) for item in calls]

    def alone(received: Call[Any]) -> Said:
        return Said(f"alone {received.body}")

    grouped = route(alone, lane=Lane.READS, together=together)
    single = route(alone, lane=Lane.READS)
    answers = in_one_turn(lanes, [(grouped, 0), (single, 7), (grouped, 1), (grouped, 2)])
    assert [answers[0], answers[1], type(answers[2]), answers[3]] == [Said("0"), Said("alone 7"), Conflict, Said("2")]
    assert sizes == [3]


def test_what_is_queued_is_answered_before_a_lane_closes(database: Database) -> None:
    lanes = Lanes(database)

    async def run() -> list[Answer]:
        tasks = [
            asyncio.create_task(lanes.answer(route(lambda c: Said(str(c.body)), lane=Lane.READS), call(at)))
            for at in range(20)
        ]
        await asyncio.sleep(0)
        await asyncio.to_thread(lanes.close)
        return await asyncio.gather(*tasks)

    assert asyncio.run(run()) == [Said(str(at)) for at in range(20)]
