"""A calibration: what a monitor's own history says of its alarms, as a value with a digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from flyball.kernel.canonical import Digest, digest_json
from flyball.monitoring.codec import to_json
from flyball.monitoring.multivariate.entities import JointCalibration

FALSE_DISCOVERIES = "false discoveries"
SURE = 0.8
"""With this probability a change is found within `Power.wait_windows`."""


class Cycle(StrEnum):
    """What repeats in the history, so that a window is held against its like."""

    DAY = "day"
    WEEK = "week"
    YEAR = "year"


class Method(StrEnum):
    """How null windows were made: whole pieces of history keep every dependence, glued blocks only that within a block."""

    PIECES = "pieces"
    GLUED = "glued blocks"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureBins:
    """How the values of a feature are counted: between `cuts` for numbers, by `names` for categories (the last bin: all others).

    `unit` is what a distance is measured in, the standard deviation of the reference; 1 for categories.
    """

    feature: str
    measure: str
    cuts: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    unit: float = 1.0

    @property
    def count(self) -> int:
        """How many bins there are."""
        return len(self.names) + 1 if self.names else len(self.cuts) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureCalibration:
    """A feature's expectation and threshold.

    `shares` holds, for each phase of the cycles that are kept apart, the share of each bin. An effect is put in units of what
    is usual for the feature, (effect - centre) / scale, so that all features share one threshold; `threshold` is that of the
    effect itself. `skew` is the effect between the version's profile and the whole history.
    """

    bins: FeatureBins
    shares: tuple[tuple[float, ...], ...]
    centre: float
    scale: float
    threshold: float
    skew: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Backcheck:
    """The first half of the history calibrated, the second half judged: how many of its windows alarmed.

    `lower` and `upper` bound the chance of an alarm (95 %); `holds` says whether the stated chance is not below them.
    """

    windows: int
    alarms: int
    lower: float
    upper: float
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """With which probability a planted change is found within some windows; `tried` null windows were changed.

    `change` such as "shift", `size` in its unit, `feature` empty for quality. Within `wait_windows` it is found with a probability
    of 0.8; None where not even within as many windows as were tried. `without` is the share of windows in which the same rule alarms
    without any change, None where that is the chance that the monitor states for drift.
    """

    change: str
    size: float
    unit: str
    feature: str
    within_windows: int
    probability: float
    lower: float
    upper: float
    tried: int
    wait_windows: int | None = None
    without: float | None = None

    @property
    def text(self) -> str:
        """The statement as a person reads it."""
        where = f" of {self.feature}" if self.feature else ""
        what = f"finds a {self.change} of {self.size:g} {self.unit}{where}"
        said = f"{what} within {self.within_windows} windows with probability {self.probability:.2f}"
        if self.wait_windows is not None:
            said += f", within {self.wait_windows} with {SURE:g}"
        return said if self.without is None else f"{said}; without it {self.without:.3f} of the windows alarm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Thresholds for one monitor and version, and what they rest on.

    `reason` is empty, or says why nothing can be said; then there are no features. `chance` is what one window may have, `rate`
    how many false alarms a period will have on average, and `rate_lower`..`rate_upper` (90 %) what this history leaves open.
    `false_discoveries` is the share that is wanted, empty where a rate is: then `chance` is the lowest level that a window is held
    to, and the period of the rate, which is that while nothing changes, is the memory.
    `windows` whole windows fit into the history, `needed` are needed. `null` holds the largest standardised effect of each null
    window, ascending. `unmatched` names cycles that could not be kept apart, with the reason; `unstated` why of something no power is
    stated.
    """

    monitor: str
    version: int
    false_alarms: str
    chance: float
    window_ms: int
    origin_ms: int
    cell_ms: int
    history_start_ms: int
    history_end_ms: int
    windows: int
    needed: int
    reason: str = ""
    method: Method = Method.PIECES
    memory_cells: int = 0
    block_cells: int = 1
    cycles: tuple[Cycle, ...] = ()
    unmatched: Mapping[str, str] = field(default_factory=dict)
    limit: float = 0.0
    null: tuple[float, ...] = ()
    rate: float = 0.0
    rate_lower: float = 0.0
    rate_upper: float = 0.0
    features: tuple[FeatureCalibration, ...] = ()
    uncalibrated: Mapping[str, str] = field(default_factory=dict)
    unstated: Mapping[str, str] = field(default_factory=dict)
    backcheck: Backcheck | None = None
    power: tuple[Power, ...] = ()
    joint: JointCalibration | None = None
    false_discoveries: str = ""

    @property
    def wanted(self) -> str:
        """What of false alarms the monitor's file wanted."""
        return f"{FALSE_DISCOVERIES}: {self.false_discoveries}" if self.false_discoveries else self.false_alarms

    @property
    def known(self) -> bool:
        """Whether the thresholds can be used."""
        return not self.reason

    @property
    def digest(self) -> Digest:
        """The digest of the calibration's canonical form, by which reports name it."""
        return digest_json(to_json(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCalibration:
    """A calibration as it was kept, and when."""

    calibration: Calibration
    digest: Digest
    created_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmStatement:
    """What a report says of its own alarms: the wanted rate, the calibration that it was judged with, and the window's p-value.

    `calibration` is empty and `reason` says why where the rate is unknown. `p_value` is that of the most unusual feature, all
    features accounted for. Where a share of `false_discoveries` is wanted there is no rate; the report's `discoveries` has the level.
    """

    false_alarms: str
    calibration: str = ""
    p_value: float | None = None
    rate: float | None = None
    reason: str = ""
    false_discoveries: str = ""

    @property
    def wanted(self) -> str:
        """What of false alarms the monitor's file wants."""
        return f"{FALSE_DISCOVERIES}: {self.false_discoveries}" if self.false_discoveries else self.false_alarms
