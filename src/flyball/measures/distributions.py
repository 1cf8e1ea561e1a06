"""Tail probabilities and quantiles of the few distributions the measures need, in plain `math`.

SciPy has them all and costs more than a second to import and 100 MB to install; the tests hold these against SciPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from statistics import NormalDist

from flyball.kernel.errors import InvalidInput

_NORMAL = NormalDist()
_EPSILON = 1e-15
_TINY = 1e-300
_MAX_TERMS = 100_000
# Above this argument the Kolmogorov tail is below 1e-300.
_KOLMOGOROV_ZERO = 20.0
# Below this argument the theta form converges in few terms, above it the alternating form does.
_KOLMOGOROV_SWITCH = 1.18
_KOLMOGOROV_TERMS = 20
# One form below, one above; beyond the largest argument the second leaves the range it was fitted in.
_ANDERSON_SWITCH, _ANDERSON_LARGEST = 2.0, 15.0


def normal_cdf(x: float) -> float:
    """Return P(Z <= x) for a standard normal Z."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def normal_quantile(probability: float) -> float:
    """Return the standard normal quantile; `probability` lies strictly between 0 and 1."""
    require_probability(probability, field="probability")
    return _NORMAL.inv_cdf(probability)


def student_t_cdf(x: float, degrees: float) -> float:
    """Return P(T <= x) for Student's t, by the incomplete beta function (Abramowitz & Stegun 1964, 26.7.1)."""
    tail = 0.5 * _incomplete_beta(degrees / 2.0, 0.5, degrees / (degrees + x * x))
    return tail if x < 0 else 1.0 - tail


@lru_cache(maxsize=1_024)  # the monitors ask for the same few at every window, and each is a search
def student_t_quantile(probability: float, degrees: float) -> float:
    """Return the quantile of Student's t; `probability` lies strictly between 0 and 1, `degrees` is positive."""
    require_probability(probability, field="probability")
    if probability == 0.5:  # noqa: PLR2004 -- the median of a symmetric distribution
        return 0.0
    if probability < 0.5:  # noqa: PLR2004 -- work in one half only
        return -student_t_quantile(1.0 - probability, degrees)
    high = 1.0
    while student_t_cdf(high, degrees) < probability:
        high *= 2.0
    return _bisect(lambda x: student_t_cdf(x, degrees) - probability, high)


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return P(X <= x) for a beta distribution: the regularised incomplete beta function (A&S 1964, 26.5.1)."""
    return _incomplete_beta(a, b, x)


def beta_quantile(probability: float, a: float, b: float) -> float:
    """Return the quantile of a beta distribution; `probability` lies strictly between 0 and 1, `a` and `b` are positive."""
    require_probability(probability, field="probability")
    return _bisect(lambda x: beta_cdf(x, a, b) - probability, 1.0)


def chi_square_tail(x: float, degrees: float) -> float:
    """Return P(X > x) for chi-square: the upper regularised gamma function Q(degrees/2, x/2) (A&S 1964, 26.4.19)."""
    if x <= 0:
        return 1.0
    shape, half = degrees / 2.0, x / 2.0
    if half < shape + 1.0:
        return max(0.0, 1.0 - _lower_gamma_series(shape, half))
    return _upper_gamma_fraction(shape, half)


def anderson_darling_tail(x: float) -> float:
    """Return P(A^2 > x) of the Anderson-Darling limit, to about 2e-6 (Marsaglia & Marsaglia 2004, J. Stat. Software 9(2))."""
    if x <= 0:
        return 1.0
    if x < _ANDERSON_SWITCH:
        series = _polynomial(x, (2.00012, 0.247105, -0.0649821, 0.0347962, -0.0116720, 0.00168691))
        return 1.0 - math.exp(-1.2337141 / x) / math.sqrt(x) * series
    exponent = _polynomial(min(x, _ANDERSON_LARGEST), (1.0776, -2.30695, 0.43424, -0.082433, 0.008056, -0.0003146))
    return -math.expm1(-math.exp(exponent))


def _polynomial(x: float, coefficients: Sequence[float]) -> float:
    return sum(coefficient * x**power for power, coefficient in enumerate(coefficients))


def kolmogorov_tail(x: float) -> float:
    """Return P(K > x) for the limit distribution of sqrt(n) times the Kolmogorov statistic (Kolmogorov 1933)."""
    if x <= 0:
        return 1.0
    if x > _KOLMOGOROV_ZERO:
        return 0.0
    if x < _KOLMOGOROV_SWITCH:
        factor = math.sqrt(2.0 * math.pi) / x
        terms = (math.exp(-((2 * k - 1) ** 2) * math.pi**2 / (8.0 * x * x)) for k in range(1, _KOLMOGOROV_TERMS))
        return 1.0 - factor * sum(terms)
    return 2.0 * sum((-1.0) ** (k - 1) * math.exp(-2.0 * k * k * x * x) for k in range(1, _KOLMOGOROV_TERMS))


def require_probability(value: float, *, field: str) -> None:
    """Refuse what does not lie strictly between 0 and 1, NaN included."""
    if not 0.0 < value < 1.0:
        raise InvalidInput(f"{field} is {value}; it must lie strictly between 0 and 1", field=field)


def _bisect(function: Callable[[float], float], high: float) -> float:
    low = 0.0
    while high - low > 1e-13 * max(1.0, high):
        middle = 0.5 * (low + high)
        if middle in {low, high}:
            break
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return 0.5 * (low + high)


def _lower_gamma_series(shape: float, x: float) -> float:
    term = total = 1.0 / shape
    for n in range(1, _MAX_TERMS):
        term *= x / (shape + n)
        total += term
        if term < total * _EPSILON:
            break
    return total * math.exp(-x + shape * math.log(x) - math.lgamma(shape))


def _upper_gamma_fraction(shape: float, x: float) -> float:
    """Evaluate the continued fraction by Lentz's method (Thompson & Barnett 1986)."""
    b = x + 1.0 - shape
    c, d = 1.0 / _TINY, 1.0 / b
    value = d
    for n in range(1, _MAX_TERMS):
        a = -n * (n - shape)
        b += 2.0
        d = 1.0 / _nonzero(a * d + b)
        c = _nonzero(b + a / c)
        value *= c * d
        if abs(c * d - 1.0) < _EPSILON:
            break
    return value * math.exp(-x + shape * math.log(x) - math.lgamma(shape))


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(a, b, x) / a
    return 1.0 - front * _beta_fraction(b, a, 1.0 - x) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Evaluate the continued fraction A&S 26.5.8 by Lentz's method."""
    c = 1.0
    d = 1.0 / _nonzero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        for coefficient in (even, odd):
            d = 1.0 / _nonzero(1.0 + coefficient * d)
            c = _nonzero(1.0 + coefficient / c)
            value *= c * d
        if abs(c * d - 1.0) < _EPSILON:
            break
    return value


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
