"""What happened, gathered from the platform's own records, and the numbers of the run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from flyball.client import Client
from flyball.demo.electricity import JOINED_ROW, WEEK, row_of
from flyball.demo.replay import NAME
from flyball.wire.v1 import audit, loops
from flyball.wire.v1.alerts import AlertInfo, AlertList
from flyball.wire.v1.monitors import WindowInfo, WindowList

CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of the timeline: event time, what happened, and why."""

    time_ms: int
    what: str
    why: str

    @property
    def day(self) -> str:
        """The day of the market."""
        return datetime.fromtimestamp(self.time_ms / 1000, tz=UTC).strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Prequential accuracies over the rows after the join, and what the loop did. All measured in this run.

    `recovered_share` is (flyball - none) / (every_window - none). `weeks_expected` counts the weeks whose accuracy was expected
    before their labels came, `weeks_as_expected` those that came true within the interval.
    """

    accuracy_none: float
    accuracy_flyball: float
    accuracy_every_window: float
    accuracy_every_window_all_rows: float
    recovered_share: float
    first_alert_row: int
    retrainings: int
    promotions: int
    refused_by_gate: int
    refused_corrupted: bool
    weeks_expected: int
    weeks_as_expected: int
    weeks_concept_changed: int
    audit_verified: bool
    audit_events: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Hits (0 or 1) of each replayed row, shape (n,), by the three ways to run the model."""

    none: np.ndarray
    flyball: np.ndarray
    every_window: np.ndarray

    def weekly(self) -> dict[str, list[float]]:
        """Return the accuracy of each whole week of each line."""
        return {name: _weekly(getattr(self, name)) for name in ("none", "flyball", "every_window")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What the platform remembers of the run."""

    requests: list[loops.RequestInfo]
    alerts: list[AlertInfo]
    windows: list[WindowInfo]
    why: str
    verified: audit.Verified

    @property
    def trained(self) -> list[loops.RequestInfo]:
        """Requests that trained a challenger."""
        return [one for one in self.requests if one.pipeline_run_id]

    def ended(self, state: str) -> list[loops.RequestInfo]:
        """Trained requests that ended in a state."""
        return [one for one in self.trained if one.state == state]

    @property
    def expected(self) -> list[WindowInfo]:
        """Windows whose accuracy was expected before their labels came, with both bounds, and is known now."""
        return [
            one
            for one in self.windows
            if None not in {one.estimated, one.estimated_lower, one.estimated_upper, one.accuracy}
        ]

    @property
    def changed(self) -> list[WindowInfo]:
        """Those of them that fell short of it because the same features no longer meant the same label."""
        return [
            one for one in self.expected if one.concept == CHANGED and (one.accuracy or 0.0) < (one.estimated or 0.0)
        ]

    @property
    def refused_corrupted(self) -> bool:
        """Whether the loop diagnosed a data fault and refused to train on it."""
        faults = [one for one in self.requests if one.cause == "data_fault"]
        return bool(faults) and all(one.state == "refused" and not one.pipeline_run_id for one in faults)


def gather(client: Client) -> Records:
    """Ask the platform what it remembers."""
    found = client.call("GET", f"/api/v1/loops/{NAME}/requests", response=loops.RequestList)
    alerts = sorted(_all_alerts(client), key=lambda one: one.window_end_ms)
    why = ""
    if alerts:
        why = client.call("GET", f"/api/v1/why/alert/{alerts[0].id}", response=audit.WhyAnswer).text
    return Records(
        requests=sorted(found.requests, key=lambda one: one.id),
        alerts=alerts,
        windows=client.call("GET", f"/api/v1/monitors/{NAME}/windows", response=WindowList).windows,
        why=why,
        verified=client.call("GET", "/api/v1/audit/verify", response=audit.Verified),
    )


def _all_alerts(client: Client) -> list[AlertInfo]:
    page = client.call("GET", "/api/v1/alerts", response=AlertList)
    found = page.alerts
    while page.next:
        page = client.call("GET", f"/api/v1/alerts?before={page.next}", response=AlertList)
        found += page.alerts
    return found


def timeline(records: Records) -> list[Moment]:
    """Tell alerts, requests, and the weeks that belied what was expected of them, in order of event time."""
    moments = [
        Moment(time_ms=one.window_end_ms, what=f"alert: {one.kind.replace('_', ' ')}", why="; ".join(_told(one)))
        for one in records.alerts
    ]
    moments += [
        Moment(time_ms=one.window_end_ms, what=_deed(one), why=one.reason)
        for one in records.requests
        if one.window_end_ms
    ]
    moments += [
        Moment(time_ms=one.end_ms, what="concept changed", why=_against_expected(one)) for one in records.changed
    ]
    first = next((one for one in records.requests if one.origin == "person"), None)
    if first is not None:
        moments.append(Moment(time_ms=0, what="version 1 in production", why="through gate and approval, by a person"))
    return sorted(moments, key=lambda one: one.time_ms)


def number(records: Records, lines: Lines, *, all_rows: np.ndarray, seconds: float) -> Numbers:
    """Compute the numbers of the run."""
    none, mine, every = (float(line.mean()) for line in (lines.none, lines.flyball, lines.every_window))
    return Numbers(
        accuracy_none=none,
        accuracy_flyball=mine,
        accuracy_every_window=every,
        accuracy_every_window_all_rows=float(all_rows.mean()),
        recovered_share=(mine - none) / (every - none),
        first_alert_row=row_of(records.alerts[0].window_end_ms) if records.alerts else -1,
        retrainings=len(records.trained),
        promotions=len(records.ended("promoted")),
        refused_by_gate=len(records.ended("refused")),
        refused_corrupted=records.refused_corrupted,
        weeks_expected=len(records.expected),
        weeks_as_expected=sum(_came_true(one) for one in records.expected),
        weeks_concept_changed=len(records.changed),
        audit_verified=records.verified.intact,
        audit_events=records.verified.count,
        seconds=seconds,
    )


def missing_parts(numbers: Numbers, records: Records, *, whole: bool) -> list[str]:
    """Name every part of the story that did not happen; an empty list is a whole story.

    In a shortened replay the gate may have had nothing to refuse yet, nor an expectation the time to fail.
    """
    parts = {
        "the market's change raised an alert": numbers.first_alert_row > JOINED_ROW,
        "the loop retrained": numbers.retrainings > 0,
        "a challenger passed gate, approval and canary": numbers.promotions > 0,
        "the gate refused a challenger that was not better": numbers.refused_by_gate > 0 or not whole,
        "the loop served better than no retraining": numbers.accuracy_flyball > numbers.accuracy_none,
        "an expectation without labels failed, and the concept was flagged": numbers.weeks_concept_changed > 0
        or not whole,
        "the corrupted feed was diagnosed and refused": numbers.refused_corrupted,
        "the first alert can be explained": bool(records.why),
        "the audit chain is intact": numbers.audit_verified,
    }
    return [part for part, happened in parts.items() if not happened]


def _deed(one: loops.RequestInfo) -> str:
    cause = one.cause.replace("_", " ") or "request"
    state = one.state.replace("_", " ")
    if one.challenger:
        return f"{cause}: version {one.challenger} {state}"
    return f"{cause}: refused to train" if state == "refused" else f"{cause}: {state} without a version"


def _came_true(one: WindowInfo) -> bool:
    lower, upper, accuracy = one.estimated_lower, one.estimated_upper, one.accuracy
    return lower is not None and upper is not None and accuracy is not None and lower <= accuracy <= upper


def _against_expected(one: WindowInfo) -> str:
    return (
        f"expected without labels {one.estimated:.2f} [{one.estimated_lower:.2f}, {one.estimated_upper:.2f}], "
        f"realised {one.accuracy:.2f}: the scores still promise what they no longer keep"
    )


def _told(one: AlertInfo) -> list[str]:
    """Return the two causes that tell most: of a drop in quality the drop itself, which is ranked last, and the likeliest."""
    if one.kind == "quality_drop":
        return [one.cause[-1], *one.cause[:-1][:1]]
    return one.cause[:2]


def _weekly(hits: np.ndarray) -> list[float]:
    weeks = len(hits) // WEEK
    return [float(value) for value in hits[: weeks * WEEK].reshape(weeks, WEEK).mean(axis=1)]
