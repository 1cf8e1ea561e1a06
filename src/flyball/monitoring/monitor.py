"""The monitor file: which endpoint is watched, in which windows, and from where on something is worth an alert."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from flyball.kernel.canonical import JsonValue
from flyball.kernel.documents import invalid_document, read_yaml
from flyball.kernel.durations import parse_duration_ms
from flyball.kernel.errors import InvalidInput
from flyball.monitoring.alerts.rules import AlertRules, rule_against
from flyball.monitoring.bias import GroupRule, check_group_rules
from flyball.monitoring.calibration.rules import AlarmRules, check_alarms, check_no_joint
from flyball.monitoring.estimated import ExpectationRules, check_expectation_rules
from flyball.monitoring.monitor_file import MONITOR_FILE, require
from flyball.monitoring.multivariate.rules import MultivariateRules, check_multivariate
from flyball.monitoring.online.rules import OnlineRule, check_online_rules
from flyball.monitoring.quality_rules import QualityRules, check_quality_rules
from flyball.monitoring.slice_rules import SliceRules, check_slice_rules

DAY_MS = 86_400_000
# A day is the natural block: rows of one day resemble each other. A shorter window is cut into ten.
BLOCKS_OF_SHORT_WINDOW = 10
DAYS_OF_LONG_WINDOW = 5
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Effect(StrEnum):
    """A measure of how far a distribution moved."""

    WASSERSTEIN = "wasserstein"
    STABILITY = "psi"
    JENSEN_SHANNON = "jensen_shannon"


class Correction(StrEnum):
    """How p-values are adjusted for the number of features."""

    HOLM = "holm"
    BENJAMINI_HOCHBERG = "benjamini_hochberg"


# Wasserstein in standard deviations is Cohen's d for a shift, 0.5 is his "medium" (Cohen 1988). Stability above 0.25 is
# a major change (Siddiqi 2006). A Jensen-Shannon distance of 0.1 is where Evidently's default lies.
DEFAULT_THRESHOLDS = {Effect.WASSERSTEIN: 0.5, Effect.STABILITY: 0.25, Effect.JENSEN_SHANNON: 0.1}


class DriftRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a feature counts as drifted: its effect is beyond the threshold, and the test is significant.

    `thresholds` sets single features' thresholds; `ignore` names features whose drift means nothing, such as a date;
    `newly_varying_share` is the share of rows that must leave a value that never varied before.
    """

    numeric_measure: Effect = Effect.WASSERSTEIN
    numeric_threshold: float | None = None
    category_measure: Effect = Effect.JENSEN_SHANNON
    category_threshold: float | None = None
    thresholds: dict[str, float] = {}
    significance: float = 0.01
    correction: Correction = Correction.HOLM
    newly_varying_share: float = 0.05
    ignore: tuple[str, ...] = ()

    def numeric_limit(self, feature: str) -> float:
        """Return the threshold of a numeric feature."""
        return self.thresholds.get(feature, self.numeric_threshold or DEFAULT_THRESHOLDS[self.numeric_measure])

    def category_limit(self, feature: str) -> float:
        """Return the threshold of a feature of categories."""
        return self.thresholds.get(feature, self.category_threshold or DEFAULT_THRESHOLDS[self.category_measure])


class DataRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When data counts as faulty. Shares are in 0..1 of the window's rows.

    `missing_jump`: surely more missing values than in the reference, by this share. `out_of_range_share`: values further
    outside the reference than `out_of_range_reach` times its whole range. `constant_min_distinct`: a feature that stands
    still is stuck only when the reference had at least this many different values; a flag may well stay the same for a
    whole window. `new_category_share`: values of categories that the reference does not know, where it names all of its own;
    `vanished_category_share`: the reference's share of those that do not occur, not judged where it is not given.
    `repeated_jump`: surely more rows (or values of a column that never repeated one) that repeat another, by this share, than the
    reference lets expect. `stale_share`: rows that came when traffic was a whole window beyond theirs.
    """

    missing_jump: float = 0.05
    out_of_range_share: float = 0.05
    out_of_range_reach: float = 1.0
    constant_min_distinct: int = 10
    new_category_share: float = 0.05
    vanished_category_share: float | None = None
    repeated_jump: float = 0.5
    stale_share: float = 0.5


class Monitor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A monitor, as its file says it.

    `window` and `label_maturity` are durations of event time; windows begin at `origin_ms` and every `window` after it.
    `persist_windows`: how many windows in a row must show the same drift or drop before it is worth an alert; a fault in the
    data is one at once.
    """

    monitor: str
    endpoint: str
    model: str
    window: str
    label_maturity: str
    origin_ms: int = 0
    min_label_coverage: float = 0.5
    min_rows: int = 100
    persist_windows: int = 1
    drift: DriftRules = DriftRules()
    quality: QualityRules = QualityRules()
    data: DataRules = DataRules()
    expectation: ExpectationRules = ExpectationRules()
    alarms: AlarmRules = AlarmRules()
    slices: SliceRules = SliceRules()
    groups: tuple[GroupRule, ...] = ()
    online: tuple[OnlineRule, ...] = ()
    alerts: AlertRules = AlertRules()
    multivariate: MultivariateRules | None = None

    @property
    def name(self) -> str:
        """The name of the monitor."""
        return self.monitor

    @property
    def window_ms(self) -> int:
        """Length of a window in milliseconds of event time."""
        return parse_duration_ms(self.window, field="window")

    @property
    def label_maturity_ms(self) -> int:
        """How long after its end a window waits for labels, in milliseconds of event time."""
        return parse_duration_ms(self.label_maturity, field="label_maturity")

    @property
    def block_ms(self) -> int:
        """Length of a block of dependent rows in milliseconds."""
        if self.quality.block:
            return parse_duration_ms(self.quality.block, field="quality.block")
        if self.window_ms >= DAYS_OF_LONG_WINDOW * DAY_MS:
            return DAY_MS
        return max(1, self.window_ms // BLOCKS_OF_SHORT_WINDOW)

    @property
    def feature_chance(self) -> float:
        """The chance of a false alarm of a window's features, each for itself; half of what there is where they are judged together too."""
        chance = self.alarms.chance(self.window_ms)
        return chance if self.multivariate is None else chance / 2

    @property
    def goes_on(self) -> bool:
        """Whether a window is judged by what the windows before it hand on."""
        return bool(self.online) or self.alarms.false_discoveries is not None

    def to_json(self) -> dict[str, JsonValue]:
        """Return the file's content, defaults filled in."""
        content: dict[str, JsonValue] = msgspec.to_builtins(self)
        return content


def parse_monitor(config: Mapping[str, object] | str) -> Monitor:
    """Read and check a monitor from YAML text or from a mapping.

    Raises:
        UnknownKey: a key no monitor has, with near misses.
        InvalidInput: a missing key, a wrong type, or a value out of its range; `field` names it.
        Unsupported: a metric that is not offered.
    """
    content = read_yaml(config, what=MONITOR_FILE) if isinstance(config, str) else dict(config)
    try:
        monitor = msgspec.convert(content, type=Monitor)
    except msgspec.ValidationError as error:
        raise invalid_document(error, Monitor, what=MONITOR_FILE) from error
    _check_frame(monitor)
    _check_drift(monitor.drift)
    _check_data(monitor.data)
    check_quality_rules(monitor.quality)
    check_expectation_rules(monitor.expectation)
    check_slice_rules(monitor.slices)
    check_group_rules(monitor.groups)
    check_online_rules(monitor.online, of_classes=monitor.quality.is_of_classes)
    require(0 < monitor.block_ms <= monitor.window_ms, "quality.block", "must not be longer than the window")
    check_alarms(monitor.alarms, monitor.window_ms)
    if monitor.multivariate is not None:
        check_multivariate(monitor.multivariate)
        check_no_joint(monitor.alarms)
    _check_alerts(monitor.alerts)
    return monitor


def check_name(text: str, *, field: str) -> str:
    """Accept a name of letters, digits, '.', '_' and '-', at most 100, that begins with a letter or digit.

    Raises:
        InvalidInput: anything else.
    """
    if not _NAME.fullmatch(text):
        raise InvalidInput(
            f"{text[:120]!a} is no name: use letters, digits, '.', '_' and '-', beginning with a letter or digit",
            field=field,
        )
    return text


def _check_frame(monitor: Monitor) -> None:
    check_name(monitor.monitor, field="monitor")
    check_name(monitor.endpoint, field="endpoint")
    require(bool(monitor.model), "model", "must name a registered model")
    require(monitor.window_ms > 0, "window", "must be longer than nothing")
    require(monitor.label_maturity_ms >= 0, "label_maturity", "must not be negative")
    require(monitor.origin_ms >= 0, "origin_ms", "must not be negative")
    require(0 < monitor.min_label_coverage <= 1, "min_label_coverage", "must be above 0 and at most 1")
    require(monitor.min_rows >= 1, "min_rows", "must be at least 1")
    require(monitor.persist_windows >= 1, "persist_windows", "must be at least 1")


def _check_drift(rules: DriftRules) -> None:
    require(0 < rules.significance < 1, "drift.significance", "must lie between 0 and 1")
    require(0 < rules.newly_varying_share <= 1, "drift.newly_varying_share", "must be above 0 and at most 1")
    require(
        rules.category_measure is not Effect.WASSERSTEIN,
        "drift.category_measure",
        "must be psi or jensen_shannon: categories have no distance",
    )
    given = {"numeric_threshold": rules.numeric_threshold, "category_threshold": rules.category_threshold}
    for key, value in {**given, **{f"thresholds.{name}": value for name, value in rules.thresholds.items()}}.items():
        require(value is None or value > 0, f"drift.{key}", "must be above 0")


def _check_data(rules: DataRules) -> None:
    require(0 < rules.missing_jump <= 1, "data.missing_jump", "must be above 0 and at most 1")
    require(0 < rules.out_of_range_share <= 1, "data.out_of_range_share", "must be above 0 and at most 1")
    require(rules.out_of_range_reach > 0, "data.out_of_range_reach", "must be above 0")
    require(rules.constant_min_distinct > 1, "data.constant_min_distinct", "must be at least 2")
    for key in ("new_category_share", "vanished_category_share", "repeated_jump", "stale_share"):
        value = getattr(rules, key)
        require(value is None or 0 < value <= 1, f"data.{key}", "must be above 0 and at most 1")


def _check_alerts(rules: AlertRules) -> None:
    broken = rule_against(rules)
    if broken is not None:
        require(False, *broken)
