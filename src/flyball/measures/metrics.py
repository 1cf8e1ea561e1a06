"""A metric as the monitors and baselines use it: its direction, its range, and the sums over blocks that it is made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from flyball.kernel.errors import InvalidInput
from flyball.measures.intervals import DEFAULT_RESAMPLES, Interval
from flyball.measures.resampling import FigureOfSums, Places, bound_figure
from flyball.measures.samples import Floats


class Better(StrEnum):
    """Which way a metric is better."""

    HIGHER = "higher"
    LOWER = "lower"
    ZERO = "zero"
    """The nearer to zero the better, as for a bias."""


class Task(StrEnum):
    """What a model is asked for."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """Labelled rows. For classes `truth` and `said` are booleans (positive or not); for numbers they are floats.

    `chance` (n,) is the probability of positive, in 0..1, where the model gave one. Of more than two classes `truth` is whether
    the answer was right, `chance` its probability, `chances` (n, k) those of all, and `column` (n,) where the true one stands.
    """

    truth: NDArray[np.bool_] | Floats
    said: NDArray[np.bool_] | Floats
    chance: Floats | None = None
    chances: Floats | None = None
    column: NDArray[np.int64] | None = None

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.truth)

    def where(self, kept: NDArray[np.bool_]) -> Answers:
        """Return some of the rows."""
        return Answers(
            truth=self.truth[kept],
            said=self.said[kept],
            chance=None if self.chance is None else self.chance[kept],
            chances=None if self.chances is None else self.chances[kept],
            column=None if self.column is None else self.column[kept],
        )


SumsOfBlocks: TypeAlias = Callable[[Answers, Places, int], Floats]
"""From answers, the block of each row and the number of blocks to sums (blocks, k)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric. `sums` makes (blocks, k) of answers and the blocks of their rows; `figure` makes the metric of such sums.

    `exact` is there where the sums only come near (ranks in steps); `undefined` says when there is no such figure.
    `of_every_class`: it needs the probabilities of all classes, of which there are more than two.
    """

    name: str
    task: Task
    better: Better
    low: float
    high: float
    sums: SumsOfBlocks
    figure: FigureOfSums
    exact: Callable[[Answers], float] | None = None
    undefined: str = ""
    needs_chance: bool = False
    of_every_class: bool = False

    @property
    def is_share(self) -> bool:
        """Whether it lies in 0..1."""
        return (self.low, self.high) == (0.0, 1.0)

    def of(self, answers: Answers) -> float:
        """Return the metric of all rows, NaN where it is not defined.

        Raises:
            InvalidInput: there are no rows, or the metric needs a probability that they lack.
        """
        self._check(answers)
        if self.exact is not None:
            return self.exact(answers)
        return float(self.figure(self.sums(answers, np.zeros(answers.rows, dtype=np.int64), 1)[0]))

    def bounded(
        self,
        answers: Answers,
        places: Places,
        blocks: int,
        *,
        confidence: float,
        resamples: int = DEFAULT_RESAMPLES,
        seed: int,
    ) -> Interval:
        """Return the metric with bounds from resampled blocks; NaN between `low` and `high` where it is not defined.

        Raises:
            InvalidInput: as `of`.
        """
        estimate = self.of(answers)
        if not math.isfinite(estimate):
            return Interval(estimate=math.nan, lower=self.low, upper=self.high)
        return bound_figure(
            self.sums(answers, places, blocks),
            self.figure,
            estimate=estimate,
            low=self.low,
            high=self.high,
            confidence=confidence,
            resamples=resamples,
            seed=seed,
        )

    def _check(self, answers: Answers) -> None:
        if not answers.rows:
            raise InvalidInput(f"there is no {self.name} of nothing", field="rows")
        if self.needs_chance and answers.chance is None:
            raise InvalidInput(f"{self.name} needs the probability of each answer", field="chance")
        if self.of_every_class and (answers.chances is None or answers.column is None):
            raise InvalidInput(f"{self.name} needs the probabilities of every class", field="chances")


def ratio(above: Floats, below: Floats) -> Floats:
    """Divide; NaN where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(below != 0, np.divide(above, below), np.nan)
    return found
