"""Shapes of calibrations and backtests."""

from __future__ import annotations

from typing import Any

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


class BacktestInfo(Shape):
    """What a backtest found."""

    result: dict[str, Any]
