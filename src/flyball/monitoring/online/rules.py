"""The part of the monitor file about online detectors: what is watched, by which one, and how seldom it may cry wolf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from flyball.kernel.errors import InvalidInput, UnknownKey
from flyball.monitoring.monitor_file import MONITOR_FILE, require

MOST_RULES = 50
FEWEST_LEARNED, MOST_LEARNED = 10, 1_000
LEARNED = 30
SHIFT, RISE, TOLERANCE, CONFIDENCE = 1.0, 0.05, 0.5, 0.002
LEAST_RUN_LENGTH, MOST_RUN_LENGTH = 10, 1_000_000_000
MOST_SHIFT = 10


class Watch(StrEnum):
    """What a detector is fed with."""

    ERROR = "error"
    SCORE = "score"
    FEATURE = "feature"


class Figure(StrEnum):
    """What of a feature is watched."""

    MEAN = "mean"
    MISSING_SHARE = "missing_share"


class Detector(StrEnum):
    """Who watches."""

    CUSUM = "cusum"
    PAGE_HINKLEY = "page_hinkley"
    ADWIN = "adwin"


class Per(StrEnum):
    """Whether each labelled row is a value, or the mean of a window."""

    ROW = "row"
    WINDOW = "window"


class OnlineRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A detector. What is left out has the default of its detector, and what its detector does not know must be left out.

    `watch: error` needs labels: each row of a mature window, in order of event time, or with `per: window` its mean. The mean of the
    `score`, and the `figure` of a `feature`, are one value a window. Windows are held against those before them, the first `learn` of
    which are only learned from.

    `cusum` needs a `run_length`: the values (rows or windows) until a false alarm, on average. It looks for a `shift` in
    standard deviations of the windows, or for a `rise` of the share of wrong rows. `page_hinkley` needs a `limit`, in standard
    deviations, and takes no notice of a change within `tolerance`. `adwin` cuts a steady series with a chance of at most
    `delta`, each time it looks.
    """

    watch: Watch
    detector: Detector
    feature: str = ""
    figure: Figure | None = None
    per: Per | None = None
    learn: int | None = None
    run_length: float | None = None
    shift: float | None = None
    rise: float | None = None
    limit: float | None = None
    tolerance: float | None = None
    delta: float | None = None

    @property
    def of_rows(self) -> bool:
        """Whether each row is a value."""
        return self.watch is Watch.ERROR and self.per is not Per.WINDOW

    @property
    def of_labels(self) -> bool:
        """Whether it takes labels."""
        return self.watch is Watch.ERROR

    @property
    def unit(self) -> str:
        """What a value is, for people."""
        return "rows" if self.of_rows else "windows"

    @property
    def about(self) -> str:
        """What is watched, for people."""
        if self.watch is Watch.FEATURE:
            return f"{self.feature} {(self.figure or Figure.MEAN).replace('_', ' ')}"
        return "error" if self.of_labels else "mean score"

    @property
    def key(self) -> str:
        """Return the rule as text, its defaults left out: figures of one key belong together."""
        said = msgspec.to_builtins(self)
        return " ".join(f"{name}={value}" for name, value in said.items() if value not in (None, ""))


# Which of the optional keys a detector knows, beside `learn`; of windows, then of rows.
_KEYS: Mapping[tuple[Detector, bool], frozenset[str]] = {
    (Detector.CUSUM, False): frozenset({"run_length", "shift"}),
    (Detector.CUSUM, True): frozenset({"run_length", "rise"}),
    (Detector.PAGE_HINKLEY, False): frozenset({"limit", "tolerance"}),
    (Detector.PAGE_HINKLEY, True): frozenset({"limit", "tolerance"}),
    (Detector.ADWIN, False): frozenset({"delta"}),
    (Detector.ADWIN, True): frozenset({"delta"}),
}
_OPTIONAL = ("run_length", "shift", "rise", "limit", "tolerance", "delta")
_NEEDED = {
    Detector.CUSUM: ("run_length", "how many values pass until a false alarm, on average, such as 1000"),
    Detector.PAGE_HINKLEY: ("limit", "the sum at which it fires, in standard deviations, such as 10"),
}


def check_online_rules(rules: Sequence[OnlineRule], *, of_classes: bool) -> None:
    """Check what the types do not say; `of_classes` tells whether answers are right or wrong.

    Raises:
        InvalidInput: a value out of its range, or a key that means nothing here; `field` names it.
    """
    require(len(rules) <= MOST_RULES, "online", f"must not hold more than {MOST_RULES} detectors")
    for place, rule in enumerate(rules):
        where = f"online[{place}]"
        _check_watched(rule, where)
        _check_keys(rule, where)
        _check_ranges(rule, where)
        require(
            of_classes or not rule.of_rows or rule.detector is Detector.PAGE_HINKLEY,
            f"{where}.per",
            f"must be 'window': {rule.detector} of single rows knows right and wrong answers, and 'quality.metric' is of numbers",
        )
        require(rule not in rules[:place], where, "stands there twice")


def check_online_against(rules: Sequence[OnlineRule], features: Sequence[str], *, endpoint: str) -> None:
    """Check that every feature that is watched is served.

    Raises:
        UnknownKey: one is not, with near misses.
    """
    for place, rule in enumerate(rules):
        if rule.watch is Watch.FEATURE and rule.feature not in features:
            where = f"the features of endpoint '{endpoint}' ('online[{place}].feature')"
            raise UnknownKey.among(rule.feature, list(features), where=where)


def _check_watched(rule: OnlineRule, where: str) -> None:
    of_feature = rule.watch is Watch.FEATURE
    require(bool(rule.feature) or not of_feature, f"{where}.feature", "must name the feature that is watched")
    for key in ("feature", "figure"):
        given = bool(getattr(rule, key))
        require(of_feature or not given, f"{where}.{key}", f"means nothing to 'watch: {rule.watch}': leave it out")
    require(
        rule.of_labels or rule.per is not Per.ROW,
        f"{where}.per",
        f"must be 'window': 'watch: {rule.watch}' is one value a window",
    )


def _check_keys(rule: OnlineRule, where: str) -> None:
    known = _KEYS[rule.detector, rule.of_rows]
    for key in _OPTIONAL:
        if getattr(rule, key) is not None and key not in known:
            of = f"{rule.detector} of {rule.unit}"
            raise InvalidInput(
                f"{MONITOR_FILE}: '{where}.{key}' means nothing to {of}: leave it out; it knows {', '.join(sorted(known))}",
                field=f"{where}.{key}",
            )
    needed, what = _NEEDED.get(rule.detector, ("", ""))
    require(not needed or getattr(rule, needed) is not None, f"{where}.{needed}", f"is missing: {what}")
    require(rule.learn is None or not rule.of_rows, f"{where}.learn", "means nothing to rows: leave it out")


def _check_ranges(rule: OnlineRule, where: str) -> None:
    require(
        rule.learn is None or FEWEST_LEARNED <= rule.learn <= MOST_LEARNED,
        f"{where}.learn",
        "must lie between 10 and 1000",
    )
    require(
        rule.run_length is None or LEAST_RUN_LENGTH <= rule.run_length <= MOST_RUN_LENGTH,
        f"{where}.run_length",
        "must lie between 10 and 1000000000",
    )
    require(rule.shift is None or 0 < rule.shift <= MOST_SHIFT, f"{where}.shift", "must be above 0 and at most 10")
    require(rule.rise is None or 0 < rule.rise < 1, f"{where}.rise", "must lie between 0 and 1")
    require(rule.limit is None or rule.limit > 0, f"{where}.limit", "must be above 0")
    require(rule.tolerance is None or rule.tolerance >= 0, f"{where}.tolerance", "must not be negative")
    require(rule.delta is None or 0 < rule.delta < 1, f"{where}.delta", "must lie between 0 and 1")
