"""Calibrations and backtests in the background: computed under a lease, once, with a result that is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa
import pytest
from tests.unit.monitoring.conftest import DAY, World

from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import Conflict, InvalidInput, LeaseLost, LimitExceeded, NotFound
from flyball.kernel.leases.sql import SqlLeaseStore
from flyball.monitoring.backtest.results import Backtest, Incident
from flyball.monitoring.calibration.verbs import CalibrationRequest
from flyball.monitoring.studies import telling, verbs
from flyball.monitoring.studies.entities import BacktestRequest, Study, StudyState
from flyball.monitoring.studies.sql import SqlStudyStore
from flyball.monitoring.studies.verbs import INTERNAL, MOST_ATTEMPTS, Studies, StudyLimits

WHO, HOLDER = "user:tester", "worker:test"
TTL_MS = 30_000
DOCUMENT = """
monitor: draft
endpoint: live
model: model
window: 1d
label_maturity: 1d
alarms: {false_alarms: 1 per 10d}
"""


class Room:
    """Studies over a world that has served two weeks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.leases = SqlLeaseStore(world.database, world.clock)
        self.store = SqlStudyStore(world.database)
        self.studies = self.open(timeout_s=3_600)

    def open(self, *, timeout_s: float) -> Studies:
        return Studies(
            self.store,
            self.world.monitors,
            leases=self.leases,
            events=self.world.events,
            clock=self.world.clock,
            database=self.world.database,
            limits=StudyLimits(timeout_s=timeout_s, lease_ttl_ms=TTL_MS),
        )

    def ask(self, **changes: object) -> Study:
        return self.studies.calibrate("watch", CalibrationRequest(**changes), actor=WHO)  # type: ignore[arg-type]

    def compute(self, study: Study, stopping: Callable[[], bool] = lambda: False) -> Study:
        return self.studies.execute(study.id, holder=HOLDER, stopping=stopping)

    def happened(self) -> list[str]:
        return [kind for kind in self.world.kinds() if kind.startswith(("study", "studies", "monitor.calibrated"))]


@pytest.fixture
def room(world: World) -> Room:
    world.describe(1, pa.table({"x": [float(value % 97) / 20 - 2.4 for value in range(5_000)]}))
    world.set_monitor(alarms={"false_alarms": "1 per 10d"}, min_rows=30)
    for day in range(14):
        world.serve(day, rows=40)
    return Room(world)


def test_a_calibration_is_queued_computed_and_kept(room: Room) -> None:
    study = room.ask(until_ms=12 * DAY)
    assert (study.state, study.monitor, study.actor) == (StudyState.QUEUED, "watch", WHO)
    done = room.compute(study)
    assert (done.state, done.attempts, done.done, done.total) == (StudyState.DONE, 1, 12, 12)
    assert room.studies.result(study.id) == room.world.monitors.calibrations.find(room.world.monitors.get("watch"))
    assert room.happened() == ["study.asked", "study.started", "monitor.calibrated", "study.done"]
    assert room.leases.find(study.lease) is None


def test_a_backtest_gives_what_it_gives_at_once(room: Room) -> None:
    request = BacktestRequest(
        document=DOCUMENT,
        against=DOCUMENT.replace("draft", "now"),
        reference_until_ms=10 * DAY,
        incidents=(Incident(name="feed", start_ms=11 * DAY),),
    )
    study = room.studies.backtest(request, actor=WHO)
    assert room.compute(study).state is StudyState.DONE
    found = room.studies.result(study.id)
    assert isinstance(found, Backtest)
    assert found == room.world.monitors.backtest(
        DOCUMENT, against=request.against, reference_until_ms=10 * DAY, incidents=request.incidents
    )


def test_the_same_question_is_asked_once_while_it_is_open(room: Room) -> None:
    first = room.ask()
    assert room.ask().id == first.id
    assert room.ask(until_ms=12 * DAY).id != first.id
    room.compute(first)
    assert room.ask().id != first.id


def test_what_cannot_be_computed_is_refused_at_once(room: Room) -> None:
    with pytest.raises(NotFound, match="no monitor 'nobody'"):
        room.studies.calibrate("nobody", CalibrationRequest(), actor=WHO)
    with pytest.raises(InvalidInput, match="no predictions in that time"):
        room.ask(since_ms=100 * DAY)
    with pytest.raises(InvalidInput, match="no whole window is left"):
        room.studies.backtest(BacktestRequest(document=DOCUMENT, reference_until_ms=100 * DAY), actor=WHO)
    assert room.studies.list() == []


def test_too_many_open_studies_are_refused(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "MOST_OPEN", 1)
    room.ask()
    with pytest.raises(LimitExceeded, match="1 studies are open already"):
        room.ask(until_ms=12 * DAY)


def test_what_fails_says_why(room: Room) -> None:
    study = room.ask()
    room.world.set_monitor(min_rows=30)  # and no rate is wanted any more
    failed = room.compute(study)
    assert (failed.state, failed.error_code) == (StudyState.FAILED, "invalid_input")
    assert "wants no rate" in failed.error
    with pytest.raises(Conflict, match=r"is failed: .*wants no rate.* it has no result"):
        room.studies.result(study.id)


def test_an_internal_error_keeps_its_text_to_itself(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("SELECT secret")

    study = room.ask()
    monkeypatch.setattr(room.world.monitors.calibrations, "run", broken)
    failed = room.compute(study)
    assert (failed.state, failed.error, failed.error_code) == (StudyState.FAILED, INTERNAL, "internal")


def test_one_that_takes_too_long_is_ended(room: Room) -> None:
    study = room.ask()
    failed = room.open(timeout_s=0).execute(study.id, holder=HOLDER, stopping=lambda: False)
    assert (failed.state, failed.error_code) == (StudyState.FAILED, "deadline_exceeded")
    assert "raise the setting study_timeout_s" in failed.error


def test_whoever_computes_one_has_it_alone(room: Room) -> None:
    study = room.ask()
    room.leases.acquire(study.lease, holder="worker:other", ttl_ms=TTL_MS)
    with pytest.raises(Conflict, match="somebody else computes"):
        room.compute(study)
    assert room.studies.get(study.id) == study


def test_a_cancelled_one_keeps_nothing(room: Room) -> None:
    study = room.ask()

    def cancel_once() -> bool:
        if room.studies.get(study.id).state is StudyState.RUNNING:
            room.studies.cancel(study.id, actor=WHO)
        return False

    assert room.compute(study, cancel_once).state is StudyState.CANCELLED
    assert room.happened() == ["study.asked", "study.started", "study.cancelled"]
    with pytest.raises(Conflict, match="only an open one can be cancelled"):
        room.studies.cancel(study.id, actor=WHO)


def test_one_that_is_cancelled_between_two_tellings_keeps_nothing_either(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "TELL_EVERY_S", 1e9)
    study, asked = room.ask(), iter(range(100))

    def cancel_late() -> bool:
        if next(asked) == 5:
            room.studies.cancel(study.id, actor=WHO)
        return False

    assert room.compute(study, cancel_late).state is StudyState.CANCELLED
    assert room.happened() == ["study.asked", "study.started", "study.cancelled"]


def test_a_worker_that_ends_puts_it_back(room: Room) -> None:
    study = room.ask()
    back = room.compute(study, lambda: True)
    assert (back.state, back.attempts) == (StudyState.QUEUED, 0)
    assert room.compute(study).state is StudyState.DONE
    assert room.happened()[:3] == ["study.asked", "study.started", "study.requeued"]


def test_a_late_holder_writes_nothing_and_another_goes_on(room: Room, clock: ManualClock) -> None:
    study = room.ask()

    def fall_silent() -> bool:
        clock.advance(TTL_MS)
        return False

    with pytest.raises(LeaseLost):
        room.compute(study, fall_silent)
    assert room.studies.get(study.id).state is StudyState.RUNNING
    (again,) = room.studies.sweep_lost()
    assert (again.state, again.attempts) == (StudyState.QUEUED, 1)
    done = room.compute(study)
    assert (done.state, done.attempts) == (StudyState.DONE, 2)
    assert room.happened().count("monitor.calibrated") == 1


def test_what_ends_its_process_every_time_is_lost(room: Room) -> None:
    study = room.ask()
    room.store.change(replace(study, state=StudyState.RUNNING, attempts=MOST_ATTEMPTS), expected=StudyState.QUEUED)
    (lost,) = room.studies.sweep_lost()
    assert (lost.state, lost.error_code) == (StudyState.LOST, "lease_lost")
    assert lost.error == "the process that computed it went silent, attempt 3 of 3"
    assert room.studies.sweep_lost() == []
    assert room.happened()[-1] == "study.lost"


def test_what_is_being_computed_is_not_swept(room: Room) -> None:
    study = room.ask()
    room.store.change(replace(study, state=StudyState.RUNNING, attempts=1), expected=StudyState.QUEUED)
    room.leases.acquire(study.lease, holder=HOLDER, ttl_ms=TTL_MS)
    assert room.studies.sweep_lost() == []


def test_old_studies_are_removed_with_their_results(room: Room, clock: ManualClock) -> None:
    study = room.ask()
    room.compute(study)
    waiting = room.ask()
    clock.advance(DAY + 1)
    assert room.studies.remove_old(fence=lambda: None) == 0  # as long as no age is set, they stay
    room.studies = Studies(
        room.store,
        room.world.monitors,
        leases=room.leases,
        events=room.world.events,
        clock=clock,
        database=room.world.database,
        limits=StudyLimits(keep_ms=DAY),
    )
    assert room.studies.remove_old(fence=lambda: None) == 1
    assert room.studies.list() == [waiting]
    assert room.happened()[-1] == "studies.removed"
    assert room.world.monitors.calibrations.find(room.world.monitors.get("watch")).known
