"""What a report says beside realised quality: what was to be expected, the concept, slices and groups. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flyball.measures.expectation import SpreadSource
from flyball.measures.groups import Fairness


class ExpectedVerdict(StrEnum):
    """What the expectation says of quality; it is no proof, and no part of realised quality."""

    HELD = "held"
    DROPPED = "dropped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatedQuality:
    """Quality to expect of a window's rows, labelled or not, while the same features mean the same label.

    The realised figure lies within the bounds with `confidence`, as long as `assumes` holds; `spread` says what made them so
    wide, `reference_days` how long the reference was that taught it. Without a number everything is None, and `reason` why.
    """

    method: str
    metric: str
    value: float | None
    lower: float | None
    upper: float | None
    confidence: float
    spread: SpreadSource | None
    baseline: float | None
    rows: int
    reference_rows: int
    reference_days: float
    verdict: ExpectedVerdict
    reason: str
    assumes: str


class ConceptVerdict(StrEnum):
    """Whether the same features still mean the same label."""

    HELD = "held"
    CHANGED = "changed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptFigure:
    """Realised minus expected quality of the labelled rows of a window.

    It changed when `gap` is beyond `allowed` to either side (what the expectation missed on the reference, at `confidence`),
    and the bounds of the gap, from the window's own blocks, leave out zero. `worse` says to which side.
    """

    metric: str
    expected: float | None
    realised: float | None
    gap: float | None
    lower: float | None
    upper: float | None
    allowed: float | None
    confidence: float
    rows: int
    worse: bool
    verdict: ConceptVerdict
    reason: str

    @property
    def changed_for_the_worse(self) -> bool:
        """Whether it changed so that the answers fit less than they did."""
        return self.verdict is ConceptVerdict.CHANGED and self.worse


class SliceVerdict(StrEnum):
    """What the labels say of a slice; too few rows, or nothing to hold it against, leave it undecided."""

    HELD = "held"
    DROPPED = "dropped"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceFigure:
    """The watched metric of the rows that a predicate is true of. `share` is that of the labelled rows."""

    name: str
    where: str
    metric: str
    rows: int
    share: float
    value: float | None
    lower: float | None
    upper: float | None
    baseline: float | None
    verdict: SliceVerdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstSlice:
    """The slice that a search found, on every other block, and that the blocks between confirmed.

    `value` and its bounds are of the confirming half alone, so that the search does not flatter them; `rest` is the figure of
    all other rows there. `against` says whether quality or its shortfall against the expected one was searched. `tried`
    counts the slices looked at; `p_value` is adjusted for those that were confirmed.
    """

    where: str
    features: tuple[str, ...]
    metric: str
    rows: int
    share: float
    value: float
    lower: float
    upper: float
    rest: float
    against: str
    p_value: float
    tried: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicesFound:
    """Everything that a window says of slices. `searched` says what came of the search for the worst one."""

    named: tuple[SliceFigure, ...] = ()
    worst: WorstSlice | None = None
    searched: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupShare:
    """A rate of one group: of `rows` rows it is about, `hits` have it. Undecided where they are fewer than asked for."""

    group: str
    rows: int
    hits: int
    value: float | None
    lower: float | None
    upper: float | None
    undecided: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFigures:
    """A rate by group, and the largest gap between two of them: as a difference, and as a ratio of the lower to the higher."""

    column: str
    rate: str
    groups: tuple[GroupShare, ...]
    higher: str
    lower: str
    difference: float | None
    difference_bounds: tuple[float, float] | None
    ratio: float | None
    ratio_bounds: tuple[float, float] | None
    tolerance: float
    verdict: Fairness
    reason: str
