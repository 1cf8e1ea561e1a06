"""Carry out what a training process wrote into its journal: in order, and each record exactly once.

How far a journal is carried out is kept in the same transaction as what its records change, so a shipment that is repeated
after a lost answer does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import (
    AlreadyExists,
    Conflict,
    FlyballError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Unsupported,
)
from flyball.kernel.events import EventKind, EventLog, Ref, ref
from flyball.tracking.entities import Metric
from flyball.tracking.limits import MAX_METRICS_PER_BATCH
from flyball.tracking.run_log import RunLog

# What is wrong with the record itself, and will be wrong again. Everything else is the store's fault and passes through.
_FINAL = (InvalidInput, NotFound, AlreadyExists, Conflict, LimitExceeded, Unsupported)
_AWAITED = frozenset({"run_id", "model_id"})
_MAX_MESSAGE = 2_000


class JournalEvent(EventKind):
    """What is reported of journals; what their records change reports itself."""

    RECORD_REFUSED = "journal.record_refused"
    GAP_ACCEPTED = "journal.gap_accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """What a run logs; neighbours without params and tags are carried out together."""

    run_id: str
    metrics: tuple[Metric, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Any other change."""

    verb: Callable[[], object]


Change: TypeAlias = Logging | Act


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A record that was not carried out, and why."""

    sequence: int
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a journal is; `missing` is the message about what the next record waits for."""

    applied: int
    refusals: tuple[Refusal, ...] = ()
    missing: str = ""


class JournalStore(Protocol):
    """Keep how far journals are. Threads and processes may call at once; writes join the caller's transaction."""

    def applied(self, journal_id: str) -> int:
        """Return the last sequence that is carried out, 0 for a journal that nobody shipped yet."""
        ...

    def lock(self, journal_id: str) -> int:
        """Return the same, and keep others from changing it until the transaction ends."""
        ...

    def advance(self, journal_id: str, applied: int, *, now_ms: int) -> None:
        """Set it. The caller holds the lock."""
        ...

    def refuse(self, journal_id: str, refusals: Sequence[Refusal]) -> None:
        """Keep refusals."""
        ...

    def refusals(self, journal_id: str, *, first: int, last: int) -> list[Refusal]:
        """Return the refusals between two sequences, both included."""
        ...


class _Awaited(Exception):
    """The next record is about something that is not there yet."""


class Shipping:
    """Journals carried out. Every method may be called from any thread."""

    def __init__(self, store: JournalStore, *, log: RunLog, events: EventLog, clock: Clock, database: Database) -> None:
        self._store = store
        self._log = log
        self._events = events
        self._clock = clock
        self._database = database

    def applied(self, journal_id: str) -> int:
        """Return the last sequence that is carried out, 0 for a journal that nobody shipped yet."""
        return self._store.applied(journal_id)

    def ship(
        self,
        journal_id: str,
        changes: Sequence[Change],
        *,
        first: int,
        actor: str,
        refuse_missing: bool = False,
        gap: str = "",
    ) -> Progress:
        """Carry out the changes with the sequences from `first` on; those that are carried out already are skipped.

        A change that can never be carried out is refused, kept as such, and does not stop those behind it. One about a run or
        model that is not there ends the shipment before it, unless `refuse_missing`. `gap` is the reason why the records
        before `first` will never come.

        Raises:
            Conflict: records before `first` are not here yet, and no reason is given.
            Unavailable: a passing fault; what was carried out before it is kept.
        """
        self._close_gap(journal_id, first, gap=gap, actor=actor)
        numbered = list(enumerate(changes, start=first))
        missing = ""
        try:
            self._carry_out(journal_id, numbered, actor=actor, refuse_missing=refuse_missing)
        except _Awaited as awaited:
            missing = str(awaited)
        refusals = self._store.refusals(journal_id, first=first, last=first + len(changes) - 1)
        return Progress(applied=self._store.applied(journal_id), refusals=tuple(refusals), missing=missing)

    def _close_gap(self, journal_id: str, first: int, *, gap: str, actor: str) -> None:
        if first <= self._store.applied(journal_id) + 1:
            return
        with self._database.transaction():
            applied = self._store.lock(journal_id)
            if first <= applied + 1:
                return
            if not gap:
                raise Conflict(f"journal {journal_id} goes on at {applied + 1}, not at {first}", field="first")
            self._advance(journal_id, first - 1)
            payload = {"from": str(applied + 1), "to": str(first - 1), "reason": gap}
            self._events.record(
                JournalEvent.GAP_ACCEPTED, actor=actor, subject=_journal_ref(journal_id), payload=payload
            )

    def _carry_out(
        self, journal_id: str, numbered: Sequence[tuple[int, Change]], *, actor: str, refuse_missing: bool
    ) -> None:
        """Carry out all of them in one transaction; where one is at fault, find it by halves."""
        try:
            self._together(journal_id, numbered, actor=actor)
        except _FINAL as fault:
            if len(numbered) > 1 and not _all_at_fault(fault, numbered):
                middle = len(numbered) // 2
                for half in (numbered[:middle], numbered[middle:]):
                    self._carry_out(journal_id, half, actor=actor, refuse_missing=refuse_missing)
                return
            if not refuse_missing and isinstance(fault, NotFound) and fault.field in _AWAITED:
                raise _Awaited(fault.message) from fault
            self._refuse(journal_id, [sequence for sequence, _ in numbered], fault, actor=actor)

    def _together(self, journal_id: str, numbered: Sequence[tuple[int, Change]], *, actor: str) -> None:
        with self._database.transaction():
            applied = self._store.lock(journal_id)
            todo = [change for sequence, change in numbered if sequence > applied]
            for change in _joined(todo):
                if isinstance(change, Act):
                    change.verb()
                    continue
                self._log.log_batch(
                    change.run_id, metrics=change.metrics, params=change.params, tags=change.tags, actor=actor
                )
            if todo:
                self._advance(journal_id, numbered[-1][0])

    def _refuse(self, journal_id: str, sequences: Sequence[int], fault: FlyballError, *, actor: str) -> None:
        code, message = fault.code.value, fault.message[:_MAX_MESSAGE]
        with self._database.transaction():
            applied = self._store.lock(journal_id)
            fresh = [sequence for sequence in sequences if sequence > applied]
            if not fresh:
                return
            self._store.refuse(journal_id, [Refusal(sequence=one, code=code, message=message) for one in fresh])
            self._advance(journal_id, fresh[-1])
            payload = {"from": str(fresh[0]), "to": str(fresh[-1]), "code": code, "message": message}
            self._events.record(
                JournalEvent.RECORD_REFUSED, actor=actor, subject=_journal_ref(journal_id), payload=payload
            )

    def _advance(self, journal_id: str, applied: int) -> None:
        self._store.advance(journal_id, applied, now_ms=self._clock.now_ms())


def _all_at_fault(fault: FlyballError, numbered: Sequence[tuple[int, Change]]) -> bool:
    """Tell whether a fault is the run's and all records log to that run, so that none of them can be carried out."""
    runs = {change.run_id if isinstance(change, Logging) else None for _, change in numbered}
    return fault.field == "run_id" and len(runs) == 1 and None not in runs


def _journal_ref(journal_id: str) -> Ref:
    return ref("journal", journal_id)


def _joined(changes: Sequence[Change]) -> Iterator[Change]:
    """Join neighbouring points of one run, up to what one call of `log_batch` takes."""
    run_id, points = "", list[Metric]()
    for change in changes:
        plain = isinstance(change, Logging) and not change.params and not change.tags
        if isinstance(change, Logging) and plain and change.run_id == run_id:
            points.extend(change.metrics)
            continue
        yield from _cut(run_id, points)
        run_id, points = "", []
        if isinstance(change, Logging) and plain:
            run_id, points = change.run_id, list(change.metrics)
        else:
            yield change
    yield from _cut(run_id, points)


def _cut(run_id: str, points: Sequence[Metric]) -> Iterator[Logging]:
    for at in range(0, len(points), MAX_METRICS_PER_BATCH):
        yield Logging(run_id=run_id, metrics=tuple(points[at : at + MAX_METRICS_PER_BATCH]))
