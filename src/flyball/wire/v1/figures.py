"""Shapes of the figures that are told to other tools."""

from __future__ import annotations

from flyball.wire.v1 import Shape


class SampleInfo(Shape):
    """A value, and what it is about."""

    labels: dict[str, str]
    value: float


class FamilyInfo(Shape):
    """Samples of one name. `is_moment` marks moments in seconds since 1970."""

    name: str
    what: str
    kind: str
    unit: str
    is_moment: bool
    samples: list[SampleInfo]


class FigureList(Shape):
    """What monitoring found last, without single features."""

    families: list[FamilyInfo]
