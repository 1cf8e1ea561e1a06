"""What `mlflow server` 3.17.2 finds by a filter and sorts by an order, run by run, is what this server finds and sorts by."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.search_expectations import DATASETS, FILTERS, ORDERS, REFUSED_FILTERS, REFUSED_ORDERS, RUNS
from tests.protocol.serving import TrackingServer

API = "/api/2.0/mlflow/"


@pytest.fixture
def described(tracking_server: TrackingServer) -> TrackingServer:
    """Log the runs above."""
    for name, run in RUNS.items():
        start, end = run["time"]
        made = post(
            tracking_server, "runs/create", experiment_id="0", run_name=name, start_time=start, user_id=run["user"]
        )
        run_id = made["run"]["info"]["run_id"]
        metrics = [{"key": key, "value": value, "timestamp": 1} for key, value in run["metrics"].items()]
        params, tags = (
            [{"key": key, "value": value} for key, value in run[kind].items()] for kind in ("params", "tags")
        )
        post(tracking_server, "runs/log-batch", run_id=run_id, metrics=metrics, params=params, tags=tags)
        if run["status"] != "RUNNING":
            post(tracking_server, "runs/update", run_id=run_id, status=run["status"], end_time=end or 0)
        for dataset, digest, context in DATASETS.get(name, []):
            described = {"name": dataset, "digest": digest, "source_type": "st", "source": "s"}
            named = [{"key": "mlflow.data.context", "value": context}] if context else []
            post(tracking_server, "runs/log-inputs", run_id=run_id, datasets=[{"dataset": described, "tags": named}])
        if name == "delta":
            post(tracking_server, "runs/delete", run_id=run_id)
    return tracking_server


def post(server: TrackingServer, path: str, /, **body: object) -> Any:
    answer = server.request("POST", API + path, json=body)
    assert answer.status == 200, answer.data
    return answer.json()


def found(server: TrackingServer, **body: object) -> str:
    runs = post(server, "runs/search", experiment_ids=["0"], **body).get("runs", ())
    return "".join(run["info"]["run_name"][0] for run in runs)


def test_filters_find_what_the_original_finds(described: TrackingServer) -> None:
    assert {text: found(described, filter=text) for text in FILTERS} == FILTERS


def test_orders_sort_as_the_original_sorts(described: TrackingServer) -> None:
    assert {text: found(described, order_by=[text]) for text in ORDERS} == ORDERS
    assert found(described, order_by=["params.opt", "metrics.loss DESC"]) == "ebAazg"


def test_what_the_original_refuses_is_refused(described: TrackingServer) -> None:
    bodies: list[dict[str, object]] = [{"filter": text} for text in REFUSED_FILTERS]
    bodies += [{"order_by": [text]} for text in REFUSED_ORDERS]
    for body in bodies:
        answer = described.request("POST", f"{API}runs/search", json={"experiment_ids": ["0"], **body})
        assert (answer.status, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), body


def test_refusals_begin_with_the_words_of_the_original(described: TrackingServer) -> None:
    for body, message in (
        ({"filter": "metrics.acc > 'x'"}, "Expected numeric value type for metric. Found 'x'"),
        ({"filter": "start_time > 'x'"}, "Expected numeric value type for numeric attribute: start_time. Found 'x'"),
        ({"filter": "metrics.acc IS NULL"}, "IS NULL / IS NOT NULL is only supported for tags and params, not for 'metric' 'acc'"),
        ({"filter": "params.lr = 0.1"}, "Expected a quoted string value for parameter (e.g. 'my-value'). Got value 0.1"),
        ({"filter": "params.lr > '0.1'"}, "Invalid comparator '>' not one of '"),
        ({"filter": "status IN ('a')"}, "Only ['run_id'] attributes support comparison with a list of quoted string values."),
        ({"filter": "run_id IN ()"}, "While parsing a list in the query, expected a non-empty list of string values, but got empty list"),
        ({"filter": "foo.bar = 'x'"}, "Invalid entity type 'foo'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']"),
        ({"filter": "foo = 'x'"}, "Invalid attribute key 'foo' specified. Valid keys are '"),
        ({"filter": "dataset.foo = 'x'"}, "Invalid dataset key 'foo' specified. Valid keys are '"),
        ({"filter": "metrics.acc > 1 OR metrics.acc > 2"}, "Invalid clause(s) in filter string: 'OR'"),
        ({"order_by": ["metrics.acc SIDEWAYS"]}, "Invalid ordering key in order_by clause 'metrics.acc SIDEWAYS'."),
        ({"order_by": ["start_time,run_id"]}, "Invalid order_by clause 'start_time,run_id'. Could not be parsed."),
        ({"order_by": ["start_time", "created"]}, "`order_by` contains duplicate fields: ['start_time', 'created']"),
        ({"max_results": 0}, "Invalid value 0 for parameter 'max_results' supplied. It must be a positive integer"),
        ({"max_results": 123456789}, "Invalid value 123456789 for parameter 'max_results' supplied"),
        ({"page_token": "abc"}, "Invalid page token, could not base64-decode"),
        ({"page_token": "bm9qc29u"}, "Invalid page token, decoded value=b'nojson'"),
        ({"page_token": "e30="}, "Invalid page token, parsed value={}"),
        ({"experiment_ids": ["abc"]}, "Invalid experiment ID 'abc'. Experiment ID must be a valid integer."),
    ):  # fmt: skip
        answer = described.request("POST", f"{API}runs/search", json={"experiment_ids": ["0"], **body})
        assert (answer.status, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), body
        assert answer.json()["message"].startswith(message), body


def test_views_and_pages_hold_all_runs_once(described: TrackingServer) -> None:
    assert found(described, run_view_type="ACTIVE_ONLY") == found(described) == "Aezbga"
    assert (found(described, run_view_type=2), found(described, run_view_type="3")) == ("d", "Aezbgad")
    seen, token = "", None
    while True:
        page = post(
            described, "runs/search", experiment_ids=["0"], run_view_type="ALL", max_results=3, page_token=token
        )
        seen += "".join(run["info"]["run_name"][0] for run in page["runs"])
        token = page.get("next_page_token")
        if token is None:
            break
    assert seen == "Aezbgad"
    assert post(described, "runs/search", experiment_ids=[]) == {}
