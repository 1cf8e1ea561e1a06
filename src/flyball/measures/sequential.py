"""An always-valid comparison of two means: look as often as you like, the error stays below alpha.

Outcomes lie in [0, 1] (a hit is 1, a miss 0). For one arm with sum `s` of `n` outcomes, the mixture likelihood ratio

    E(p) = integral of q^s (1-q)^(n-s) dBeta(q; 1/2, 1/2)  /  p^s (1-p)^(n-s)

is a non-negative supermartingale with start 1 when every outcome has conditional mean `p`: for x in [0, 1],
(q/p)^x ((1-q)/(1-p))^(1-x) <= x q/p + (1-x) (1-q)/(1-p), whose expectation is 1. Two arms that do not look at each
other's future multiply. By Ville's inequality the product exceeds 1/alpha at *any* look with probability at most alpha,
so the differences that no pair of means with product below 1/alpha explains can be excluded, at every look at once.

Sources: H. Robbins, "Statistical methods related to the law of the iterated logarithm", Ann. Math. Stat. 41 (1970),
section 6; S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
sequences", Ann. Stat. 49 (2021), sections 3.1 (sub-Bernoulli) and 3.2 (mixtures). The Beta(1/2, 1/2) prior costs at most
log(n)/2 + log 2 (R. Krichevsky, V. Trofimov, "The performance of universal encoding", IEEE Trans. Inf. Theory 27 (1981)).
Per-arm normal mixtures, the alternative, ignore that the variance of a hit is p(1-p) and are wider at every accuracy.

What it assumes: the mean of each arm stays what it is while the two are compared, and who gets which arm is random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from flyball.kernel.errors import InvalidInput

# Halvings of an interval of length 2; 2 * 2**-50 is below the rounding of the sums themselves.
BISECTIONS = 50
LOG_BETA_HALF = math.log(math.pi)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one arm has shown: the sum of its outcomes in [0, 1], and how many there were."""

    total: float
    count: int

    @property
    def mean(self) -> float:
        """The observed mean; 1/2 before the first outcome."""
        return self.total / self.count if self.count else 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far the mean of one arm lies above the other's: what was observed, and what cannot be excluded at level alpha."""

    estimate: float
    lower: float
    upper: float
    alpha: float


def compare_means(arm: Tally, other: Tally, *, alpha: float) -> Difference:
    """Bound mean(arm) - mean(other) by an interval that is right at all looks together with probability 1 - alpha.

    >>> d = compare_means(Tally(total=60, count=100), Tally(total=90, count=100), alpha=0.05)
    >>> round(d.estimate, 2), d.upper < 0
    (-0.3, True)

    Raises:
        InvalidInput: a sum outside [0, count], or alpha outside (0, 1).
    """
    _check(arm, other, alpha)
    limit = -math.log(alpha)
    estimate = arm.mean - other.mean
    return Difference(
        estimate=estimate,
        lower=_edge(arm, other, inside=estimate, outside=-1.0, limit=limit),
        upper=_edge(arm, other, inside=estimate, outside=1.0, limit=limit),
        alpha=alpha,
    )


def evidence_against(difference: float, *, arm: Tally, other: Tally) -> float:
    """Return the log of the evidence against mean(arm) - mean(other) being `difference`.

    It reaches log(1/alpha) at any look with probability at most alpha when that is the true difference: the least
    evidence over all pairs of means with this difference, which is convex along them.
    """
    low, high = max(0.0, -difference), min(1.0, 1.0 - difference)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if _slope(arm, middle + difference) + _slope(other, middle) > 0:
            high = middle
        else:
            low = middle
    mean = (low + high) / 2
    return _log_evidence(arm, mean + difference) + _log_evidence(other, mean)


def _check(arm: Tally, other: Tally, alpha: float) -> None:
    if not 0 < alpha < 1:
        raise InvalidInput(f"alpha is {alpha}; it must lie between 0 and 1", field="alpha")
    for tally in (arm, other):
        if tally.count < 0 or not 0 <= tally.total <= tally.count:
            raise InvalidInput(
                f"a sum of {tally.total} over {tally.count} outcomes is impossible: each outcome lies in [0, 1]",
                field="total",
            )


def _edge(arm: Tally, other: Tally, *, inside: float, outside: float, limit: float) -> float:
    """Return the outermost difference on one side that is not excluded, rounded outwards."""
    if evidence_against(outside, arm=arm, other=other) < limit:
        return outside
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        if evidence_against(middle, arm=arm, other=other) < limit:
            inside = middle
        else:
            outside = middle
    return outside


def _log_evidence(tally: Tally, mean: float) -> float:
    hits, misses = tally.total, tally.count - tally.total
    mixture = math.lgamma(hits + 0.5) + math.lgamma(misses + 0.5) - math.lgamma(tally.count + 1.0) - LOG_BETA_HALF
    return mixture - _times_log(hits, mean) - _times_log(misses, 1.0 - mean)


def _times_log(weight: float, value: float) -> float:
    if weight == 0:
        return 0.0
    return weight * math.log(value) if value > 0 else -math.inf


def _slope(tally: Tally, mean: float) -> float:
    return _ratio(tally.count - tally.total, 1.0 - mean) - _ratio(tally.total, mean)


def _ratio(weight: float, value: float) -> float:
    if weight == 0:
        return 0.0
    return weight / value if value > 0 else math.inf
