"""Shapes of runs, beyond what the MLflow protocol has."""

from __future__ import annotations

from typing import Annotated

import msgspec

from flyball.wire.v1 import Body, Shape


class CurveQuery(Body):
    """Which metric to draw, in at most how many points."""

    key: str
    points: Annotated[int, msgspec.Meta(ge=4, le=20_000)] = 2_000


class CurvePointShape(Shape):
    """A point of a curve; an infinity is written as the largest number."""

    step: int
    timestamp_ms: int
    value: float


class CurveShape(Shape):
    """A metric of a run, drawn: `count` points were sent in all, exact repeats among them."""

    key: str
    count: int
    points: list[CurvePointShape]
