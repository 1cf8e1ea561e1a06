"""What a report says of a share of false discoveries: the window's level, and the memory the next window goes on from. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from flyball.measures.false_discovery import Discoveries


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryMemory:
    """All that is known after a window. `key` is the rule, `began_ms` the start of the first window, which was step 1."""

    key: str
    began_ms: int
    known: Discoveries


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryFigure:
    """A window held to a share of false discoveries.

    `level` is what its p-value may be at most. `p_value` is that of the most unusual calibrated feature whose data is not faulty,
    None where there is none; `rejected` says that the window is a discovery.
    """

    level: float
    p_value: float | None
    rejected: bool
    memory: DiscoveryMemory
