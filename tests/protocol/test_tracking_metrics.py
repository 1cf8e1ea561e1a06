"""What `mlflow server` answers about metrics, request by request, is what this server answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.protocol.serving import TrackingServer

API = "/api/2.0/mlflow/"
AJAX = "/ajax-api/2.0/mlflow/metrics/"
INVALID = "INVALID_PARAMETER_VALUE"
LARGEST = 1.7976931348623157e308


@pytest.fixture
def run_id(tracking_server: TrackingServer) -> str:
    return new_run(tracking_server)


def new_run(server: TrackingServer) -> str:
    return str(server.platform.tracking.runs.create("0", actor="user:owner").info.run_id)


def log(server: TrackingServer, run_id: str, key: str, value: object, /, **more: object) -> Any:
    body = {"run_id": run_id, "key": key, "value": value, "timestamp": 1, **more}
    return server.request("POST", f"{API}runs/log-metric", json=body)


def batch(server: TrackingServer, run_id: str, key: str, points: list[tuple[int, int, float]]) -> None:
    metrics = [{"key": key, "value": value, "timestamp": time, "step": step} for step, time, value in points]
    assert server.request("POST", f"{API}runs/log-batch", json={"run_id": run_id, "metrics": metrics}).json() == {}


def get(server: TrackingServer, place: str, fields: list[tuple[str, str]]) -> Any:
    return server.request("GET", place, fields=fields)


def latest(server: TrackingServer, run_id: str) -> dict[str, Any]:
    run = server.request("GET", f"{API}runs/get", fields={"run_id": run_id}).json()["run"]
    return {metric["key"]: metric["value"] for metric in run["data"].get("metrics", ())}


def test_points_that_do_not_fit_are_refused_in_the_words_of_the_protocol(
    tracking_server: TrackingServer, run_id: str
) -> None:
    hint = "supplied:  Hint: Value was of type"
    changes: tuple[tuple[dict[str, object], str], ...] = (
        ({"run_id": 31}, f"Invalid value 31 for parameter 'run_id' {hint} 'int'"),
        ({"key": 31}, f"Invalid value 31 for parameter 'key' {hint}"),
        ({"value": "abc"}, f"Invalid value \"abc\" for parameter 'value' {hint} 'str'"),
        ({"step": "foo"}, f"Invalid value \"foo\" for parameter 'step' {hint}"),
        ({"timestamp": "foo"}, f"Invalid value \"foo\" for parameter 'timestamp' {hint}"),
        ({"timestamp": 1.5}, f"Invalid value 1.5 for parameter 'timestamp' {hint} 'float'"),
        ({"timestamp": 2**70}, "for parameter 'timestamp' supplied"),
        ({"run_id": None}, "Missing value for required parameter 'run_id'"),
        ({"key": None}, "Missing value for required parameter 'key'"),
        ({"value": None}, "Missing value for required parameter 'value'"),
        ({"timestamp": None}, "Missing value for required parameter 'timestamp'"),
        ({"timestamp": -1}, "Invalid value -1 for parameter 'timestamp' supplied: metric 'm' (value=1.0). Timestamp"),
        ({"key": "a;b"}, "Invalid value \"a;b\" for parameter 'name' supplied: Names may only contain"),
        ({"key": "a/../b"}, "This name would resolve to 'b'"),
        ({"key": "k" * 251}, "'Metric name' exceeds the maximum length of 250 characters"),
    )
    for change, message in changes:
        body: dict[str, object] = {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1}
        body.update(change)
        answer = tracking_server.request("POST", f"{API}runs/log-metric", json=body)
        assert (answer.status, answer.json()["error_code"]) == (400, INVALID), change
        assert message in answer.json()["message"], change
    for metrics, message in (
        ("foo", f"Invalid value \"foo\" for parameter 'metrics' {hint} 'str'"),
        ([{"key": "m", "value": 2.5}], "Missing value for required parameter 'metrics[0].timestamp'"),
        ([{"key": "m", "timestamp": 1}], "Missing value for required parameter 'metrics[0].value'"),
        ([{"value": 1, "timestamp": 1}], "Missing value for required parameter 'metrics[0].key'"),
        ([{"key": "m", "value": "x", "timestamp": 1}], "Invalid value \"x\" for parameter 'metrics[0].value'"),
        (
            [{"key": "m", "value": 1, "timestamp": 1}, {"key": "n", "value": 1, "timestamp": -1}],
            "Invalid value -1 for parameter 'metrics[1].timestamp' supplied: metric 'n' (value=1.0)",
        ),
        (
            [{"key": "m", "value": at, "timestamp": at} for at in range(1_001)],
            "A batch logging request can contain at most 1000 metrics. Got 1001 metrics.",
        ),
    ):
        batched: dict[str, object] = {"run_id": run_id, "metrics": metrics}
        answer = tracking_server.request("POST", f"{API}runs/log-batch", json=batched)
        assert (answer.status, answer.json()["error_code"]) == (400, INVALID), message
        assert message in answer.json()["message"]
    assert latest(tracking_server, run_id) == {}


def test_the_latest_point_is_the_greatest_step_then_time_then_value(
    tracking_server: TrackingServer, run_id: str
) -> None:
    for step, time, value in ((2, 5, 1.0), (2, 4, 9.0), (1, 9, 5.0), (2, 5, 3.0), (2, 5, 2.0), (2, 5, 3.0)):
        log(tracking_server, run_id, "m", value, step=step, timestamp=time)
    for key, number in (("a", "NaN"), ("a", "-5"), ("b", "5"), ("b", "NaN"), ("c", "-Infinity"), ("c", "NaN")):
        assert log(tracking_server, run_id, key, number).json() == {}
    for number in ("Infinity", "1"):
        assert log(tracking_server, run_id, "d", number).json() == {}
    assert latest(tracking_server, run_id) == {"m": 3.0, "a": -5.0, "b": 5.0, "c": -LARGEST, "d": LARGEST}
    history = get(tracking_server, f"{API}metrics/get-history", [("run_id", run_id), ("metric_key", "m")]).json()
    points = [(point["step"], point["timestamp"], point["value"]) for point in history["metrics"]]
    assert points == [(2, 4, 9.0), (2, 5, 1.0), (2, 5, 2.0), (2, 5, 3.0), (1, 9, 5.0)]


def test_numbers_come_as_text_too(tracking_server: TrackingServer, run_id: str) -> None:
    assert log(tracking_server, run_id, "m", "1.25", timestamp="11", step="3.0").json() == {}
    raw = json.dumps({"run_uuid": run_id, "key": "bare", "value": 1, "timestamp": 1}).replace("1,", "NaN,", 1)
    answer = tracking_server.request(
        "POST", f"{API}runs/log-metric", body=raw.encode(), content_type="application/json"
    )
    assert (answer.status, latest(tracking_server, run_id)) == (200, {"m": 1.25, "bare": "NaN"})


def test_a_history_comes_in_pages(tracking_server: TrackingServer, run_id: str) -> None:
    batch(tracking_server, run_id, "m", [(at, at, float(at)) for at in range(5)])
    asked = [("run_id", run_id), ("metric_key", "m"), ("max_results", "2")]
    values, token = [], ""
    while True:
        page = get(tracking_server, f"{API}metrics/get-history", [*asked, ("page_token", token)]).json()
        values.append([point["value"] for point in page["metrics"]])
        token = page.get("next_page_token", "")
        if not token:
            break
    assert values == [[0.0, 1.0], [2.0, 3.0], [4.0]]
    for size, message in (("0", "It must be a positive integer."), ("x", 'Invalid value "x" for parameter')):
        answer = get(tracking_server, f"{API}metrics/get-history", [*asked[:2], ("max_results", size)])
        assert (answer.status, message in answer.json()["message"]) == (400, True)
    assert get(tracking_server, f"{API}metrics/get-history", [*asked[:2], ("max_results", str(2**40))]).status == 200


def test_series_of_several_runs_come_in_order_of_run_and_time(tracking_server: TrackingServer) -> None:
    first, second, empty = (new_run(tracking_server) for _ in range(3))
    for run_id, shift in ((first, 0.0), (second, 1.0)):
        batch(tracking_server, run_id, "m", [(3, 2, 12.0 + shift), (2, 1, 10.0 + shift), (3, 1, 11.0 + shift)])
    place = f"{AJAX}get-history-bulk"
    asked = [("run_id", run) for run in (second, empty, first, "123")]
    found = get(tracking_server, place, [*asked, ("metric_key", "m")]).json()["metrics"]
    assert [(point["run_id"], point["value"]) for point in found] == [
        (run, value + shift) for run, shift in ((first, 0.0), (second, 1.0)) for value in (10.0, 11.0, 12.0)
    ]
    few = get(tracking_server, place, [*asked, ("metric_key", "m"), ("max_results", "4")]).json()["metrics"]
    assert few == found[:4]
    assert get(tracking_server, place, [("run_id", "123"), ("metric_key", "m")]).json() == {"metrics": []}
    assert get(tracking_server, place, [*asked, ("metric_key", "m"), ("max_results", "0")]).json() == {"metrics": []}
    for fields, message in (
        ([("metric_key", "m")], "GetMetricHistoryBulk request must specify at least one run_id."),
        ([("run_id", "1")], "GetMetricHistoryBulk request must specify a metric_key."),
        ([*(("run_id", str(at)) for at in range(101)), ("metric_key", "m")], "more than 100 run_ids. Received 101 run_ids."),
        ([("run_id", "1"), ("metric_key", "m"), ("max_results", "-1")], "max_results"),
    ):  # fmt: skip
        answer = get(tracking_server, place, fields)
        assert (answer.status, answer.json()["error_code"]) == (400, INVALID)
        assert message in answer.json()["message"]
    assert get(tracking_server, f"{API}metrics/get-history-bulk", [("run_id", first)]).status == 404


# Positions as `mlflow server` 3.17.2 answers them: the first of each of `max_results` equal groups, and the very last point.
@pytest.mark.parametrize(
    ("size", "asked", "steps", "expected"),
    [
        (1000, 5, None, [0, 200, 400, 600, 999]),
        (1000, 7, None, [0, 143, 286, 429, 572, 715, 999]),
        (1000, 1, None, [999]),
        (1000, 2, None, [0, 999]),
        (1000, 5, (10, 14), [10, 11, 12, 13, 14]),
        (1000, 5, (10, 30), [10, 15, 19, 23, 30]),
        (1000, 5, (5000, 6000), []),
        (3, 5, None, [0, 1, 2]),
    ],
)
def test_a_long_series_is_thinned_out_evenly(
    tracking_server: TrackingServer,
    run_id: str,
    size: int,
    asked: int,
    steps: tuple[int, int] | None,
    expected: list[int],
) -> None:
    batch(tracking_server, run_id, "m", [(at, at, float(at)) for at in range(size)])
    fields = [("run_ids", run_id), ("metric_key", "m"), ("max_results", str(asked))]
    fields += [("start_step", str(steps[0])), ("end_step", str(steps[1]))] if steps else []
    for place in (
        f"{AJAX}get-history-bulk-interval",
        f"{API}metrics/get-history-bulk-interval",
        "/api/2.11/mlflow/metrics/get-history-bulk-interval",
    ):
        found = get(tracking_server, place, fields).json().get("metrics", [])
        assert [point["step"] for point in found] == expected
        assert {point["run_id"] for point in found} <= {run_id}


def test_a_series_that_cannot_be_thinned_out_is_refused(tracking_server: TrackingServer) -> None:
    place = f"{AJAX}get-history-bulk-interval"
    run, key = ("run_ids", "123"), ("metric_key", "k")
    for fields, message in (
        ([key], "Missing value for required parameter 'run_ids'."),
        ([run], "Missing value for required parameter 'metric_key'"),
        ([run, ("metric_key", "")], "Missing value for required parameter 'metric_key'"),
        ([*(("run_ids", str(at)) for at in range(101)), key], "request must specify at most 100 run_ids. Received 101"),
        ([run, key, ("max_results", "0")], "max_results must be between 1 and 2500"),
        ([run, key, ("max_results", "2501")], "max_results must be between 1 and 2500"),
        ([run, key, ("max_results", "x")], "Invalid value \"x\" for parameter 'max_results' supplied"),
        ([run, key, ("start_step", "1"), ("end_step", "0")], "end_step must be greater than start_step. Found start_step=1"),
        ([run, key, ("start_step", "1")], "If either start step or end step are specified, both must be specified."),
        ([run, key, ("end_step", "1")], "If either start step or end step are specified, both must be specified."),
    ):  # fmt: skip
        answer = get(tracking_server, place, fields)
        assert (answer.status, answer.json()["error_code"]) == (400, INVALID)
        assert message in answer.json()["message"]
    assert get(tracking_server, place, [run, key]).json() == {}
