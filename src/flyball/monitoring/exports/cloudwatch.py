"""Figures and alarms in Amazon CloudWatch, put with boto3; who may do so is decided by AWS' own chain of credentials."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flyball.kernel.errors import InvalidInput, MissingExtra, Unavailable
from flyball.kernel.telemetry import Family
from flyball.monitoring.entities import AlertKind
from flyball.monitoring.exports.families import KINDS_OF_ENDPOINTS, PREFIX
from flyball.monitoring.exports.figures import Standing

# At most a thousand are taken at once.
PUT_AT_ONCE = 500
# A figure of every minute is not worth more: the next one is newer.
PATIENCE: Mapping[str, Any] = {"connect_timeout": 5, "read_timeout": 10, "retries": {"total_max_attempts": 3}}
MOMENT, AGE = "_timestamp_seconds", "_age_seconds"
UNITS = {"s": "Seconds", "": "None", "1": "None"}
# An alarm looks at stretches of five minutes: four sendings may fail before it sees a hole.
PERIOD_S = 300
SILENT_PERIODS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A monitor that alarms are put for."""

    monitor: str
    endpoint: str


class CloudWatch:
    """A namespace of CloudWatch. For one thread at a time.

    Args:
        namespace: under which everything is put.
        now_s: the clock, in seconds since 1970.

    Raises:
        MissingExtra: boto3 is not installed.
        InvalidInput: AWS' chain names no region, or the namespace is none.
    """

    def __init__(self, namespace: str, *, now_s: Callable[[], float] = time.time) -> None:
        if not namespace or not namespace.isascii() or namespace.startswith("AWS/") or ":" in namespace:
            raise InvalidInput(
                f"'{namespace}' is no namespace for own metrics; use ASCII, no ':', and not 'AWS/...'",
                field="namespace",
            )
        try:
            from boto3.session import Session
            from botocore.config import Config
            from botocore.exceptions import NoRegionError
        except ModuleNotFoundError as error:
            raise MissingExtra.named("boto3", "cloudwatch") from error
        self._namespace = namespace
        self._now_s = now_s
        try:
            self._client = Session().client("cloudwatch", config=Config(**PATIENCE))
        except NoRegionError as error:
            raise InvalidInput(
                "AWS is told no region; set AWS_REGION, or a region in ~/.aws/config", field="region"
            ) from error

    def send(self, families: Sequence[Family]) -> None:
        """Put what there is now.

        Raises:
            Unavailable: AWS did not take it.
        """
        data = metric_data(families, now_s=self._now_s())
        with _refusals():
            for start in range(0, len(data), PUT_AT_ONCE):
                self._client.put_metric_data(Namespace=self._namespace, MetricData=data[start : start + PUT_AT_ONCE])

    def put_alarms(self, watched: Sequence[Watched], *, topics: Sequence[str], runbook: str) -> list[str]:
        """Put the alarms of monitors, replacing those of their names; return these.

        Args:
            watched: whom they are about.
            topics: what AWS does when they fire and when they end, by ARN.
            runbook: where a person reads what to do.

        Raises:
            Unavailable: AWS did not take them.
        """
        alarms = [alarm for one in watched for alarm in self._alarms(one, topics=topics, runbook=runbook)]
        with _refusals():
            for alarm in alarms:
                self._client.put_metric_alarm(**alarm)
        return [str(alarm["AlarmName"]) for alarm in alarms]

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def _alarms(self, one: Watched, *, topics: Sequence[str], runbook: str) -> Iterator[dict[str, Any]]:
        about = {"monitor": one.monitor, "endpoint": one.endpoint}
        told = {
            "AlarmActions": list(topics),
            "OKActions": list(topics),
            "Namespace": self._namespace,
            "Period": PERIOD_S,
        }
        for kind in AlertKind:
            if kind in KINDS_OF_ENDPOINTS:
                continue
            yield told | {
                "AlarmName": f"{self._namespace}-{one.monitor}-{kind.value}",
                "AlarmDescription": f"Monitor {one.monitor} has an alert of kind {kind.value} that nobody looks after. {runbook}",
                "MetricName": f"{PREFIX}_alerts",
                "Dimensions": _dimensions({**about, "kind": kind.value, "state": Standing.FIRING.value}),
                "Statistic": "Maximum",
                "ComparisonOperator": "GreaterThanThreshold",
                "Threshold": 0.0,
                "EvaluationPeriods": 1,
                "TreatMissingData": "missing",
            }
        yield told | {
            "AlarmName": f"{self._namespace}-{one.monitor}-silent",
            "AlarmDescription": f"Nothing has been heard of monitor {one.monitor}: no worker sends its figures. {runbook}",
            "MetricName": f"{PREFIX}_window_length_seconds",
            "Dimensions": _dimensions(about),
            "Statistic": "SampleCount",
            "ComparisonOperator": "LessThanThreshold",
            "Threshold": 1.0,
            "EvaluationPeriods": SILENT_PERIODS,
            "TreatMissingData": "breaching",
        }


def metric_data(families: Sequence[Family], *, now_s: float) -> list[dict[str, Any]]:
    """Return the samples as CloudWatch takes them: moments as ages, the model left out, because its endpoint says it.

    Alerts are told while they fire and are heard, and facts that never change not at all: each series is billed.
    What is no number (CloudWatch has none for it) is left out.
    """
    return [
        {
            "MetricName": family.name.removesuffix(MOMENT) + AGE if family.is_moment else family.name,
            "Dimensions": _dimensions(sample.labels),
            "Timestamp": now_s,
            "Value": now_s - sample.value if family.is_moment else float(sample.value),
            "Unit": UNITS.get(family.unit, "Count"),
        }
        for family in families
        if not family.name.endswith("_info")
        for sample in family.samples
        if sample.labels.get("state", Standing.FIRING) == Standing.FIRING and math.isfinite(sample.value)
    ]


def _dimensions(labels: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in labels.items() if name != "model"]


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Say in one sentence what AWS answered."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise Unavailable(f"CloudWatch did not take it: {error}") from error
