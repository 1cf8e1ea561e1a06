"""CUSUM of single answers that are right or wrong, with its exact run length: finds a rise in the share of wrong ones soonest.

The sum goes up by 1 - r at a wrong answer and down by r at a right one, not below zero, where r lies between the share that is usual and
the one to be found: the likelihood ratio of the two (Reynolds and Stoumbos 1999, "A CUSUM chart for monitoring a proportion when
inspecting continuously", Journal of Quality Technology 31). With r a fraction the sum takes a few hundred values only, so that its
run length is that of a finite Markov chain (Brook and Evans 1972), without any approximation by the normal distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from flyball.kernel.errors import InvalidInput

# The coarsest fraction between both shares will do: a finer one makes the chain longer and the chart hardly better.
_DENOMINATORS = (8, 16, 32, 64, 128, 256, 512)
# The chain is solved as a dense system, half a dozen times.
MOST_STATES = 1_500


@dataclass(slots=True, kw_only=True)
class WrongAnswers:
    """A CUSUM of right and wrong answers, in whole steps: a wrong one goes `up`, a right one `down`, beyond `limit` it fires.

    Make it with `wrong_answers_chart`. The change is taken to begin after the sum was zero for the last time.
    """

    up: int
    down: int
    limit: int
    total: int = 0
    mark: int = 0
    since: int = 0

    def update(self, wrong: bool, mark: int = 0) -> bool:  # noqa: FBT001 -- the value itself
        """Take an answer; True when a rise was found, and then begin anew."""
        if self.total == 0:
            self.mark = mark
        self.total = self.total + self.up if wrong else max(0, self.total - self.down)
        if self.total <= self.limit:
            return False
        self.since, self.total = self.mark, 0
        return True


@lru_cache(maxsize=256)  # a monitor asks for the same one in every window
def _plan(usual: float, rise: float, run_length: float) -> tuple[int, int, int]:
    up, down = _steps(usual, usual + rise)
    low, high = 0, 4 * up
    while (reached := _excess(usual, (up, down, high), run_length)) < 0:
        low, high = high, 2 * high
        if low >= MOST_STATES:
            raise InvalidInput(
                f"a rise of {rise:g} is too small beside a share of {usual:g} for a run length of {run_length:g}: ask for a larger "
                "rise or a shorter run length",
                field="rise",
            )
    missed = _excess(usual, (up, down, low), run_length)
    if missed >= 0:
        return up, down, low
    # The logarithm of the run length is nearly a straight line over the limit.
    while high - low > 1:
        middle = low + min(high - low - 1, max(1, round((high - low) * missed / (missed - reached))))
        found = _excess(usual, (up, down, middle), run_length)
        low, missed, high, reached = (middle, found, high, reached) if found < 0 else (low, missed, middle, found)
    return up, down, high


def _excess(usual: float, plan: tuple[int, int, int], run_length: float) -> float:
    up, down, limit = plan
    return math.log(wrong_answers_run_length(usual, up=up, down=down, limit=limit) / run_length)


def wrong_answers_chart(usual: float, *, rise: float, run_length: float) -> WrongAnswers:
    """Return the chart that finds a rise of the share of wrong answers, and cries wolf once in `run_length` answers or more seldom.

    Args:
        usual: the share of wrong answers that is usual, above 0.
        rise: by how much it rises, so that both together are below 1.
        run_length: average number of answers until a false alarm, answers being independent; more than 2.

    Raises:
        InvalidInput: a value out of its range, or a run length that takes too long a chain.
    """
    if not (usual > 0 and rise > 0 and usual + rise < 1):
        raise InvalidInput(f"a rise from {usual} by {rise} is none between 0 and 1", field="rise")
    if not (run_length > 2 and math.isfinite(run_length)):  # noqa: PLR2004 -- a chart that fires at every other value is none
        raise InvalidInput(f"a run length of {run_length} says nothing; ask for more than 2", field="run_length")
    up, down, limit = _plan(usual, rise, run_length)
    return WrongAnswers(up=up, down=down, limit=limit)


def wrong_answers_run_length(share: float, *, up: int, down: int, limit: int) -> float:
    """Return the average number of independent answers until the chart fires, `share` of them being wrong (0..1)."""
    states = limit + 1
    places = np.arange(states)
    chain = np.eye(states)
    np.subtract.at(chain, (places, np.maximum(0, places - down)), 1.0 - share)
    inside = places + up <= limit
    np.subtract.at(chain, (places[inside], places[inside] + up), share)
    return float(np.linalg.solve(chain, np.ones(states))[0])


def _steps(usual: float, raised: float) -> tuple[int, int]:
    """Return how far a wrong answer goes up and a right one down, as whole numbers near the likelihood ratio's."""
    right = -math.log((1.0 - raised) / (1.0 - usual))
    between = right / (right + math.log(raised / usual))
    # The fraction must stay between both shares: else the sum would climb while nothing changed, or never at all.
    for most in _DENOMINATORS:
        near = Fraction(between).limit_denominator(most)
        if usual < near < raised:
            break
    else:
        raise InvalidInput(f"a rise from {usual:g} to {raised:g} is too small to be told apart", field="rise")
    return near.denominator - near.numerator, near.numerator
