"""What becomes of a request when its worker dies, or is overtaken, at any moment."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType

import numpy as np
import pytest
from tests.unit.retraining.documents import LOOP
from tests.unit.retraining.stage import ENGINEER, NAME, Crash, Stage, falling, rising

from flyball.kernel.clock import ManualClock
from flyball.kernel.db import Database, open_database
from flyball.kernel.errors import Conflict, LeaseLost
from flyball.kernel.events import ref
from flyball.retraining.entities import Request, RequestState
from flyball.server.migrations import upgrade

TURNS = 20


@pytest.fixture
def stage(sqlite: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Stage]:
    with contextlib.closing(Stage(tmp_path, str(sqlite.engine.url), clock)) as opened:
        opened.prepare()
        opened.put_in_charge()
        yield opened


@pytest.fixture
def anywhere(database_url: str, tmp_path: Path, clock: ManualClock) -> Iterator[Stage]:
    with contextlib.closing(open_database(database_url)) as database:
        upgrade(database)
    with contextlib.closing(Stage(tmp_path, database_url, clock)) as opened:
        opened.prepare()
        opened.put_in_charge()
        yield opened


def turn_after_many_deaths(stage: Stage) -> tuple[Request | None, int]:
    """Take a turn whose worker dies before its first event, then before its second, and so on, until one survives."""
    for deaths in range(TURNS):
        try:
            with stage.dying_at(deaths + 1):
                return stage.turn(), deaths
        except Crash:
            stage.restart()
    pytest.fail("a turn has no end")


def conduct_after_many_deaths(stage: Stage) -> int:
    """Work until nothing is left to do; each turn dies at each of its writes first. Return how often."""
    stage.platform.monitors.evaluate(NAME)
    died = 0
    for _ in range(TURNS):
        before = stage.newest
        stage.train(2)
        _, deaths = turn_after_many_deaths(stage)
        died += deaths
        if stage.newest == before and not stage.queued:
            return died
    pytest.fail("the loop does not come to rest")


@pytest.mark.parametrize(
    ("concept", "end", "champion"),
    [(falling, RequestState.PROMOTED, 2), (rising, RequestState.ROLLED_BACK, 1)],
)
def test_a_worker_that_dies_at_every_write_of_every_turn_comes_to_the_same_end(
    stage: Stage, concept: Callable[[np.ndarray], np.ndarray], end: RequestState, champion: int
) -> None:
    stage.let_quality_drop()
    died = conduct_after_many_deaths(stage)
    stage.approve()
    died += conduct_after_many_deaths(stage)
    stage.serve(3, concept=concept, canary=2)
    died += conduct_after_many_deaths(stage)
    assert died >= 12, "a promotion writes more than that"
    (request,) = stage.by_alert
    assert request.state is end
    assert (stage.champion, stage.alias) == (champion, champion)
    assert stage.kinds(ref("request", request.id)) == [
        "request.opened",
        "request.training",
        "request.evaluating",
        "request.awaiting_approval",
        "request.canary",
        f"request.{end}",
    ]
    platform = stage.platform
    assert len(platform.pipelines.list()) == 1
    assert len(platform.gatekeeper.decisions(model=NAME, version=2)) == 1
    assert len(platform.approvals.list(decision=request.decision_id)) == 1
    assert len(platform.deployments.list_rollouts(NAME)) == 1
    assert [version.version for version in platform.datasets.list(f"{NAME}-training")] == [1]
    assert platform.events.verify().intact


def test_a_refusal_after_a_death_is_one_refusal(stage: Stage) -> None:
    def broken(x: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(x)) % 2 == 0, np.nan, x)

    stage.serve(6)
    stage.serve(2, change=broken)
    stage.serve(1)
    assert conduct_after_many_deaths(stage) >= 2
    (request,) = stage.by_alert
    assert request.state is RequestState.REFUSED
    assert stage.kinds(ref("request", request.id)) == ["request.opened", "request.refused"]


def test_an_overtaken_worker_opens_nothing(stage: Stage) -> None:
    stage.let_quality_drop()
    stage.platform.monitors.evaluate(NAME)
    late = stage.lease
    stage.clock.advance(60_000)
    stage.lease = stage.take_lease("worker:2")
    with pytest.raises(LeaseLost):
        stage.conductor.turn(stage.loop, late)
    assert stage.by_alert == []


def test_an_overtaken_worker_neither_moves_nor_looks_nor_releases(stage: Stage) -> None:
    patient = LOOP.replace("min_rows: 20", "min_rows: 50")  # so that a look at one day ends nothing
    stage.platform.requests.put_loop(patient, actor=ENGINEER)
    stage.let_quality_drop()
    late = stage.lease
    stage.conduct()
    request = stage.newest
    assert request is not None
    stage.approve()
    stage.clock.advance(60_000)
    stage.lease = stage.take_lease("worker:2")
    with pytest.raises(LeaseLost):
        stage.conductor.turn(stage.loop, late)
    assert stage.platform.deployments.find_running(NAME) is None
    stage.conduct()
    stage.serve(1, concept=falling, canary=2)
    with pytest.raises(LeaseLost):
        stage.conductor.turn(stage.loop, late)
    assert stage.rollout(stage.platform.requests.get(request.id)).looks == 0


def test_of_two_workers_that_take_the_same_turn_one_writes(anywhere: Stage) -> None:
    """Both hold the lease here, which cannot be: the store alone must see to it that each step is taken once."""
    stage = anywhere
    stage.let_quality_drop()
    stage.platform.monitors.evaluate(NAME)
    for _ in range(2):
        outcomes = _together(stage)
        assert outcomes.count(Request) == 1
        assert set(outcomes) <= {
            Request,
            Conflict,
            NoneType,
        }  # None: it saw the other's request before it wrote its own
    (request,) = stage.by_alert
    assert request.state is RequestState.TRAINING
    assert len(stage.platform.pipelines.list()) == 1
    assert stage.kinds(ref("request", request.id)) == ["request.opened", "request.training"]


def _together(stage: Stage) -> list[type]:
    """Let two threads take a turn at the same moment; return what came of each."""
    outcomes: list[type] = []
    gate = threading.Barrier(2)
    running = stage.platform.requests.running
    seen = running(NAME)

    def work() -> None:
        gate.wait()
        try:
            outcomes.append(type(stage.turn()))
        except Conflict as error:
            outcomes.append(type(error))

    # Both have read the same state before either of them writes.
    stage.platform.requests.running = lambda _: seen  # type: ignore[assignment, method-assign]
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stage.platform.requests.running = running  # type: ignore[method-assign]
    return outcomes
