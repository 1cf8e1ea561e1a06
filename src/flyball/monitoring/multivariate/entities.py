"""What was found of columns together, of a text or of an embedding."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

TOGETHER = "numbers together"


class JointKind(StrEnum):
    """What was compared as points."""

    NUMBERS = "numbers"
    """All columns of numbers and truth values at once."""
    TEXT = "text"
    EMBEDDING = "embedding"


class JointMeasureName(StrEnum):
    """A measure of how far two sets of points are apart."""

    CLASSIFIER = "domain_classifier"
    RECONSTRUCTION = "reconstruction"
    DISCREPANCY = "mean_discrepancy"


@dataclass(frozen=True, slots=True, kw_only=True)
class JointMeasure:
    """One measure. `effect` is held against `threshold`, and is surely `beyond` it, or is not.

    Of the classifier the effect is its area, 0.5 to 1, with one-sided bounds; of the others the bounds are None.
    """

    measure: JointMeasureName
    effect: float
    threshold: float
    p_value: float
    beyond: bool
    lower: float | None = None
    upper: float | None = None

    @property
    def strength(self) -> float:
        """The effect in units of its threshold; of the classifier the lower bound, and both counted from one half."""
        if self.measure is JointMeasureName.CLASSIFIER:
            return max(0.0, (self.lower or 0.0) - 0.5) / max(self.threshold - 0.5, 0.01)
        return abs(self.effect) / self.threshold

    @property
    def text(self) -> str:
        """The measure as a person reads it."""
        between = "" if self.lower is None else f" [{self.lower:.3f}, {self.upper:.3f}]"
        return f"{self.measure.replace('_', ' ')} {self.effect:.3f}{between}, threshold {self.threshold:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedShare:
    """A column, or a word of a text, and its share (0..1) of what tells the two apart."""

    name: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JointDrift:
    """Columns of numbers together, or one column of texts or embeddings, held against the reference.

    `subject` is "numbers together", or the column; `columns` is how many were looked at; `named` are those (or the words) that
    tell the two apart most, the strongest first, by the measure that is furthest beyond its threshold.
    """

    subject: str
    kind: JointKind
    columns: int
    reference_rows: int
    rows: int
    measures: tuple[JointMeasure, ...]
    named: tuple[NamedShare, ...]
    drifted: bool

    @property
    def strongest(self) -> JointMeasure:
        """The measure that says most: one that is beyond its threshold, else the nearest to it."""
        return max(self.measures, key=lambda one: (one.beyond, one.strength))

    @property
    def strength(self) -> float:
        """The strongest effect in units of its threshold."""
        return self.strongest.strength

    @property
    def text(self) -> str:
        """What was found, as a person reads it."""
        by = ", ".join(f"{one.name} {one.share:.0%}" for one in self.named)
        return f"{self.strongest.text}" + (f"; told apart by {by}" if by else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class JointThreshold:
    """From where on a measure of a subject is beyond what the history makes usual; `usual` is what it is in the middle of that."""

    subject: str
    measure: JointMeasureName
    threshold: float
    usual: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JointCalibration:
    """The thresholds of everything that is looked at together, for one chance of a false alarm a window.

    `reason` is empty, or says why nothing can be said; then there are no thresholds. `windows` of the history could be judged,
    `needed` are needed.
    """

    chance: float
    windows: int
    needed: int
    reason: str = ""
    thresholds: tuple[JointThreshold, ...] = ()
