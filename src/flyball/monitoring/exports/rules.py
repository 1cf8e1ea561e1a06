"""The alert rules that an installation is watched by, and what to do when one fires: one table for Prometheus and the runbook."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How soon a person has to look."""

    CRITICAL = "critical"
    """Now: answers are wrong, or nobody knows whether they are."""
    WARNING = "warning"
    """In working hours."""


class Scope(StrEnum):
    """What a rule is about, which decides by what its series can be chosen."""

    MONITOR = "monitor"
    INSTALLATION = "installation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An alert rule.

    `expr` is PromQL in which `%s` stands for the choice of monitors; `pending` is how long it must hold. `summary` may use the
    series' labels as Prometheus' templates do; `meaning` and `steps` are the runbook.
    """

    name: str
    scope: Scope
    severity: Severity
    expr: str
    pending: str
    summary: str
    meaning: str
    steps: tuple[str, ...]


MONITOR = "monitor {{ $labels.monitor }} (model {{ $labels.model }}, endpoint {{ $labels.endpoint }})"
# The kinds of alerts that have a rule of their own; whatever else monitors find falls under the last one.
NAMED_KINDS = ("data_fault", "quality_drop", "covariate_drift", "concept", "bias", "lasting_change")

MONITOR_RULES = (
    Rule(
        name="FlyballDataFault",
        scope=Scope.MONITOR,
        severity=Severity.CRITICAL,
        expr='flyball_monitor_alerts{kind="data_fault",state="firing"%s} > 0',
        pending="0m",
        summary=f"The data that reaches {MONITOR} is wrong",
        meaning="A feature is missing, of another type, stands still, or is outside of everything the model learned from. Its answers "
        "are made of that.",
        steps=(
            "flyball alert list names the feature and the kind of fault.",
            "Ask whoever delivers it: a sensor, a unit, a join that found nothing. The model is not at fault.",
            "flyball alert acknowledge ID while somebody looks, flyball alert resolve ID when the source is mended.",
        ),
    ),
    Rule(
        name="FlyballQualityDrop",
        scope=Scope.MONITOR,
        severity=Severity.CRITICAL,
        expr='flyball_monitor_alerts{kind="quality_drop",state="firing"%s} > 0',
        pending="0m",
        summary=f"The answers of {MONITOR} are surely worse than before its release",
        meaning="Even the upper bound of the quality that the labels show lies below the baseline less the tolerance.",
        steps=(
            "flyball alert list ranks the likely causes: data faults and drift of the same window, or a change of the world.",
            "flyball monitor windows NAME shows when it began.",
            "If the version before was better: flyball endpoint rollback. If not: train again on what is true now.",
        ),
    ),
    Rule(
        name="FlyballDrift",
        scope=Scope.MONITOR,
        severity=Severity.WARNING,
        expr='flyball_monitor_alerts{kind="covariate_drift",state="firing"%s} > 0',
        pending="0m",
        summary=f"The inputs of {MONITOR} are not those it learned from",
        meaning="A feature has moved beyond its threshold and the test says that this is no chance. The answers may still be right.",
        steps=(
            "flyball alert list names the features, the strongest first.",
            "Look at the labels as soon as they are there; drift without a loss of quality needs nobody at night.",
            "If the change is here to stay, train on it; if the feature means nothing, name it under drift.ignore.",
        ),
    ),
    Rule(
        name="FlyballConceptChange",
        scope=Scope.MONITOR,
        severity=Severity.WARNING,
        expr='flyball_monitor_alerts{kind="concept",state="firing"%s} > 0',
        pending="0m",
        summary=f"The same inputs of {MONITOR} mean something else than they did",
        meaning="Realised quality has left what was to be expected of these inputs, to one side or the other. What is estimated without "
        "labels no longer holds.",
        steps=(
            "flyball alert list says by how much, and to which side.",
            "Trust labels only until a version that has learned from the new ones is in charge.",
        ),
    ),
    Rule(
        name="FlyballBias",
        scope=Scope.MONITOR,
        severity=Severity.WARNING,
        expr='flyball_monitor_alerts{kind="bias",state="firing"%s} > 0',
        pending="0m",
        summary=f"{MONITOR} surely treats groups more differently than tolerated",
        meaning="The bounds of a rate in two groups lie further apart than the tolerance.",
        steps=(
            "flyball alert list names the groups and the rate.",
            "Ask whoever answers for the model whether it may go on answering; flyball endpoint rollback puts the version before back.",
        ),
    ),
    Rule(
        name="FlyballLastingChange",
        scope=Scope.MONITOR,
        severity=Severity.WARNING,
        expr='flyball_monitor_alerts{kind="lasting_change",state="firing"%s} > 0',
        pending="0m",
        summary=f"Something that {MONITOR} watches is on another level than it was",
        meaning="A detector that adds up window after window found a change that no single window shows: more errors, another score, or a "
        "feature on another level.",
        steps=(
            "flyball alert list says what changed and since when, and how seldom the detector is wrong.",
            "flyball monitor windows NAME shows whether quality fell with it.",
        ),
    ),
    Rule(
        name="FlyballAlert",
        scope=Scope.MONITOR,
        severity=Severity.WARNING,
        expr=f'flyball_monitor_alerts{{kind!~"{"|".join(NAMED_KINDS)}",state="firing"%s}} > 0',
        pending="0m",
        summary=f"{{{{ $labels.kind }}}} at {MONITOR}",
        meaning="The monitor found something that has no rule of its own.",
        steps=("flyball alert list says what.",),
    ),
    Rule(
        name="FlyballQualityUnknown",
        scope=Scope.MONITOR,
        severity=Severity.WARNING,
        expr='flyball_monitor_quality_verdict{verdict="unknown"%s} == 1',
        pending="15m",
        summary=f"Nobody knows whether the answers of {MONITOR} are right",
        meaning="The newest window had its time for labels, and has too few of them, or the version has no baseline.",
        steps=(
            "flyball monitor windows NAME shows rows and labels; look whether the labels are still delivered.",
            "A version without a baseline: register the next one with it.",
        ),
    ),
    Rule(
        name="FlyballMonitorBehind",
        scope=Scope.MONITOR,
        severity=Severity.CRITICAL,
        expr="flyball_monitor_waiting_batches{%s} > 0 and flyball_monitor_watermark_timestamp_seconds "
        "- flyball_monitor_closed_window_end_timestamp_seconds > 2 * flyball_monitor_window_length_seconds",
        pending="30m",
        summary=f"Nobody looks at what reaches {MONITOR}",
        meaning="Traffic is far past the last window that was reported, and batches wait: no worker looks for this monitor.",
        steps=(
            "flyball doctor, and the log of the worker.",
            "The lease monitor/NAME is held by the worker that looks; a worker that hangs loses it by itself.",
        ),
    ),
    Rule(
        name="FlyballReportUnreadable",
        scope=Scope.MONITOR,
        severity=Severity.CRITICAL,
        expr="flyball_monitor_unreadable{%s} == 1",
        pending="0m",
        summary=f"The newest report of {MONITOR} cannot be read",
        meaning="Its row in the database was changed or damaged, or was written by a newer release; what it found is not told.",
        steps=(
            "flyball audit verify says whether the record is whole.",
            "Put the release back that wrote it, or restore the backup.",
        ),
    ),
    Rule(
        name="FlyballNoTraffic",
        scope=Scope.MONITOR,
        severity=Severity.WARNING,
        expr="time() - flyball_monitor_watermark_timestamp_seconds{%s} > 3 * flyball_monitor_window_length_seconds",
        pending="15m",
        summary=f"No prediction has come to {MONITOR} for three windows",
        meaning="Where traffic stops, the last window stays open and nothing is judged.",
        steps=(
            "Ask whoever calls the endpoint.",
            "flyball endpoint list shows whether it is ready.",
        ),
    ),
)

INSTALLATION_RULES = (
    Rule(
        name="FlyballDown",
        scope=Scope.INSTALLATION,
        severity=Severity.CRITICAL,
        expr='absent(up{job="flyball"} == 1)',
        pending="5m",
        summary="The Flyball server cannot be scraped",
        meaning="It is down, or the token has expired, or its name is not among FLYBALL_ALLOWED_HOSTS. Model servers go on answering.",
        steps=("Prometheus' page of targets says which of the three.", "flyball doctor on its machine."),
    ),
    Rule(
        name="FlyballModelServerDown",
        scope=Scope.INSTALLATION,
        severity=Severity.CRITICAL,
        expr='up{job="flyball-model-servers"} == 0',
        pending="2m",
        summary="The model server of endpoint {{ $labels.endpoint }} cannot be scraped",
        meaning="It has died and was not started again, or it is too busy to answer.",
        steps=("flyball endpoint list shows its state and its last error.",),
    ),
    Rule(
        name="FlyballRequestsFail",
        scope=Scope.INSTALLATION,
        severity=Severity.CRITICAL,
        expr='sum by (job, instance) (rate(flyball_inference_requests_total{code=~"5.."}[5m])) '
        "/ sum by (job, instance) (rate(flyball_inference_requests_total[5m])) > 0.05",
        pending="5m",
        summary="More than one in twenty requests to {{ $labels.instance }} fail",
        meaning="The model raises an error, or answers too late.",
        steps=("The log of the model server names the error.",),
    ),
    Rule(
        name="FlyballEndpointUnwatched",
        scope=Scope.INSTALLATION,
        severity=Severity.WARNING,
        expr="flyball_endpoint_monitors == 0",
        pending="1h",
        summary="Nobody watches endpoint {{ $labels.endpoint }} (model {{ $labels.model }})",
        meaning="A model is in production without a monitor.",
        steps=("flyball monitor set FILE; docs: the smallest monitor has five lines.",),
    ),
    Rule(
        name="FlyballPredictionsLost",
        scope=Scope.INSTALLATION,
        severity=Severity.CRITICAL,
        expr='flyball_endpoint_alerts{kind="capture_loss",state="firing"} > 0',
        pending="0m",
        summary="Answers of endpoint {{ $labels.endpoint }} are missing in the prediction log",
        meaning="They were given and cannot be judged or explained any more.",
        steps=(
            "flyball alert list gives the reason: a full disk, a queue that was full, a server that was away for too long.",
            "flyball alert resolve ID when it is mended.",
        ),
    ),
)
