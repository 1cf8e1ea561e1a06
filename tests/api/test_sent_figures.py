"""Figures that are sent and not fetched: to a real receiver of OTLP over HTTP, and to moto in the place of AWS."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from moto.server import ThreadedMotoServer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from tests.api.conftest import served, settings_for
from tests.api.test_traces import WAIT_S, ask, serving
from tests.monitored import furnish
from tests.protocol.serving import TrackingServer
from tests.receiver import BytesReceived, receiving_bytes

from flyball.cli.main import main
from flyball.kernel.errors import InvalidInput, Unavailable
from flyball.kernel.settings import Settings
from flyball.kernel.telemetry import Family, Reporter, Sample
from flyball.monitoring.exports.cloudwatch import CloudWatch, metric_data
from flyball.server.platform import Platform
from flyball.server.worker import Worker

NOW_MS = 1_790_000_000_000
MONITOR = {"monitor": "elec-production", "endpoint": "live", "model": "elec"}
DIMENSIONS = [{"Name": "monitor", "Value": "elec-production"}, {"Name": "endpoint", "Value": "live"}]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    home = tmp_path_factory.mktemp("sent") / "home"
    with served(settings_for(f"sqlite:///{home / 'flyball.db'}", home)) as server:
        furnish(server.platform, now_ms=NOW_MS)
        yield server


@contextlib.contextmanager
def working(platform: Platform, **changed: object) -> Iterator[None]:
    """Run a worker with other settings over the same stores."""
    before = platform.settings
    platform.settings = dataclasses.replace(before, **changed)  # type: ignore[arg-type]
    worker = Worker(platform)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join()
        platform.settings = before


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, f"waited {WAIT_S} s: {what}"
        time.sleep(0.02)


def metrics(receiver: BytesReceived) -> dict[str, Metric]:
    """Return the metrics of the newest message by name, after a look at what it says of its sender."""
    path, body = receiver.received[-1]
    assert path == "/v1/metrics"
    message = ExportMetricsServiceRequest.FromString(body)
    (group,) = message.resource_metrics
    assert {a.key: a.value.string_value for a in group.resource.attributes}["service.name"] == "flyball"
    (scope,) = group.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def points(metric: Metric) -> dict[tuple[tuple[str, str], ...], float]:
    found = metric.sum.data_points if metric.HasField("sum") else metric.gauge.data_points
    return {
        tuple(sorted((a.key, a.value.string_value) for a in point.attributes)): point.as_double or point.as_int
        for point in found
    }


def test_the_worker_sends_what_monitors_found_over_otlp(watched: TrackingServer) -> None:
    with receiving_bytes() as receiver:
        with working(watched.platform, otlp_endpoint=receiver.url, otlp_metrics_s=1):
            until(lambda: receiver.received, "figures come")
        found = metrics(receiver)
    alerts = points(found["flyball_monitor_alerts"])
    labels = {**MONITOR, "kind": "covariate_drift", "state": "firing"}
    assert alerts[tuple(sorted(labels.items()))] == 1
    demand = tuple(sorted({**MONITOR, "feature": "demand", "measure": "wasserstein"}.items()))
    assert points(found["flyball_monitor_drift_effect"])[demand] == pytest.approx(3, abs=0.2)
    captured = found["flyball_predictions_captured"]
    assert (captured.sum.is_monotonic, captured.unit) == (True, "{row}")
    assert max(points(captured).values()) == 960


def test_a_model_server_sends_what_it_counted_at_its_end_at_the_latest() -> None:
    with receiving_bytes() as receiver:
        with serving(Settings(otlp_endpoint=receiver.url, trace_percent=0, otlp_metrics_s=1)) as url:
            assert ask(url) == 200
            until(lambda: receiver.received and _asked(metrics(receiver)), "the request is told")
        found = metrics(receiver)
    (spread,) = [
        point
        for point in found["flyball_inference_request_seconds"].histogram.data_points
        if point.attributes[0].value.string_value.endswith("infer")
    ]
    assert (spread.count, sum(spread.bucket_counts)) == (1, 1)
    assert len(spread.bucket_counts) == len(spread.explicit_bounds) + 1
    assert spread.sum > 0
    assert not spread.HasField("min")
    assert 0 < spread.start_time_unix_nano <= spread.time_unix_nano


def _asked(found: dict[str, Metric]) -> bool:
    return "flyball_inference_request_seconds" in found


def test_a_receiver_that_is_away_is_told_later_and_holds_nobody() -> None:
    class Away:
        """Takes nothing at first."""

        def __init__(self) -> None:
            self.calls = 0
            self.taken: list[str] = []

        def send(self, families: Any) -> None:
            self.calls += 1
            if self.calls <= 2:
                raise Unavailable("away")
            self.taken += [family.name for family in families]

        def close(self) -> None:
            self.taken.append("closed")

    sink = Away()
    told = [Family(name="f", what="F.", samples=[Sample(labels={}, value=1)])]
    with contextlib.closing(Reporter(lambda: told, sink, every_s=0.01)):
        until(lambda: sink.taken, "it is taken at last")
    assert sink.taken[0] == "f"
    assert sink.taken[-1] == "closed"


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def cloud(aws: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Point AWS' own chain at moto, and return a client of our own to look with."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": aws,
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():
        monkeypatch.setenv(name, value)
    return boto3.client("cloudwatch")


def newest(cloud: Any, namespace: str, name: str, dimensions: list[dict[str, str]]) -> float:
    now_s = time.time()
    found = cloud.get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=dimensions,
        StartTime=now_s - 3600,
        EndTime=now_s + 3600,
        Period=86_400,
        Statistics=["Maximum"],
    )
    return max((point["Maximum"] for point in found["Datapoints"]), default=-1.0)


def test_the_worker_puts_figures_into_the_namespace_of_the_settings(watched: TrackingServer, cloud: Any) -> None:
    def listed() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = cloud.list_metrics(Namespace="Flyball/Worker")["Metrics"]
        return found

    with working(watched.platform, cloudwatch_namespace="Flyball/Worker", cloudwatch_s=1):
        until(listed, "figures are put")
    firing = [{"Name": "kind", "Value": "covariate_drift"}, {"Name": "state", "Value": "firing"}]
    assert newest(cloud, "Flyball/Worker", "flyball_monitor_alerts", [*DIMENSIONS, *firing]) == 1
    assert newest(cloud, "Flyball/Worker", "flyball_monitor_label_coverage_ratio", DIMENSIONS) == 1
    names = {one["MetricName"] for one in listed()}
    assert "flyball_monitor_watermark_age_seconds" in names
    assert not {name for name in names if "timestamp" in name or "drift_effect" in name or name.endswith("_info")}


def test_the_command_puts_figures_and_an_alarm_for_each_kind_of_alert(
    watched: TrackingServer, cloud: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLYBALL_HOME", str(watched.platform.settings.home))
    monkeypatch.setenv("FLYBALL_SERVER_URL", watched.url)
    topic = "arn:aws:sns:eu-central-1:123456789012:ml"
    with pytest.raises(SystemExit) as ended:
        main(["monitor", "export", "cloudwatch", "--namespace", "Flyball/Hand", "--topic", topic])
    assert not ended.value.code
    alarms = {one["AlarmName"]: one for one in cloud.describe_alarms(AlarmNamePrefix="Flyball/Hand")["MetricAlarms"]}
    assert sorted(alarms) == sorted(capsys.readouterr().out.split())
    drift = alarms["Flyball/Hand-elec-production-covariate_drift"]
    assert (drift["MetricName"], drift["Threshold"], drift["ComparisonOperator"]) == (
        "flyball_monitor_alerts",
        0.0,
        "GreaterThanThreshold",
    )
    assert drift["AlarmActions"] == drift["OKActions"] == [topic]
    assert watched.url in drift["AlarmDescription"]
    series = cloud.list_metrics(Namespace="Flyball/Hand")["Metrics"]
    assert {"Name": drift["MetricName"], "Dimensions": _sorted(drift["Dimensions"])} in [
        {"Name": one["MetricName"], "Dimensions": _sorted(one["Dimensions"])} for one in series
    ], "the alarm is about a series that nobody puts"
    silent = alarms["Flyball/Hand-elec-production-silent"]
    assert (silent["TreatMissingData"], silent["Statistic"]) == ("breaching", "SampleCount")


def _sorted(dimensions: list[dict[str, str]]) -> list[tuple[str, str]]:
    return sorted((one["Name"], one["Value"]) for one in dimensions)


def test_a_monitor_that_is_not_there_is_refused_before_anything_is_put(
    watched: TrackingServer, cloud: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLYBALL_HOME", str(watched.platform.settings.home))
    monkeypatch.setenv("FLYBALL_SERVER_URL", watched.url)
    for form in ("cloudwatch", "prometheus"):
        with pytest.raises(SystemExit) as ended:
            main(["monitor", "export", form, "--monitor", "elec-prodution"])
        assert ended.value.code == 1
        assert "did you mean elec-production?" in capsys.readouterr().err
    assert cloud.list_metrics(Namespace="Flyball")["Metrics"] == []


def test_who_may_put_is_said_by_the_chain_of_aws_alone(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    told = [Family(name="f", what="F.", samples=[Sample(labels={}, value=1)])]
    with pytest.raises(Unavailable, match="Unable to locate credentials"):
        CloudWatch("Flyball/Nobody").send(told)
    assert cloud.list_metrics(Namespace="Flyball/Nobody")["Metrics"] == []
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(InvalidInput, match="set AWS_REGION"):
        CloudWatch("Flyball/Nowhere")


def test_what_is_no_namespace_is_refused_at_once() -> None:
    for namespace in ("", "AWS/EC2", "a:b", "größe"):
        with pytest.raises(InvalidInput, match="no namespace"):
            CloudWatch(namespace)


def test_more_than_aws_takes_at_once_is_put_in_parts(cloud: Any) -> None:
    many = Family(name="many", what="Many.", samples=[Sample(labels={"n": str(n)}, value=n) for n in range(1_200)])
    CloudWatch("Flyball/Many").send([many])
    assert newest(cloud, "Flyball/Many", "many", [{"Name": "n", "Value": "1199"}]) == 1199


def test_what_is_no_number_is_left_out() -> None:
    values = (float("nan"), float("inf"), -float("inf"), 1.0)
    told = Family(name="f", what="F.", samples=[Sample(labels={}, value=value) for value in values])
    assert [one["Value"] for one in metric_data([told], now_s=0)] == [1.0]


def test_moments_are_ages_where_nobody_can_subtract() -> None:
    told = Family(
        name="seen_timestamp_seconds",
        what="Seen.",
        unit="s",
        is_moment=True,
        samples=[Sample(labels={"model": "m"}, value=90)],
    )
    assert metric_data([told], now_s=100.0) == [
        {"MetricName": "seen_age_seconds", "Dimensions": [], "Timestamp": 100.0, "Value": 10.0, "Unit": "Seconds"}
    ]
