"""Families as OpenTelemetry metrics, sent by OTLP over HTTP.

The values are made here and not by instruments of the library, because they are counted or stored already: whoever reads both
forms finds the same names and the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flyball.kernel.errors import MissingExtra, Unavailable
from flyball.kernel.telemetry.families import Distribution, Family, FamilyKind, Sample

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import (
        HistogramDataPoint,
        Metric,
        MetricsData,
        NumberDataPoint,
    )

METRICS_PATH = "/v1/metrics"
SCOPE = "flyball"
# A receiver that takes longer is away, as far as a figure of every minute is concerned.
TIMEOUT_S = 5


class OtlpMetrics:
    """Sends families to a receiver of OTLP over HTTP (`http://127.0.0.1:4318`). For one thread at a time.

    Args:
        endpoint: the receiver; its path for metrics is added.
        resource: what the figures are of: `service.name` and more.
        since_ns: when counting began, in nanoseconds since 1970; 0 where counters live longer than the process.

    Raises:
        MissingExtra: the library is not installed.
    """

    def __init__(self, endpoint: str, *, resource: Mapping[str, str], since_ns: int = 0) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        except ModuleNotFoundError as error:
            raise MissingExtra.named("opentelemetry-exporter-otlp-proto-http", "otel") from error
        self._endpoint = endpoint
        self._resource = dict(resource)
        self._since_ns = since_ns
        self._exporter = OTLPMetricExporter(endpoint=endpoint.rstrip("/") + METRICS_PATH, timeout=TIMEOUT_S)

    def send(self, families: Sequence[Family]) -> None:
        """Send what there is now; a family without a sample is left out, as OTLP has no word for it.

        Raises:
            Unavailable: the receiver did not take it.
        """
        from opentelemetry.sdk.metrics.export import MetricExportResult

        data = self._data([family for family in families if family.samples or family.distributions])
        if self._exporter.export(data) is not MetricExportResult.SUCCESS:
            raise Unavailable(f"the OpenTelemetry receiver at {self._endpoint} took no metrics")

    def close(self) -> None:
        """End the connection."""
        self._exporter.shutdown()

    def _data(self, families: Sequence[Family]) -> MetricsData:
        from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        now_ns = time.time_ns()
        metrics = [self._metric(family, now_ns) for family in families]
        scope = ScopeMetrics(scope=InstrumentationScope(SCOPE), metrics=metrics, schema_url="")
        resource = Resource.create(self._resource)
        return MetricsData(resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[scope], schema_url="")])

    def _metric(self, family: Family, now_ns: int) -> Metric:
        from opentelemetry.sdk.metrics.export import AggregationTemporality, Gauge, Histogram, Metric, Sum

        points = [self._point(sample, now_ns) for sample in family.samples]
        data: Gauge | Histogram | Sum
        match family.kind:
            case FamilyKind.GAUGE:
                data = Gauge(data_points=points)
            case FamilyKind.COUNTER:
                data = Sum(
                    data_points=points, aggregation_temporality=AggregationTemporality.CUMULATIVE, is_monotonic=True
                )
            case FamilyKind.HISTOGRAM:
                spread = [self._spread(distribution, now_ns) for distribution in family.distributions]
                data = Histogram(data_points=spread, aggregation_temporality=AggregationTemporality.CUMULATIVE)
        return Metric(name=family.name, description=family.what, unit=family.unit, data=data)

    def _point(self, sample: Sample, now_ns: int) -> NumberDataPoint:
        from opentelemetry.sdk.metrics.export import NumberDataPoint

        return NumberDataPoint(
            attributes=dict(sample.labels),
            start_time_unix_nano=self._since_ns,
            time_unix_nano=now_ns,
            value=sample.value,
        )

    def _spread(self, found: Distribution, now_ns: int) -> HistogramDataPoint:
        from opentelemetry.sdk.metrics.export import HistogramDataPoint

        return HistogramDataPoint(
            attributes=dict(found.labels),
            start_time_unix_nano=self._since_ns,
            time_unix_nano=now_ns,
            count=sum(found.counts),
            sum=found.total,
            bucket_counts=list(found.counts),
            explicit_bounds=list(found.bounds),
            # Nobody counts the smallest and the greatest value; the message then has none.
            min=None,  # type: ignore[arg-type]
            max=None,  # type: ignore[arg-type]
        )
