"""Shapes of calibrations, backtests, and the studies that compute them in the background."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from flyball.wire.v1 import Body, Shape


class CalibrateBody(Body):
    """On what to calibrate; what is left out is everything served, and the version in charge."""

    since_ms: int | None = None
    until_ms: int | None = None
    version: int | None = None


class CalibrationInfo(Shape):
    """A calibration as it is kept, with the digest by which reports name it."""

    digest: str
    calibration: dict[str, Any]
    statements: list[str]
    """What the monitor finds, as sentences."""


class ThresholdInfo(Shape):
    """From where on a feature counts as drifted; `skew` is how far the history lies from what the version learned from."""

    feature: str
    measure: str
    threshold: float
    skew: float


class BackcheckInfo(Shape):
    """Of the second half of the history, judged by the first: how many windows alarmed, and whether that is as stated."""

    windows: int
    alarms: int
    holds: bool


class CalibrationSummary(Shape):
    """A calibration in short. `rate` false alarms a period are to be expected; `reason` says why nothing is stated.

    `statements` is what the monitor finds, as sentences. `false_discoveries` is the share that is wanted, empty where a rate is; the
    period is its memory then.
    """

    digest: str
    version: int
    created_ms: int
    false_alarms: str
    rate: float
    rate_lower: float
    rate_upper: float
    history_start_ms: int
    history_end_ms: int
    windows: int
    needed: int
    method: str
    reason: str
    cycles: list[str]
    unmatched: dict[str, str]
    uncalibrated: dict[str, str]
    thresholds: list[ThresholdInfo]
    backcheck: BackcheckInfo | None
    statements: list[str]
    false_discoveries: str = ""


class CalibrationQuery(Body):
    """How many of the last calibrations are wanted."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class CalibrationList(Shape):
    """A monitor's calibrations, the last made first."""

    calibrations: list[CalibrationSummary]


class IncidentBody(Body):
    """Something that happened; times in milliseconds since 1970."""

    start: int
    name: str = ""
    end: int | None = None
    noticed: int | None = None


class BacktestBody(Body):
    """A monitor's file to replay over its endpoint's log; `against` is another to compare it with.

    Windows before `reference_until_ms` calibrate, those from there on are judged.
    """

    document: str
    against: str | None = None
    reference_until_ms: int | None = None
    incidents: tuple[IncidentBody, ...] = ()


class StudyInfo(Shape):
    """A calibration or backtest in the background. `state` is queued, running, done, failed, cancelled or lost.

    `done` of `total` counts within `stage`; `error` says why there is no result, `error_code` which kind of error that is.
    `href` is where to look for how far it is; its `result` lies below.
    """

    id: str
    kind: str
    monitor: str
    state: str
    actor: str
    created_ms: int
    started_ms: int | None
    ended_ms: int | None
    attempts: int
    stage: str
    done: int
    total: int
    error: str
    error_code: str
    href: str


class StudyQuery(Body):
    """Which studies are wanted; `before` is the `next` of the page before this one."""

    monitor: str = ""
    kind: str = ""
    state: str = ""
    before: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class StudyList(Shape):
    """Studies, newest first. `next` asks for the page after this one; empty at the end."""

    studies: list[StudyInfo]
    next: str = ""


class StudyResult(Shape):
    """What came of a study: one of the two."""

    calibration: CalibrationInfo | None = None
    backtest: dict[str, Any] | None = None
