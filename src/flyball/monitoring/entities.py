"""Predictions, labels, windows, reports and alerts, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from flyball.kernel.canonical import Digest
from flyball.kernel.events import EventKind, Ref, ref
from flyball.measures.metrics import Better
from flyball.monitoring.attribution import Attribution, Basis
from flyball.monitoring.calibration.discoveries import DiscoveryFigure
from flyball.monitoring.calibration.entities import AlarmStatement
from flyball.monitoring.figures import ConceptFigure, EstimatedQuality, GroupFigures, SlicesFound
from flyball.monitoring.multivariate.entities import JointDrift
from flyball.monitoring.online.figures import OnlineFigure

LabelValue: TypeAlias = float | int | str | bool
"""What a label may be; it must be comparable with the prediction it is about."""


class MonitoringEvent(EventKind):
    """What happens in this room; documented in `docs/reference/events.md`."""

    MONITOR_SET = "monitor.set"
    MONITOR_CALIBRATED = "monitor.calibrated"
    WINDOW_CLOSED = "window.closed"
    WINDOW_MATURED = "window.matured"
    ALERT_FIRED = "alert.fired"
    ALERT_ACKNOWLEDGED = "alert.acknowledged"
    ALERT_RESOLVED = "alert.resolved"
    LABELS_ADDED = "labels.added"
    PREDICTIONS_LOST = "predictions.lost"
    PREDICTIONS_MERGED = "predictions.merged"
    SILENCE_SET = "silence.set"
    SILENCE_ENDED = "silence.ended"
    ALERT_SINKS_SET = "alert-sinks.set"
    ALERT_TOLD = "alert.told"
    ALERT_TELLING_GIVEN_UP = "alert.telling_given_up"
    ALERT_DELIVERIES_REMOVED = "alert-deliveries.removed"
    PREDICTIONS_EXPIRED = "predictions.expired"


class AnswerKind(StrEnum):
    """The type of a prediction, which its label must share."""

    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"


class Role(StrEnum):
    """As what a version answered. A shadow's answer never reached the caller; a pinned one was asked for by its number."""

    CHAMPION = "champion"
    CANARY = "canary"
    SHADOW = "shadow"
    PINNED = "pinned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A batch of predictions of one endpoint, in Parquet. `arrival` is its place among all that arrived at the endpoint.

    `digest` is the file that holds its rows. After it was merged with others that is theirs together, and `arrived_as` its own.
    """

    endpoint: str
    arrival: int
    digest: Digest
    row_count: int
    min_ms: int
    max_ms: int
    created_ms: int
    arrived_as: Digest | None = None

    @property
    def identity(self) -> Digest:
        """The digest of the batch as it arrived, by which evidence names it wherever its rows lie."""
        return self.arrived_as or self.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionKey:
    """An entry of the id index. `answer` is empty for what the caller got, and names the version for a shadow's answer."""

    prediction_id: str
    answer: str
    time_ms: int
    kind: AnswerKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """How far an endpoint's traffic has come: the greatest event time seen, and how many batches arrived."""

    endpoint: str
    watermark_ms: int
    arrivals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What became of a batch of predictions. Duplicates were known already; the first of an id stays."""

    rows: int
    duplicates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The truth about one prediction. `time_ms` is when it became known."""

    prediction_id: str
    value: LabelValue
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLabel:
    """A label as kept: with its revision (from 1), the event time of its prediction, and the batch it arrived with."""

    prediction_id: str
    revision: int
    value: LabelValue
    time_ms: int
    event_ms: int
    arrival: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelReceipt:
    """How many labels of a batch were new, the same again, or changed an earlier one.

    `not_captured` counts those whose prediction the endpoint did not keep, because it keeps a share only.
    """

    added: int
    unchanged: int
    revised: int
    not_captured: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Labelled rows of one version, and how many of them were right."""

    rows: int
    hits: int


class WindowState(StrEnum):
    """Open while rows may come, closed when the watermark passed its end, mature when its labels had their time."""

    OPEN = "open"
    CLOSED = "closed"
    MATURE = "mature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A tumbling stretch of event time, start included, end not. `revision` counts its reports, 0 when there is none."""

    monitor: str
    start_ms: int
    end_ms: int
    state: WindowState
    rows: int
    labelled: int
    revision: int = 0

    @property
    def ref(self) -> Ref:
        """Name this window in events and lineage."""
        return ref("window", f"{self.monitor}/{self.start_ms}")


class FaultKind(StrEnum):
    """How data can be wrong, whatever the model makes of it."""

    MISSING = "missing"
    TYPE = "type"
    CONSTANT = "constant"
    OUT_OF_RANGE = "out_of_range"
    UNIT = "unit"
    NEW_CATEGORY = "new_category"
    VANISHED_CATEGORY = "vanished_category"
    NOT_UNIQUE = "not_unique"
    REPEATED_ROWS = "repeated_rows"
    STALE = "stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFault:
    """A feature whose data is wrong. `share` (0..1) of the window's rows is affected."""

    feature: str
    kind: FaultKind
    share: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureDrift:
    """How far a feature moved from the reference.

    `measure` names the effect, `effect` is its size and `threshold` what it is held against; `value` is the statistic of
    the test, `p_value` its probability after adjustment over all features, None where there is nothing to test.
    """

    feature: str
    measure: str
    effect: float
    threshold: float
    value: float | None
    p_value: float | None
    drifted: bool
    newly_varying: bool = False

    @property
    def strength(self) -> float:
        """The effect in units of its threshold."""
        return self.effect / self.threshold


class DataVerdict(StrEnum):
    """What the faults say of a window's data."""

    CLEAN = "clean"
    CORRUPTED = "corrupted"
    UNKNOWN = "unknown"


class QualityVerdict(StrEnum):
    """What the labels say. Unknown is never a pass."""

    HELD = "held"
    DROPPED = "dropped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Realised quality of the champion in a window.

    `value` is None where no row has a label or the metric is not defined; the bounds hold one-sided each, and are None where
    nothing bounds it; `coverage` is the labelled share of the rows; `hits` are counted of accuracy only.
    """

    metric: str
    value: float | None
    lower: float | None
    upper: float | None
    baseline: float | None
    tolerance: float
    rows: int
    hits: int
    blocks: int
    coverage: float
    verdict: QualityVerdict
    reason: str
    better: Better = Better.HIGHER

    @property
    def dropped(self) -> bool:
        """Whether quality is surely worse than the baseline by more than its tolerance."""
        return self.verdict is QualityVerdict.DROPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowReport:
    """What a window showed of the version that was champion in most of its rows.

    `unknown` maps what could not be judged ("data", "drift", "quality", "estimated", "concept") to the reason; `unwatched`
    maps features that no measure watches to the reason; `outputs` says how far the answers moved, measured like features; `joint`
    what features show together, and texts and embeddings; `discoveries` is there where a share of false ones is wanted;
    `evidence` names what the report was made from by digest. `quality` is None until the window is mature.
    """

    monitor: str
    start_ms: int
    end_ms: int
    revision: int
    state: WindowState
    version: int | None
    versions: Mapping[int, int]
    rows: int
    labelled: int
    drift: tuple[FeatureDrift, ...] = ()
    faults: tuple[DataFault, ...] = ()
    outputs: tuple[FeatureDrift, ...] = ()
    quality: Quality | None = None
    estimated: EstimatedQuality | None = None
    concept: ConceptFigure | None = None
    slices: SlicesFound | None = None
    groups: tuple[GroupFigures, ...] = ()
    joint: tuple[JointDrift, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    unwatched: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, str] = field(default_factory=dict)
    alarms: AlarmStatement | None = None
    attribution: Attribution = field(default_factory=Attribution)
    online: tuple[OnlineFigure, ...] = ()
    discoveries: DiscoveryFigure | None = None

    @property
    def ref(self) -> Ref:
        """Name the window in events and lineage."""
        return ref("window", f"{self.monitor}/{self.start_ms}")

    @property
    def data_verdict(self) -> DataVerdict:
        """What the faults say."""
        if self.faults:
            return DataVerdict.CORRUPTED
        return DataVerdict.UNKNOWN if "data" in self.unknown else DataVerdict.CLEAN

    @property
    def data_reason(self) -> str:
        """Why the data verdict is what it is."""
        if self.faults:
            return "; ".join(f"{fault.feature}: {fault.detail}" for fault in self.faults)
        return self.unknown.get("data", "no fault found")

    @property
    def drifted(self) -> tuple[FeatureDrift, ...]:
        """The features that drifted, strongest first, without those whose data is faulty."""
        faulty = {fault.feature for fault in self.faults}
        return tuple(drift for drift in self.drift if drift.drifted and drift.feature not in faulty)

    @property
    def drifted_together(self) -> tuple[JointDrift, ...]:
        """What changed that no single feature shows, strongest first."""
        return tuple(one for one in self.joint if one.drifted)


class AlertKind(StrEnum):
    """What an alert is about."""

    DATA_FAULT = "data_fault"
    QUALITY_DROP = "quality_drop"
    COVARIATE_DRIFT = "covariate_drift"
    CONCEPT = "concept"  # the same features mean another label than they did
    BIAS = "bias"  # groups of people are surely treated more differently than tolerated
    LASTING_CHANGE = "lasting_change"  # a detector that goes on from window to window found another level than before
    CAPTURE_LOSS = "capture_loss"  # predictions were answered and are not in the log; no window shows it


class AlertState(StrEnum):
    """An alert is active until it is resolved."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A likely cause. `kind`: a fault, "drift", "newly_varying", "joint", "concept", "slice", "bias", "lasting_change", "error_rise"."""

    feature: str
    kind: str
    score: float
    detail: str

    @property
    def text(self) -> str:
        """The cause as a person reads it: the feature, if it is about one, and what is the matter."""
        if not self.feature:
            return self.detail
        said = {"drift": "drifted", "newly_varying": "began to vary", "joint": "changed together"}.get(self.kind)
        return f"{self.feature} {said} ({self.detail})" if said else f"{self.feature}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A monitor's call for attention about one window. `causes` are ranked by `ranked_by`, the likeliest first."""

    id: str
    monitor: str
    endpoint: str
    model: str
    version: int | None
    kind: AlertKind
    state: AlertState
    start_ms: int
    end_ms: int
    causes: tuple[Cause, ...]
    report_digest: Digest
    created_ms: int
    updated_ms: int
    note: str = ""
    ranked_by: Basis = Basis.STRENGTH

    @property
    def ref(self) -> Ref:
        """Name this alert in events and lineage."""
        return ref("alert", self.id)
