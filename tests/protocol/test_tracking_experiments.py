"""What `mlflow server` answers about experiments, request by request, is what this server answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.protocol.serving import TrackingServer

API = "/api/2.0/mlflow/experiments/"
HINT = "Hint: Value was of type"
Refusals = tuple[tuple[str, object, int, str, str], ...]

REFUSALS: Refusals = (
    ("create", {}, 400, "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'name'. See the API docs"),
    ("create", {"name": 123}, 400, "INVALID_PARAMETER_VALUE", "Invalid value 123 for parameter 'name' supplied:  Hint"),
    (
        "create",
        {"name": "x", "artifact_location": 9.0},
        400,
        "INVALID_PARAMETER_VALUE",
        f"Invalid value 9.0 for parameter 'artifact_location' supplied:  {HINT} 'float'. See the API docs",
    ),
    ("create", {"name": "x", "tags": "5"}, 400, "INVALID_PARAMETER_VALUE", "Invalid value \"5\" for parameter 'tags'"),
    ("create", {"name": "x", "tags": {"b": 1, "a": [None]}}, 400, "INVALID_PARAMETER_VALUE", '{"a":[null],"b":1}'),
    ("create", {"name": "n" * 501}, 400, "INVALID_PARAMETER_VALUE", "'name' exceeds the maximum length of 500"),
    ("create", {"name": "x", "artifact_location": "s3://b/x#f"}, 400, "INVALID_PARAMETER_VALUE", "fragments or params"),
    (
        "create",
        {"name": "x", "tags": [{"key": "a", "value": "v" * 20_001}]},
        400,
        "INVALID_PARAMETER_VALUE",
        "'value' exceeds the maximum length of 20000 characters",
    ),
    ("create", {"name": "Default"}, 400, "RESOURCE_ALREADY_EXISTS", "Experiment(name=Default) already exists."),
    ("delete", {"experiment_id": "abc"}, 400, "INVALID_PARAMETER_VALUE", "Invalid experiment ID 'abc'. Experiment ID"),
    ("delete", {"experiment_id": "99999"}, 404, "RESOURCE_DOES_NOT_EXIST", "No Experiment with id=99999 exists"),
    ("restore", {"experiment_id": "0"}, 404, "RESOURCE_DOES_NOT_EXIST", "No Experiment with id=0 exists"),
    ("update", {"experiment_id": "0", "new_name": ""}, 400, "INVALID_PARAMETER_VALUE", "'new_name'"),
    ("set-experiment-tag", {"experiment_id": "0"}, 400, "INVALID_PARAMETER_VALUE", "required parameter 'key'"),
    (
        "set-experiment-tag",
        {"experiment_id": "0", "key": "../x"},
        400,
        "INVALID_PARAMETER_VALUE",
        "This name would resolve to '../x'",
    ),
    (
        "delete-experiment-tag",
        {"experiment_id": "0", "key": "k"},
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "No tag with name: k in experiment with id 0",
    ),
    ("search", {"max_results": 0}, 400, "INVALID_PARAMETER_VALUE", "Invalid value 0 for parameter 'max_results'"),
    ("search", {"max_results": 50_001}, 400, "INVALID_PARAMETER_VALUE", "It must be at most 50000"),
    ("search", {"page_token": "abc"}, 400, "INVALID_PARAMETER_VALUE", "Invalid page token, could not base64-decode"),
    (
        "search",
        {"filter": "name IN ('a')"},
        400,
        "INVALID_PARAMETER_VALUE",
        "Only ['experiment_id'] attributes support",
    ),
    ("search", {"order_by": ["foo"]}, 400, "INVALID_PARAMETER_VALUE", "Invalid attribute key 'foo' specified."),
)


def post(server: TrackingServer, path: str, body: object) -> Any:
    return server.request("POST", API + path, json=body).json()


def test_what_does_not_fit_is_refused_in_the_words_of_the_protocol(tracking_server: TrackingServer) -> None:
    for path, body, status, code, message in REFUSALS:
        answer = tracking_server.request("POST", API + path, json=body)
        assert (answer.status, answer.json()["error_code"]) == (status, code), (path, body)
        assert message in answer.json()["message"], (path, body)


def test_a_body_must_say_that_it_is_json(tracking_server: TrackingServer) -> None:
    said = {None: "Content-Type header is missing", "text/plain": "Content-Type must be one of ['application/json']."}
    for kind, message in said.items():
        answer = tracking_server.request("POST", f"{API}create", body=b'{"name":"a"}', content_type=kind)
        assert (answer.status, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert message in answer.json()["message"]
    charset = "application/json; charset=utf-8"
    assert tracking_server.request("POST", f"{API}create", body=b'{"name":"a"}', content_type=charset).status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"null", b"\xff", b"[" * 5_000, b'"\\"[\\""'])
def test_a_body_that_is_no_message_reads_as_an_empty_one(tracking_server: TrackingServer, body: bytes) -> None:
    answer = tracking_server.request("POST", f"{API}create", body=body, content_type="application/json")
    assert answer.status == 400
    assert answer.json()["message"].startswith("Missing value for required parameter 'name'.")


def test_a_body_that_an_old_client_encoded_twice_is_read(tracking_server: TrackingServer) -> None:
    raw = b'"{\\"name\\": \\"twice\\"}"'
    assert tracking_server.request("POST", f"{API}create", body=raw, content_type="application/json").status == 200
    found = tracking_server.request("GET", f"{API}get-by-name", fields={"experiment_name": "twice"})
    assert found.json()["experiment"]["name"] == "twice"


def test_a_query_takes_the_first_of_two_and_a_get_without_one_its_body(tracking_server: TrackingServer) -> None:
    twice = tracking_server.request("GET", f"{API}get?experiment_id=0&experiment_id=7&unknown=1")
    assert twice.json()["experiment"]["experiment_id"] == "0"
    with_body = tracking_server.request("GET", f"{API}get", json={"experiment_id": " +00 "})
    assert with_body.json()["experiment"]["name"] == "Default"


def test_places_of_files_are_kept_as_they_are_named(tracking_server: TrackingServer) -> None:
    here = str(Path.cwd())
    for at, (given, kept) in enumerate(
        {"s3://bucket/x/": "s3://bucket/x/", "mlflow-artifacts:/my/place": "mlflow-artifacts:/my/place",
         "file:///tmp/xx": "file:///tmp/xx", "my_location": f"{here}/my_location"}.items()
    ):  # fmt: skip
        key = post(tracking_server, "create", {"name": str(at), "artifact_location": given})["experiment_id"]
        found = tracking_server.request("GET", f"{API}get", fields={"experiment_id": key}).json()["experiment"]
        assert found["artifact_location"] == kept
        run = tracking_server.request("POST", "/api/2.0/mlflow/runs/create", json={"experiment_id": key}).json()["run"]
        assert run["info"]["artifact_uri"] == f"{kept.rstrip('/')}/{run['info']['run_id']}/artifacts"


def test_the_datasets_of_experiments_are_told_on_every_path_that_is_asked_for(tracking_server: TrackingServer) -> None:
    key = post(tracking_server, "create", {"name": "data"})["experiment_id"]
    for context in ("training", "eval", None):
        run = tracking_server.request("POST", "/api/2.0/mlflow/runs/create", json={"experiment_id": key}).json()["run"]
        tags = [{"key": "mlflow.data.context", "value": context}] if context else []
        dataset = {"name": "n", "digest": "d", "source_type": "local", "source": "s"}
        body = {"run_id": run["info"]["run_id"], "datasets": [{"dataset": dataset, "tags": tags}]}
        assert tracking_server.request("POST", "/api/2.0/mlflow/runs/log-inputs", json=body).json() == {}
    known = {"experiment_id": key, "name": "n", "digest": "d"}
    expected = [{**known, "context": "eval"}, {**known, "context": "training"}, known]
    for path in (
        "/ajax-api/2.0/mlflow/experiments/search-datasets",
        "/api/2.0/mlflow/experiments/search-datasets",
        "/api/2.0mlflow/experiments/search-datasets",
    ):
        found = tracking_server.request("POST", path, json={"experiment_ids": [key]}).json()["dataset_summaries"]
        assert sorted(found, key=lambda item: item.get("context", "~")) == expected
    assert "must specify at least one" in post(tracking_server, "search-datasets", {"experiment_ids": []})["message"]
    many = post(tracking_server, "search-datasets", {"experiment_ids": [str(at) for at in range(21)]})
    assert "cannot specify more than 20 experiment_ids. Received 21 experiment_ids." in many["message"]
    assert "Invalid experiment ID 'x'" in post(tracking_server, "search-datasets", {"experiment_ids": ["x"]})["message"]
