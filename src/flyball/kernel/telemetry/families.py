"""Figures for the outside as values: families of samples that share a name, a kind and a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class FamilyKind(StrEnum):
    """How the samples of a family behave over time."""

    GAUGE = "gauge"
    """A value of now, which goes up and down."""
    COUNTER = "counter"
    """A sum that only grows; its name is written without `_total`, which each form adds where it wants it."""
    HISTOGRAM = "histogram"
    """A distribution that only grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value, and what it is about."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A histogram: `counts` has one entry more than `bounds`, for what lies above them all; `total` is the sum of the values."""

    labels: Mapping[str, str]
    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Samples of one name. Labels are equal in name within a family and differ in value from sample to sample.

    `unit` is written as OpenTelemetry does ("s", "1" for a ratio, "{row}"), and is empty where there is none. The name says
    it too, as Prometheus wants it. `is_moment` marks gauges whose value is a moment in seconds since 1970.
    """

    name: str
    what: str
    kind: FamilyKind = FamilyKind.GAUGE
    unit: str = ""
    samples: Sequence[Sample] = ()
    distributions: Sequence[Distribution] = ()
    is_moment: bool = False
