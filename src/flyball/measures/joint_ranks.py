"""One limit for many features at once: effects in units of what is usual for each, ranked by the largest of every window.

Of each null window the largest effect counts (Westfall and Young 1993, "Resampling-based multiple testing"), so a window has one
chance of a false alarm, however many features it has. What is usual must not be read off the very windows that are then ranked
by it: they would look more ordinary than the next one will. A new window that is far out in a feature is therefore judged as if
it had been among those that say what is usual there (full conformal prediction: Vovk, Gammerman and Shafer 2005, "Algorithmic
learning in a random world").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from flyball.measures.permutation import rank_threshold
from flyball.measures.samples import Floats

_MIDDLE, _FAR = 0.5, 0.9
# Of few windows what is far must leave two beyond it, or the quantile with one more window is that window itself.
_BEYOND = 2
# A feature whose null effects do not vary is measured in this unit: any effect at all is far.
_LEAST_SCALE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointRanks:
    """What is usual in each feature, shape (d,); the largest standardised effect of each null window, ascending; and the limit.

    An effect beyond `centre + limit * scale` is beyond the limit.
    """

    centre: Floats
    scale: Floats
    null: Floats
    limit: float

    def standardised(self, effects: Floats) -> Floats:
        """Return effects (n, d) in units of what is usual for each feature."""
        found: Floats = (effects - self.centre) / self.scale
        return found


def joint_ranks(effects: ArrayLike, chance: float, *, whole: int) -> JointRanks:
    """Return the limit that the largest standardised effect of a new window exceeds with a probability of `chance`.

    Args:
        effects: of null windows, shape (n, d), finite, n >= 1.
        chance: of a window in which nothing changed.
        whole: how many of the null windows do not share rows; a new window weighs as much as n / whole of them.

    Raises:
        InvalidInput: too few null windows for this chance, see `fewest_for`.
    """
    known = np.asarray(effects, dtype=np.float64)
    ordered = np.sort(known, axis=0)
    centre, scale = _usual(ordered, more=0.0)
    standardised = (known - centre) / scale
    limit = rank_threshold(standardised.max(axis=1), chance)
    if limit > 0:  # else the chance is a half, and one feature: nothing is measured by a scale
        wider = _usual(ordered, more=max(1.0, len(known) / max(1, whole)))
        scale = np.maximum(scale, (_thresholds(known, standardised, wider, chance) - centre) / limit)
    return JointRanks(centre=centre, scale=scale, null=np.sort(standardised.max(axis=1)), limit=limit)


def _thresholds(known: Floats, standardised: Floats, wider: tuple[Floats, Floats], chance: float) -> Floats:
    """Return from where on a new window is beyond the limit in each feature, were it far out in that one, shape (d,)."""
    centre, scale = wider
    lines = np.arange(len(known))
    best = standardised.argmax(axis=1)
    largest = standardised[lines, best]
    rest = standardised.copy()
    rest[lines, best] = -np.inf
    second = rest.max(axis=1)
    found = np.empty(known.shape[1])
    for feature in range(known.shape[1]):
        others = np.where(best == feature, second, largest)
        mine = (known[:, feature] - centre[feature]) / scale[feature]
        limit = rank_threshold(np.maximum(others, mine), chance)
        found[feature] = centre[feature] + limit * scale[feature]
    return found


def _usual(ordered: Floats, *, more: float) -> tuple[Floats, Floats]:
    """Return the middle, and how far from it what is far begins, of columns in order with `more` values beyond all others."""
    far = max(_MIDDLE, min(_FAR, 1.0 - _BEYOND / (len(ordered) + more)))
    centre = _quantile(ordered, _MIDDLE, more=more)
    return centre, np.maximum(_quantile(ordered, far, more=more) - centre, _LEAST_SCALE)


def _quantile(ordered: Floats, level: float, *, more: float) -> Floats:
    last = len(ordered) - 1
    place = min(level * (last + more), float(last))
    low = int(place)
    part = place - low
    found: Floats = ordered[low] * (1.0 - part) + ordered[min(low + 1, last)] * part
    return found
