"""The verbs of studies: ask for one, compute it under a lease, look, cancel, and find what was lost."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from flyball.kernel.canonical import JsonValue
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import (
    Conflict,
    ErrorCode,
    FlyballError,
    LimitExceeded,
    NotFound,
)
from flyball.kernel.events import Edge, EventLog, ref
from flyball.kernel.ids import new_id
from flyball.kernel.leases import Lease, LeaseStore
from flyball.kernel.leases.holding import Holdings
from flyball.kernel.logs import get_logger
from flyball.monitoring.backtest.results import Backtest
from flyball.monitoring.calibration.entities import Calibration
from flyball.monitoring.calibration.verbs import CalibrationRequest
from flyball.monitoring.codec import decode, encode
from flyball.monitoring.monitor import parse_monitor
from flyball.monitoring.service import Monitors
from flyball.monitoring.stages import Hearer
from flyball.monitoring.studies.entities import OPEN, BacktestRequest, Study, StudyEvent, StudyKind, StudyState
from flyball.monitoring.studies.ports import StudyStore
from flyball.monitoring.studies.telling import Interrupted, Teller

ACTOR = "service:studies"
# Who wants more has to wait: each is minutes of a processor, and nobody reads a hundred.
MOST_OPEN = 100
# What ends the process that computes it each time is not tried for ever.
MOST_ATTEMPTS = 3
# Results are large.
REMOVED_AT_ONCE = 100
INTERNAL = "an internal error; the worker's log has the cause"

_log = get_logger("worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyLimits:
    """How long a study may take, after how long a silent holder counts as lost, and how long studies are kept (0: for ever)."""

    timeout_s: float = 3_600
    lease_ttl_ms: int = 30_000
    keep_ms: int = 0


class Studies:
    """Studies. Safe to share between threads; any number of processes may compute, each study one at a time."""

    def __init__(
        self,
        store: StudyStore,
        monitors: Monitors,
        *,
        leases: LeaseStore,
        events: EventLog,
        clock: Clock,
        database: Database,
        limits: StudyLimits | None = None,
    ) -> None:
        self._store = store
        self._monitors = monitors
        self._leases = leases
        self._events = events
        self._clock = clock
        self._database = database
        self._limits = limits or StudyLimits()

    def calibrate(self, monitor: str, request: CalibrationRequest, *, actor: str) -> Study:
        """Ask for a calibration of a monitor; the one that is open already when it was asked for the same.

        Raises:
            NotFound: there is no such monitor.
            InvalidInput: it states no rate, or there is nothing to calibrate on.
            LimitExceeded: too many studies are open.
        """
        found = self._monitors.get(monitor)
        self._monitors.calibrations.check(found, request)
        return self._ask(StudyKind.CALIBRATION, found.name, encode(request), actor=actor)

    def backtest(self, request: BacktestRequest, *, actor: str) -> Study:
        """Ask for a backtest, likewise.

        Raises:
            InvalidInput: a file that is none, or nothing to replay.
            LimitExceeded: too many studies are open.
        """
        self._monitors.check_backtest(request.document, request.against, reference_until_ms=request.reference_until_ms)
        return self._ask(StudyKind.BACKTEST, parse_monitor(request.document).name, encode(request), actor=actor)

    def get(self, study_id: str) -> Study:
        """Return a study.

        Raises:
            NotFound: there is none of this id.
        """
        study = self._store.find(study_id)
        if study is None:
            raise NotFound(f"there is no study '{study_id[:80]}'", field="study")
        return study

    def result(self, study_id: str) -> Calibration | Backtest:
        """Return what came of a study.

        Raises:
            NotFound: there is no such study.
            Conflict: it is not done.
        """
        study = self.get(study_id)
        content = self._store.result(study_id) if study.state is StudyState.DONE else None
        if content is None:
            said = f": {study.error}" if study.error else ""
            raise Conflict(f"study {study_id} is {study.state}{said}; it has no result", field="study")
        return decode(content, Calibration) if study.kind is StudyKind.CALIBRATION else decode(content, Backtest)

    def cancel(self, study_id: str, *, actor: str) -> Study:
        """End a study that is queued or running; whoever computes it notices when it next tells how far it is.

        Raises:
            NotFound: there is no such study.
            Conflict: it has ended already.
        """
        with self._database.transaction():
            study = self.get(study_id)
            if study.state not in OPEN:
                raise Conflict(f"study {study_id} is {study.state}; only an open one can be cancelled", field="state")
            return self._move(study, StudyState.CANCELLED, StudyEvent.CANCELLED, actor=actor)

    def execute(self, study_id: str, *, holder: str, stopping: Callable[[], bool]) -> Study:
        """Compute a queued study in this thread, and return it as it is afterwards, failure included.

        Where `stopping` says so between two steps, it is put back into the queue.

        Raises:
            NotFound: there is no such study.
            Conflict: somebody else computes it, or it is not queued.
            LeaseLost: this holder was silent for too long; what it did after that was not written.
        """
        study = self.get(study_id)
        holdings = Holdings(self._leases, holder=holder, ttl_ms=self._limits.lease_ttl_ms)
        try:
            lease = holdings.take(study.lease)
            if lease is None:
                raise Conflict(f"somebody else computes study {study_id}", field="study")
            return self._compute(self._begin(study, lease, holder=holder), lease, stopping)
        finally:
            holdings.close()

    def sweep_lost(self) -> list[Study]:
        """Queue running studies again whose holder went silent, or name them lost where that was tried often enough."""
        running = self._store.list(states={StudyState.RUNNING}, limit=MOST_OPEN)
        found = [self._sweep(study) for study in running if self._leases.find(study.lease) is None]
        return [study for study in found if study is not None]

    def remove_old(self, *, fence: Callable[[], None]) -> int:
        """Remove the oldest hundred of what ended too long ago, and return how many that were."""
        if not self._limits.keep_ms:
            return 0
        before_ms = self._clock.now_ms() - self._limits.keep_ms
        with self._database.transaction():
            fence()
            removed = self._store.remove_ended(before_ms=before_ms, limit=REMOVED_AT_ONCE)
            if removed:
                payload: dict[str, JsonValue] = {"removed": removed, "before_ms": before_ms}
                self._events.record(StudyEvent.REMOVED, actor=ACTOR, subject=ref("studies", "all"), payload=payload)
        return removed

    def _ask(self, kind: StudyKind, monitor: str, request: str, *, actor: str) -> Study:
        with self._database.transaction():
            opened = self._store.list(states=OPEN, limit=MOST_OPEN)
            same = [one for one in opened if (one.kind, one.monitor, one.request) == (kind, monitor, request)]
            if same:
                return same[0]
            if len(opened) >= MOST_OPEN:
                raise LimitExceeded(
                    f"{MOST_OPEN} studies are open already; wait for some, or cancel them: flyball monitor study list"
                )
            study = Study(
                id=new_id(),
                kind=kind,
                monitor=monitor,
                request=request,
                state=StudyState.QUEUED,
                actor=actor,
                created_ms=self._clock.now_ms(),
            )
            self._store.add(study)
            edge = Edge(subject=study.ref, relation="about", object=ref("monitor", monitor))
            self._record(StudyEvent.ASKED, study, actor=actor, edges=[edge])
        return study

    def _begin(self, study: Study, lease: Lease, *, holder: str) -> Study:
        with self._database.transaction():
            self._leases.fence(lease)
            begun = replace(study, attempts=study.attempts + 1, started_ms=self._clock.now_ms(), ended_ms=None)
            return self._move(begun, StudyState.RUNNING, StudyEvent.STARTED, expected=StudyState.QUEUED, holder=holder)

    def _compute(self, study: Study, lease: Lease, stopping: Callable[[], bool]) -> Study:
        fence = functools.partial(self._fence, study.id, lease)
        teller = Teller(
            self._store,
            study,
            database=self._database,
            fence=fence,
            stopping=stopping,
            timeout_s=self._limits.timeout_s,
        )
        try:
            result = self._result_of(study, fence=fence, heard=teller)
        except Interrupted:
            back = replace(teller.study, attempts=study.attempts - 1)
            return self._end(back, StudyState.QUEUED, fence, reason="the worker that computed it was ended")
        except Conflict:
            now = self.get(study.id)
            if now.state is StudyState.CANCELLED:
                return now
            raise
        except FlyballError as error:
            internal = error.code is ErrorCode.INTERNAL
            said = INTERNAL if internal else error.message
            if internal:
                _log.error("study_failed", study=study.id, exc_info=error)
            failed = replace(teller.study, error=said, error_code=error.code.value)
            return self._end(failed, StudyState.FAILED, fence, reason=said)
        except Exception as error:  # noqa: BLE001 -- the end of this thread: whatever it was goes to the log
            _log.error("study_failed", study=study.id, exc_info=error)
            failed = replace(teller.study, error=INTERNAL, error_code=ErrorCode.INTERNAL.value)
            return self._end(failed, StudyState.FAILED, fence, reason=INTERNAL)
        with self._database.transaction():
            self._store.keep_result(study.id, encode(result))
            whole = replace(teller.study, done=teller.study.total)
            return self._end(whole, StudyState.DONE, fence)

    def _fence(self, study_id: str, lease: Lease) -> None:
        """Let only the present holder write, and only for as long as somebody wants the result."""
        self._leases.fence(lease)
        state = self.get(study_id).state
        if state is not StudyState.RUNNING:
            raise Conflict(f"study {study_id} is {state}; what was computed is not kept", field="state")

    def _result_of(self, study: Study, *, fence: Callable[[], None], heard: Hearer) -> Calibration | Backtest:
        if study.kind is StudyKind.CALIBRATION:
            wanted = decode(study.request, CalibrationRequest)
            monitor = self._monitors.get(study.monitor)
            return self._monitors.calibrations.run(monitor, wanted, actor=study.actor, fence=fence, heard=heard)
        asked = decode(study.request, BacktestRequest)
        return self._monitors.backtest(
            asked.document,
            against=asked.against,
            reference_until_ms=asked.reference_until_ms,
            incidents=asked.incidents,
            heard=heard,
        )

    def _end(self, study: Study, state: StudyState, fence: Callable[[], None], *, reason: str = "") -> Study:
        kind = _ENDS[state]
        with self._database.transaction():
            fence()
            return self._move(study, state, kind, expected=StudyState.RUNNING, reason=reason)

    def _sweep(self, study: Study) -> Study | None:
        # Taking the lease first shuts out a late holder, and leaves alone a study that somebody took up meanwhile.
        try:
            lease = self._leases.acquire(study.lease, holder=ACTOR, ttl_ms=self._limits.lease_ttl_ms)
        except Conflict:
            return None
        try:
            again = study.attempts < MOST_ATTEMPTS
            state = StudyState.QUEUED if again else StudyState.LOST
            reason = f"the process that computed it went silent, attempt {study.attempts} of {MOST_ATTEMPTS}"
            found = study if again else replace(study, error=reason, error_code=ErrorCode.LEASE_LOST.value)
            return self._end(found, state, functools.partial(self._leases.fence, lease), reason=reason)
        except Conflict:
            return None
        finally:
            self._leases.release(lease)

    def _move(
        self,
        study: Study,
        state: StudyState,
        kind: StudyEvent,
        *,
        actor: str = ACTOR,
        expected: StudyState | None = None,
        **said: str,
    ) -> Study:
        ended_ms = None if state in OPEN else self._clock.now_ms()
        moved = replace(study, state=state, ended_ms=ended_ms)
        self._store.change(moved, expected=expected or study.state)
        self._record(kind, moved, actor=actor, said={key: text for key, text in said.items() if text})
        return moved

    def _record(
        self,
        kind: StudyEvent,
        study: Study,
        *,
        actor: str,
        edges: Collection[Edge] = (),
        said: dict[str, str] | None = None,
    ) -> None:
        payload: dict[str, JsonValue] = {"kind": str(study.kind), "monitor": study.monitor, "attempt": study.attempts}
        self._events.record(kind, actor=actor, subject=study.ref, payload={**payload, **(said or {})}, edges=edges)

    # Last, because its name hides the type's.
    def list(
        self,
        *,
        states: Collection[StudyState] = (),
        monitor: str | None = None,
        kind: StudyKind | None = None,
        before: str = "",
        limit: int = 100,
    ) -> list[Study]:
        """Return studies, newest first; only those older than the one called `before`."""
        return self._store.list(states=states, monitor=monitor, kind=kind, before=before, limit=limit)


_ENDS = {
    StudyState.QUEUED: StudyEvent.REQUEUED,
    StudyState.DONE: StudyEvent.DONE,
    StudyState.FAILED: StudyEvent.FAILED,
    StudyState.LOST: StudyEvent.LOST,
}
