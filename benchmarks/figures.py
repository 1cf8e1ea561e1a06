"""Figures that are compared, and how they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure; `higher_is_better` says how to read it."""

    value: float
    unit: str
    higher_is_better: bool
    is_bound: bool = False
    """Whether the work was given up after `value`: it costs more than that."""

    def __str__(self) -> str:
        digits = 0 if self.value >= 100 else 1 if self.value >= 10 else 2
        return f"{_bound(self)}{self.value:,.{digits}f}{self.unit}"

    def times_better_than(self, other: Figure) -> float:
        """Return how many times better this figure is; infinity where the other is worth nothing."""
        better, worse = (self.value, other.value) if self.higher_is_better else (other.value, self.value)
        return better / worse if worse else float("inf")


def rate(value: float, unit: str = "/s") -> Figure:
    """Make a figure of which more is better."""
    return Figure(value=value, unit=unit, higher_is_better=True)


def cost(value: float, unit: str) -> Figure:
    """Make a figure of which less is better."""
    return Figure(value=value, unit=unit, higher_is_better=False)


def ratio(ours: Figure | None, theirs: Figure | None) -> str:
    """Write how many times better ours is; nothing where one is missing."""
    return "" if ours is None or theirs is None else f"{_bound(theirs)}{ours.times_better_than(theirs):,.1f} ×"


def _bound(figure: Figure) -> str:
    return "> " if figure.is_bound else ""


def row(cells: Sequence[str]) -> str:
    """Write a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def head(cells: Sequence[str]) -> list[str]:
    """Write the two rows that a Markdown table begins with."""
    return [row(cells), row(["---"] * len(cells))]
