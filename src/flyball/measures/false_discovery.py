"""Tests one after the other, without end: which to call discoveries so that few of those are false. Pure: state in, p-value in, state out.

LORD++ with decaying memory (Ramdas, Yang, Wainwright and Jordan 2017, "Online control of the false discovery rate with decaying
memory", NeurIPS). A discovery of k steps ago weighs decay^k. What is kept is the expected share of weight that false ones have
among all discoveries, the weight of all taken as at least one: mem-FDR. With a decay of 1 nothing is forgotten: LORD++, and FDR.

Level of step t, with the discoveries at steps r_1 < r_2 < ... < t, and g the spending sequence below (sum 1):

    base * ((1 - decay) + decay^t g_t) + sum over j of back_j * decay^(t - r_j) g_(t - r_j)

with back_j = rate - base; for a decay of 1, back_j = rate from the second on. Of the levels so far, weighted by decay^(age), the
sum is never more than rate * max(1, weight of all discoveries), which is what the proof rests on: the first term spends at most
`base`, and every discovery pays for what it adds. With a decay below 1 a discovery's weight falls below the one that is allowed
anyway, so it never pays back more than rate - base. The level never falls below base * (1 - decay), and the more was discovered,
the higher it is.

Assumed: where nothing has changed, a p-value is at most x with a probability of at most x, whatever was discovered before. Then
the expected weight of false discoveries is at most rate times that of max(1, all of them). Where such p-values are independent of
each other and of all others, the expected share is at most the rate too. Of other dependence nothing is known.
"""

from __future__ import annotations

from dataclasses import dataclass

from flyball.kernel.errors import InvalidInput
from flyball.measures.distributions import require_probability

_POWER = 1.6
_SUM = 2.2857657
"""The sum of j^-1.6 over all j, rounded up: what is spent may be less than everything, never more."""

BASE = 0.9
"""Which part of the rate is there without any discovery."""

MOST_KEPT = 200
"""How many discoveries are remembered, the newest. Each older one would add less than any of these; forgetting lowers the level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryRule:
    """`rate` (0..1): the share of false ones among discoveries. `decay` (0..1]: what a discovery weighs a step later, of its weight."""

    rate: float
    decay: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is out of its range.

        Raises:
            InvalidInput: a rate outside (0, 1), or a decay outside (0, 1].
        """
        require_probability(self.rate, field="rate")
        if not 0 < self.decay <= 1:
            raise InvalidInput(f"the decay {self.decay} lies outside (0, 1]", field="decay")

    @property
    def floor(self) -> float:
        """The level that is left after a long time without any discovery; 0 where nothing is forgotten."""
        return BASE * self.rate * (1.0 - self.decay)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discoveries:
    """What is remembered: the last step (from 1; 0 before the first), and the steps of the newest discoveries, ascending."""

    step: int = 0
    found: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A test's level, whether it is a discovery, and what is remembered after it."""

    rejected: bool
    level: float
    after: Discoveries


def level_at(rule: DiscoveryRule, before: Discoveries, step: int) -> float:
    """Return what the p-value of a step may be at most to be a discovery.

    Raises:
        InvalidInput: the step is not after the last one.
    """
    if step <= before.step:
        raise InvalidInput(f"step {step} does not come after step {before.step}", field="step")
    base = BASE * rule.rate
    level = base * (1.0 - rule.decay + rule.decay**step * _spent(step))
    for place, found in enumerate(before.found):
        back = rule.rate if place and rule.decay == 1.0 else rule.rate - base
        level += back * rule.decay ** (step - found) * _spent(step - found)
    return level


def hold_to_level(rule: DiscoveryRule, before: Discoveries, p_value: float, *, step: int | None = None) -> Tested:
    """Hold a p-value to the level of its step; the next one where no step is named. Steps may be left out: time goes on.

    Raises:
        InvalidInput: a p-value outside 0..1, or a step that is not after the last one.
    """
    if not 0 <= p_value <= 1:
        raise InvalidInput(f"the p-value {p_value} lies outside 0..1", field="p_value")
    now = before.step + 1 if step is None else step
    level = level_at(rule, before, now)
    rejected = p_value <= level
    return Tested(rejected=rejected, level=level, after=went_on(before, now, found=rejected))


def went_on(before: Discoveries, step: int, *, found: bool) -> Discoveries:
    """Return what is remembered after a step. To call fewer tests discoveries than the level allows is always sound."""
    kept = (*before.found, step)[-MOST_KEPT:] if found else before.found
    return Discoveries(step=step, found=kept)


def _spent(step: int) -> float:
    """Return which part is spent `step` steps later, step >= 1; all steps together at most 1."""
    return float(step**-_POWER / _SUM)
