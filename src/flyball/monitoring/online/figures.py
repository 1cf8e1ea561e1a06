"""What a report says of online detectors: the values taken, the changes found, and the memory they go on from. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from flyball.measures.online import AdaptiveWindow, Cusum, PageHinkley
from flyball.measures.self_starting import SelfStarting
from flyball.measures.wrong_answers import WrongAnswers
from flyball.monitoring.online.rules import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """All that a detector knows after a window, so that the next window goes on from it. What its kind does not use is None.

    `rising` and `falling` are two detectors of Page and Hinkley, one for each side. `taken` counts the values since the last change.
    """

    taken: int = 0
    series: SelfStarting | None = None
    cusum: Cusum | None = None
    answers: WrongAnswers | None = None
    rising: PageHinkley | None = None
    falling: PageHinkley | None = None
    adwin: AdaptiveWindow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastingChange:
    """A change of level. It was found at `found_ms` (the row's time, or the window's start) and began at `since_ms`, as estimated.

    `alarms` is false for what is no reason for an alert: fewer errors.
    """

    found_ms: int
    since_ms: int
    rose: bool
    alarms: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineFigure:
    """One detector in one window.

    `key` is its rule, `about` what it watches. `value` is the window's mean or share, `score` that in units of what the windows before
    let expect. `statistic` has come so near to its `limit`; both are None for a detector that has no such number. `run_length` is how
    many values pass until a false alarm on average, None where that is not known; `stated` says so in words, and on which
    assumptions. `took` counts the values of this window, and `reason` says why it took none, or does not judge yet. `memory` is None
    where no window was taken so far.
    """

    key: str
    watch: Watch
    about: str
    detector: str
    per: str
    stated: str
    feature: str = ""
    run_length: float | None = None
    took: int = 0
    value: float | None = None
    score: float | None = None
    statistic: float | None = None
    limit: float | None = None
    change: LastingChange | None = None
    reason: str = ""
    memory: Memory | None = None

    @property
    def alarms(self) -> bool:
        """Whether it found a reason for an alert."""
        return self.change is not None and self.change.alarms
