"""How much of a loss of quality each suspected feature explains, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Basis(StrEnum):
    """By what likely causes are ranked."""

    STRENGTH = "strength"
    LABELS = "labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureLoss:
    """What one feature explains: `loss` is the share (0..1) of the rows that are wrong for it, with its standard deviation.

    `sure` is the loss where it is more than two deviations above zero, else 0.
    """

    feature: str
    loss: float
    deviation: float
    sure: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """The features that drifted or are at fault, with what they explain; empty where there is nothing to go by.

    `excess` is the share of rows that are wrong, less that of the baseline.
    """

    basis: Basis = Basis.STRENGTH
    excess: float = 0.0
    losses: tuple[FeatureLoss, ...] = ()

    def sure_loss(self, feature: str) -> float:
        """Return what a feature surely explains, 0 where nothing is known."""
        return next((one.sure for one in self.losses if one.feature == feature), 0.0)
