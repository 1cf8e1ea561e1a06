"""Histories over HTTP: page after page, of several runs, thinned out, and drawn."""

from __future__ import annotations

import json
import math
from typing import Any

from tests.protocol.serving import TrackingServer

API = "/api/2.0/mlflow/"


def ask(server: TrackingServer, path: str) -> dict[str, Any]:
    answer = server.request("GET", path)
    assert answer.status == 200, answer.data
    found: dict[str, Any] = json.loads(answer.data)
    return found


def a_long_run(server: TrackingServer) -> str:
    made = server.request("POST", f"{API}runs/create", json={"experiment_id": "0"})
    run_id: str = json.loads(made.data)["run"]["info"]["run_id"]
    points = [
        {"key": "m", "value": "NaN" if at == 7 else math.sin(at), "timestamp": at, "step": at} for at in range(500)
    ]
    assert server.request("POST", f"{API}runs/log-batch", json={"run_id": run_id, "metrics": points}).status == 200
    return run_id


def test_a_history_is_walked_to_its_end_without_a_point_twice(tracking_server: TrackingServer) -> None:
    run_id = a_long_run(tracking_server)
    steps: list[int] = []
    token = ""
    while True:
        page = ask(
            tracking_server, f"{API}metrics/get-history?run_id={run_id}&metric_key=m&max_results=120&page_token={token}"
        )
        steps += [point["step"] for point in page["metrics"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert steps == list(range(500))


def test_a_token_of_another_list_is_refused(tracking_server: TrackingServer) -> None:
    run_id = a_long_run(tracking_server)
    tracking_server.request("POST", f"{API}runs/create", json={"experiment_id": "0"})
    runs = json.loads(
        tracking_server.request("POST", f"{API}runs/search", json={"experiment_ids": ["0"], "max_results": 1}).data
    )
    answer = tracking_server.request(
        "GET", f"{API}metrics/get-history?run_id={run_id}&metric_key=m&page_token={runs['next_page_token']}"
    )
    assert (answer.status, json.loads(answer.data)["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "Invalid page token" in json.loads(answer.data)["message"]


def test_series_of_several_runs_name_their_run(tracking_server: TrackingServer) -> None:
    first, second = a_long_run(tracking_server), a_long_run(tracking_server)
    ajax = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
    bulk = ask(tracking_server, f"{ajax}?run_id={first}&run_id={second}&metric_key=m&max_results=501")["metrics"]
    assert {point["run_id"] for point in bulk} == {first, second}
    thinned = ask(
        tracking_server, f"{API}metrics/get-history-bulk-interval?run_ids={first}&metric_key=m&max_results=10"
    )
    assert {point["run_id"] for point in thinned["metrics"]} == {first}


def test_a_curve_is_short_and_keeps_the_extremes(tracking_server: TrackingServer) -> None:
    run_id = a_long_run(tracking_server)
    drawn = ask(tracking_server, f"/api/v1/runs/{run_id}/curve?key=m&points=20")
    values = [point["value"] for point in drawn["points"]]
    assert drawn["count"] == 500
    assert len(values) <= 20
    assert max(values) == max(math.sin(at) for at in range(500) if at != 7)
    assert min(values) == min(math.sin(at) for at in range(500) if at != 7)


def test_what_cannot_be_drawn_says_why(tracking_server: TrackingServer) -> None:
    run_id = a_long_run(tracking_server)
    for path, status, field in (
        (f"/api/v1/runs/{run_id}/curve?key=other", 404, "key"),
        (f"/api/v1/runs/{'0' * 32}/curve?key=m", 404, "run_id"),
        (f"/api/v1/runs/{run_id}/curve?key=m&points=3", 400, "points"),
        (f"/api/v1/runs/{run_id}/curve", 400, "key"),
    ):
        answer = tracking_server.request("GET", path)
        assert (answer.status, json.loads(answer.data)["error"]["field"]) == (status, field)
