"""A study: a calibration or a backtest that was asked for, how far it is, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flyball.kernel.events import EventKind, Ref, ref
from flyball.monitoring.backtest.results import Incident


class StudyEvent(EventKind):
    """What happens to a study; documented in `docs/reference/events.md`."""

    ASKED = "study.asked"
    STARTED = "study.started"
    REQUEUED = "study.requeued"
    DONE = "study.done"
    FAILED = "study.failed"
    CANCELLED = "study.cancelled"
    LOST = "study.lost"
    REMOVED = "studies.removed"


class StudyKind(StrEnum):
    """What is computed."""

    CALIBRATION = "calibration"
    BACKTEST = "backtest"


class StudyState(StrEnum):
    """Where a study stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """Whoever computed it went silent, as often as it was tried."""


OPEN = frozenset({StudyState.QUEUED, StudyState.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRequest:
    """Which file to replay over its endpoint's log, what to compare it with, and what happened in that time."""

    document: str
    against: str | None = None
    reference_until_ms: int | None = None
    incidents: tuple[Incident, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study without its result. `request` is the canonical JSON of what was asked for.

    `done` of `total` counts within `stage`; `total` is 0 before anything can be said. `error` is the reason of a failure, with
    the public name of its kind in `error_code`.
    """

    id: str
    kind: StudyKind
    monitor: str
    request: str
    state: StudyState
    actor: str
    created_ms: int
    started_ms: int | None = None
    ended_ms: int | None = None
    attempts: int = 0
    stage: str = ""
    done: int = 0
    total: int = 0
    error: str = ""
    error_code: str = ""

    @property
    def ref(self) -> Ref:
        """Name this study in events."""
        return ref("study", self.id)

    @property
    def lease(self) -> str:
        """The lease that whoever computes it holds."""
        return f"study/{self.id}"
