"""A stretch of arrivals of a span of event time, and what its rows looked like."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The rows of a span (start included, end not) that came with arrivals `after` < n <= `through`, as a packed summary."""

    endpoint: str
    start_ms: int
    end_ms: int
    after: int
    through: int
    rows: int
    content: bytes
