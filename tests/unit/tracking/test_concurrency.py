"""Writers that meet: on PostgreSQL they really run side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from flyball.kernel.clock import SystemClock
from flyball.kernel.db import Database
from flyball.kernel.errors import AlreadyExists, FlyballError, InvalidInput
from flyball.kernel.events import EventLog
from flyball.kernel.events.sql import SqlEventStore
from flyball.tracking.entities import Metric
from flyball.tracking.log_entries import ParamChanged
from flyball.tracking.service import Tracking, open_tracking

OWNER = "user:owner"
WRITERS = 8


@pytest.fixture
def shared(database: Database) -> Tracking:
    clock = SystemClock()
    return open_tracking(database, events=EventLog(SqlEventStore(database), clock), clock=clock)


def at_once(work: Callable[[int], object]) -> list[type[FlyballError]]:
    """Run the work in threads that start together; return the errors."""
    barrier = threading.Barrier(WRITERS)
    errors: list[type[FlyballError]] = []

    def one(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except FlyballError as error:
            errors.append(type(error))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_one_of_many_gets_the_name(shared: Tracking) -> None:
    errors = at_once(lambda _number: shared.experiments.create("wanted", actor=OWNER))
    assert errors == [AlreadyExists] * (WRITERS - 1)


def test_one_of_many_values_of_a_param_is_kept(shared: Tracking) -> None:
    run_id = shared.runs.create("0", actor=OWNER).info.run_id
    errors = at_once(lambda number: shared.log.log_batch(run_id, params=[("p", str(number))], actor=OWNER))
    assert errors == [ParamChanged] * (WRITERS - 1)
    assert shared.runs.get(run_id).params["p"] in {str(number) for number in range(WRITERS)}


def test_no_point_is_lost_and_the_latest_is_right(shared: Tracking) -> None:
    run_id = shared.runs.create("0", actor=OWNER).info.run_id

    def log(number: int) -> None:
        for step in range(10):
            points = [Metric(key=key, value=number + step / 100, timestamp_ms=1, step=step) for key in ("b", "a")]
            shared.log.log_batch(run_id, metrics=points, actor=OWNER)

    assert at_once(log) == []
    assert len(shared.log.history(run_id, "a").items) == WRITERS * 10
    kept = shared.runs.get(run_id).metrics["b"]
    assert (kept.latest.value, kept.minimum, kept.maximum) == (WRITERS - 1 + 0.09, 0.0, WRITERS - 1 + 0.09)


def test_a_run_is_either_deleted_with_its_experiment_or_never_made(shared: Tracking) -> None:
    experiment_id = shared.experiments.create("going", actor=OWNER).experiment_id

    def work(number: int) -> None:
        if number == 0:
            shared.experiments.delete(experiment_id, actor=OWNER)
        else:
            shared.runs.create(experiment_id, actor=OWNER)

    errors = at_once(work)
    assert set(errors) <= {InvalidInput}
    assert shared.runs.search([experiment_id]).items == ()
