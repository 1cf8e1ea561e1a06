"""Requests to put a new version into production, the states they pass, and the events they leave."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flyball.kernel.events import EventKind


class RequestState(StrEnum):
    """Where a request stands. The last four are final."""

    OPEN = "open"
    TRAINING = "training"
    EVALUATING = "evaluating"
    AWAITING_APPROVAL = "awaiting_approval"
    CANARY = "canary"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    REFUSED = "refused"
    FAILED = "failed"


FINAL = frozenset({RequestState.PROMOTED, RequestState.ROLLED_BACK, RequestState.REFUSED, RequestState.FAILED})


class Origin(StrEnum):
    """Who asked."""

    ALERT = "alert"
    PERSON = "person"


class Cause(StrEnum):
    """What a diagnosis can find."""

    DATA_FAULT = "data_fault"
    CONCEPT_DRIFT = "concept_drift"
    COVARIATE_DRIFT = "covariate_drift"
    UNKNOWN = "unknown"


class RetrainingEvent(EventKind):
    """What happens to loops and requests."""

    LOOP_SET = "loop.set"
    OPENED = "request.opened"
    TRAINING = "request.training"
    EVALUATING = "request.evaluating"
    AWAITING_APPROVAL = "request.awaiting_approval"
    CANARY = "request.canary"
    PROMOTED = "request.promoted"
    ROLLED_BACK = "request.rolled_back"
    REFUSED = "request.refused"
    FAILED = "request.failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One attempt to bring a challenger into production, by an alert or by a person.

    `window_start_ms` and `window_end_ms` are event time of the window that caused it (0 for a person's request);
    dataset names are `<name>/<n>`; what is not known yet is empty or None. `canary_from_ms` is the
    event time from which champion and challenger are compared.
    """

    id: str
    loop: str
    origin: Origin
    state: RequestState
    requested_by: str
    created_ms: int
    updated_ms: int
    alert_id: str = ""
    window_start_ms: int = 0
    window_end_ms: int = 0
    cause: Cause | None = None
    reason: str = ""
    training: str = ""
    holdout: str = ""
    recent: str = ""
    pipeline_run_id: str = ""
    champion: int | None = None
    challenger: int | None = None
    decision_id: str = ""
    approval_id: str = ""
    rollout_id: str = ""
    canary_from_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the evidence says about the cause, and why. `numbers` are what the reasons were read from."""

    cause: Cause
    reasons: tuple[str, ...]
    numbers: dict[str, float]

    @property
    def retrain(self) -> bool:
        """Whether more training can heal it."""
        return self.cause in {Cause.CONCEPT_DRIFT, Cause.COVARIATE_DRIFT}
