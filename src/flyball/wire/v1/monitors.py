"""Shapes of monitors and windows."""

from __future__ import annotations

from typing import Any

import msgspec

from flyball.wire.v1 import Body, Shape


class MonitorDocument(Body):
    """A monitor as its YAML text."""

    document: str


class MonitorInfo(Shape):
    """A monitor and how far it has looked. Times are event time in milliseconds."""

    name: str
    endpoint: str
    model: str
    window_ms: int
    label_maturity_ms: int
    watermark_ms: int
    closed_through_ms: int
    matured_through_ms: int


class Unmonitored(Shape):
    """An endpoint that answers with a model that no monitor watches."""

    endpoint: str
    model: str
    version: int


class MonitorList(Shape):
    """Monitors by name, and what answers without one."""

    monitors: list[MonitorInfo]
    unmonitored: list[Unmonitored]


class NewProposal(Body):
    """Whether the monitor that is proposed is set at once."""

    put: bool = False


class Proposal(Shape):
    """A monitor's file for an endpoint, why each key is as it is, and whether it was set."""

    name: str
    document: str
    reasons: dict[str, str]
    put: bool


class ReportInfo(Shape):
    """A report as it is kept: everything that was judged, what could not be, and the digests it was made from."""

    report: dict[str, Any]


class ReportList(Shape):
    """The newest report of each window, oldest first."""

    reports: list[dict[str, Any]]


class ReportQuery(Body):
    """How many of the last windows are wanted."""

    limit: int = 100


class WindowInfo(Shape):
    """What a window showed. `value`, the watched metric, and its bounds are None where the evidence is too thin.

    `accuracy` is that value when the metric is accuracy. `estimated` and its bounds are what was to be expected without labels.
    `revision` counts the window's reports; `coverage` is the labelled share of its rows. `outputs` says how the answers moved
    where they did; `alarm` what is known of the rate of drift alarms, empty where none is wanted. `drifted` names features, and
    what changed that no single feature shows; `together` says of everything that was looked at in that way what was found.
    `changes` are those that detectors found in the window, each with the time since when.
    """

    start_ms: int
    end_ms: int
    state: str
    rows: int
    labelled: int
    drifted: list[str]
    faults: list[str]
    accuracy: float | None
    lower: float | None
    upper: float | None
    baseline: float | None
    verdict: str
    revision: int
    coverage: float
    metric: str
    value: float | None
    estimated_metric: str
    estimated: float | None
    estimated_lower: float | None
    estimated_upper: float | None
    concept: str
    worst_slice: str
    slices: list[str]
    groups: list[str]
    changes: list[str]
    unknown: dict[str, str]
    outputs: list[str] = msgspec.field(default_factory=list)
    alarm: str = ""
    together: list[str] = msgspec.field(default_factory=list)


class RevisionInfo(Shape):
    """A report of a window. `added` counts the labels that came since the report before; `again` says that it had matured."""

    revision: int
    state: str
    rows: int
    labelled: int
    added: int
    coverage: float
    again: bool
    value: float | None
    lower: float | None
    upper: float | None
    verdict: str


class RevisionList(Shape):
    """The reports of a window, oldest first."""

    revisions: list[RevisionInfo]


class WindowList(Shape):
    """Windows, oldest first."""

    windows: list[WindowInfo]
