"""Standardise a series by its own past while it arrives, so that a chart of it has a run length without any earlier reference.

Each value is held against what the ones before it lead to expect; the expectation takes no notice of the value itself. For independent
normal values the scores are independent standard normal from the third one on (Hawkins 1987, "Self-starting CUSUM charts for
location and scale", The Statistician 36; Quesenberry 1991, "SPC Q charts for start-up processes"). A value that resembles the one before
it is expected from it: these are the recursive residuals of a regression (Brown, Durbin and Evans 1975), which for a series that
remembers are independent standard normal in the limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from flyball.kernel.errors import InvalidInput
from flyball.measures.distributions import normal_quantile, student_t_cdf

# Two numbers of a regression and one of a variance are learned first.
FEWEST = 5
_LEAST_CHANCE = 1e-290


@dataclass(slots=True, kw_only=True)
class SelfStarting:
    """What is known of a series: how many pairs of neighbours, and the moments of both about their means.

    `count` pairs (before, value) have means `mean_before` and `mean`, and sums of squares about these. It says nothing of the first
    `learn` values, and learns no more from the pair after `until`: for a detector that finds the level by itself, to which a level that is
    learned anew would fade.
    """

    learn: int = 30
    until: int | None = None
    count: int = 0
    last: float | None = None
    mean_before: float = 0.0
    mean: float = 0.0
    squares_before: float = 0.0
    squares: float = 0.0
    products: float = 0.0

    def __post_init__(self) -> None:
        """Refuse to speak before anything can be known."""
        if self.learn < FEWEST:
            raise InvalidInput(f"{self.learn} values teach nothing; learn from {FEWEST} or more", field="learn")

    def update(self, value: float) -> float | None:
        """Take a value; return its standard normal score, or None while the series is learned or where it does not vary.

        Raises:
            InvalidInput: the value is not finite.
        """
        if not math.isfinite(value):
            raise InvalidInput(f"the value {value} is not finite; leave it out", field="value")
        before, self.last = self.last, value
        if before is None:
            return None
        score = self._score(before, value) if self.count + 1 >= self.learn else None
        if self.until is None or self.count < self.until:
            self._learn(before, value)
        return score

    def _score(self, before: float, value: float) -> float | None:
        apart = before - self.mean_before
        slope = self.products / self.squares_before if self.squares_before > 0 else 0.0
        rest = self.squares - slope * self.products
        freedom = self.count - 2
        # What does not vary but for rounding has no unit to be measured in.
        if rest <= 1e-18 * (self.squares + self.count * self.mean**2) or freedom < 1:
            return None
        spread = 1.0 + 1.0 / self.count + (apart * apart / self.squares_before if self.squares_before > 0 else 0.0)
        ratio = (value - self.mean - slope * apart) / math.sqrt(rest / freedom * spread)
        chance = max(_LEAST_CHANCE, student_t_cdf(-abs(ratio), freedom))
        return math.copysign(normal_quantile(min(0.5, chance)), ratio) if chance < 0.5 else 0.0  # noqa: PLR2004 -- the middle

    def _learn(self, before: float, value: float) -> None:
        self.count += 1
        apart, away = before - self.mean_before, value - self.mean
        self.mean_before += apart / self.count
        self.mean += away / self.count
        self.squares_before += apart * (before - self.mean_before)
        self.squares += away * (value - self.mean)
        self.products += apart * (value - self.mean)
