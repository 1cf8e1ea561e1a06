"""Shapes of monitors, windows and alerts."""

from __future__ import annotations

from flyball.wire.v1 import Body, Shape


class MonitorDocument(Body):
    """A monitor as its YAML text."""

    document: str


class MonitorInfo(Shape):
    """A monitor and how far it has looked. Times are event time in milliseconds."""

    name: str
    endpoint: str
    window_ms: int
    watermark_ms: int
    closed_through_ms: int
    matured_through_ms: int


class WindowInfo(Shape):
    """What a window showed. `accuracy` and its bounds are None where the evidence is too thin."""

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


class WindowList(Shape):
    """Windows, oldest first."""

    windows: list[WindowInfo]


class AlertInfo(Shape):
    """An alert, and what most likely caused it, strongest first."""

    id: str
    monitor: str
    kind: str
    state: str
    window_start_ms: int
    window_end_ms: int
    cause: list[str]
    created_ms: int


class AlertList(Shape):
    """Alerts, newest first."""

    alerts: list[AlertInfo]
