"""What `mlflow server` answers about logged models, request by request, is what this server answers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.serving import TrackingServer

API = "/api/2.0/mlflow/"
INVALID, MISSING = "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"


@pytest.fixture
def run_id(tracking_server: TrackingServer) -> str:
    return str(tracking_server.platform.tracking.runs.create("0", actor="user:owner").info.run_id)


def new_model(server: TrackingServer, name: str, **more: object) -> str:
    body = {"experiment_id": "0", "name": name, **more}
    made = server.request("POST", f"{API}logged-models", json=body).json()
    return str(made["model"]["info"]["model_id"])


def model_of(server: TrackingServer, model_id: str) -> Any:
    return server.request("GET", f"{API}logged-models/{model_id}").json()["model"]


def names(server: TrackingServer, **body: object) -> list[str]:
    answer = server.request("POST", f"{API}logged-models/search", json={"experiment_ids": ["0"], **body})
    assert answer.status == 200, answer.data
    return [model["info"]["name"] for model in answer.json().get("models", [])]


def refused(server: TrackingServer, method: str, path: str, status: int, code: str, message: str, body: object) -> None:
    answer = server.request(method, f"{API}logged-models{path}", json=body)
    assert (answer.status, answer.json().get("error_code")) == (status, code), (path, body, answer.data)
    assert message in answer.json()["message"], (path, body)


def test_a_model_is_written_as_the_original_writes_it(tracking_server: TrackingServer, run_id: str) -> None:
    model_id = new_model(tracking_server, "plain")
    info = model_of(tracking_server, model_id)["info"]
    assert {key: info[key] for key in info if not key.endswith("_ms")} == {
        "model_id": model_id,
        "experiment_id": "0",
        "name": "plain",
        "artifact_uri": f"mlflow-artifacts:/0/models/{model_id}/artifacts",
        "status": "LOGGED_MODEL_PENDING",
        "model_type": "",
        "source_run_id": "",
    }
    rich = new_model(
        tracking_server,
        "rich",
        model_type="Agent",
        source_run_id=run_id,
        params=[{"key": "any;key", "value": "v" * 7_000}],
        tags=[{"key": "a;b", "value": "t" * 9_000}],
    )
    found = model_of(tracking_server, rich)
    assert (found["info"]["model_type"], found["info"]["source_run_id"]) == ("Agent", run_id)
    assert found["info"]["tags"] == [{"key": "a;b", "value": "t" * 9_000}]
    assert found["data"] == {"params": [{"key": "any;key", "value": "v" * 7_000}]}


def test_what_does_not_fit_is_refused_in_the_words_of_the_protocol(tracking_server: TrackingServer) -> None:
    bad_name = (
        "Invalid model name ('a/b') provided. Model name must be a non-empty string and cannot contain the following"
    )
    for body, status, code, message in (
        ({"name": "x"}, 400, INVALID, "Missing value for required parameter 'experiment_id'"),
        ({"experiment_id": "9999"}, 404, MISSING, "No Experiment with id=9999 exists"),
        ({"experiment_id": "abc"}, 400, INVALID, "Invalid experiment ID 'abc'"),
        ({"experiment_id": 0}, 400, INVALID, "Invalid value 0 for parameter 'experiment_id' supplied"),
        ({"experiment_id": "0", "name": "a/b"}, 400, INVALID, bad_name),
        ({"experiment_id": "0", "name": 5}, 400, INVALID, "Invalid value 5 for parameter 'name' supplied"),
        ({"experiment_id": "0", "params": "x"}, 400, INVALID, "Invalid value \"x\" for parameter 'params' supplied"),
        ({"experiment_id": "0", "tags": "x"}, 400, INVALID, "Invalid value \"x\" for parameter 'tags' supplied"),
    ):  # fmt: skip
        refused(tracking_server, "POST", "", status, code, message, body)
    for mark in ":.%\"'":
        body = {"experiment_id": "0", "name": f"a{mark}b"}
        refused(tracking_server, "POST", "", 400, INVALID, "Invalid model name (", body)
    for unknown in ("m-zz", f"m-{'0' * 32}"):
        said = f"Logged model with ID '{unknown}' not found."
        for method, path, sent in (
            ("GET", "", None),
            ("DELETE", "", None),
            ("PATCH", "", {"status": "LOGGED_MODEL_READY"}),
            ("PATCH", "/tags", {"tags": [{"key": "a", "value": "1"}]}),
            ("DELETE", "/tags/a", None),
            ("POST", "/params", {"params": [{"key": "a", "value": "1"}]}),
        ):
            refused(tracking_server, method, f"/{unknown}{path}", 404, MISSING, said, sent)


def test_a_model_is_finalised_by_name_or_number(tracking_server: TrackingServer) -> None:
    model_id = new_model(tracking_server, "m")
    for status, kept in (
        ("LOGGED_MODEL_READY", "LOGGED_MODEL_READY"),
        (3, "LOGGED_MODEL_UPLOAD_FAILED"),
        ("2", "LOGGED_MODEL_READY"),
    ):
        body = {"model_id": model_id, "status": status}
        answer = tracking_server.request("PATCH", f"{API}logged-models/{model_id}", json=body)
        assert answer.json()["model"]["info"]["status"] == kept
    for bad in ("FOO", "READY", 99):
        refused(tracking_server, "PATCH", f"/{model_id}", 400, INVALID, "for parameter 'status'", {"status": bad})
    refused(tracking_server, "PATCH", f"/{model_id}", 400, INVALID, "required parameter 'status'", {})


def test_tags_and_params_come_and_go(tracking_server: TrackingServer) -> None:
    model_id = new_model(tracking_server, "m", tags=[{"key": "t", "value": "x"}])
    tags = [{"key": "t", "value": "y"}, {"key": "a/b c.d", "value": "1"}, {"key": "e"}]
    answer = tracking_server.request("PATCH", f"{API}logged-models/{model_id}/tags", json={"tags": tags})
    assert answer.json() == {}
    for key in ("a%2Fb%20c.d", "e"):
        assert tracking_server.request("DELETE", f"{API}logged-models/{model_id}/tags/{key}").json() == {}
    refused(tracking_server, "DELETE", f"/{model_id}/tags/e", 404, MISSING, "No tag with key 'e' found for model", None)
    params = {"params": [{"key": "q", "value": "1"}]}
    for _ in range(2):
        assert tracking_server.request("POST", f"{API}logged-models/{model_id}/params", json=params).json() == {}
    changed = {"params": [{"key": "q", "value": "2"}]}
    refused(
        tracking_server, "POST", f"/{model_id}/params", 400, INVALID, "Changing param values is not allowed", changed
    )
    found = model_of(tracking_server, model_id)
    assert found["info"]["tags"] == [{"key": "t", "value": "y"}]
    assert found["data"]["params"] == [{"key": "q", "value": "1"}]


def test_a_deleted_model_is_seen_only_when_asked_for(tracking_server: TrackingServer) -> None:
    model_id = new_model(tracking_server, "gone")
    assert tracking_server.request("DELETE", f"{API}logged-models/{model_id}").json() == {}
    refused(tracking_server, "GET", f"/{model_id}", 404, MISSING, "not found", None)
    found = tracking_server.request("GET", f"{API}logged-models/{model_id}?allow_deleted=true").json()["model"]
    assert (found["info"]["name"], names(tracking_server)) == ("gone", [])


def test_metrics_belong_to_the_run_and_to_the_model_with_its_dataset(
    tracking_server: TrackingServer, run_id: str
) -> None:
    model_id = new_model(tracking_server, "m")
    point = {"key": "acc", "value": 0.5, "timestamp": 1, "step": 2}
    more = {"model_id": model_id, "dataset_name": "ds1", "dataset_digest": "g1"}
    one = {"run_id": run_id, **point, **more}
    for _ in range(2):
        assert tracking_server.request("POST", f"{API}runs/log-metric", json=one).json() == {}
    batch = {"run_id": run_id, "metrics": [{**point, "key": "loss", "value": "NaN", "model_id": model_id}]}
    assert tracking_server.request("POST", f"{API}runs/log-batch", json=batch).json() == {}
    assert model_of(tracking_server, model_id)["data"]["metrics"] == [
        {**point, **more, "run_id": run_id},
        {**point, "key": "loss", "value": "NaN", "model_id": model_id, "run_id": run_id},
    ]
    run = tracking_server.request("GET", f"{API}runs/get", fields={"run_id": run_id}).json()["run"]
    assert [metric["key"] for metric in run["data"]["metrics"]] == ["acc", "loss"]


def test_models_are_found_by_all_that_is_known_of_them(tracking_server: TrackingServer, run_id: str) -> None:
    ids = {
        "a": new_model(tracking_server, "a", model_type="Agent", source_run_id=run_id, params=[{"key": "p", "value": "1"}]),
        "b": new_model(tracking_server, "b", params=[{"key": "p", "value": "2"}], tags=[{"key": "t", "value": "Y"}]),
        "c": new_model(tracking_server, "c"),
    }  # fmt: skip
    tracking_server.request("PATCH", f"{API}logged-models/{ids['a']}", json={"status": "LOGGED_MODEL_READY"})
    for model, key, value, dataset in (
        ("a", "acc", 0.5, "ds1"),
        ("b", "acc", 0.9, "ds1"),
        ("b", "acc", 0.1, "ds2"),
        ("c", "acc", 0.7, None),
    ):
        body = {
            "run_id": run_id,
            "key": key,
            "value": value,
            "timestamp": 1,
            "step": int(value * 10),
            "model_id": ids[model],
        }
        tracking_server.request(
            "POST",
            f"{API}runs/log-metric",
            json={**body, **({"dataset_name": dataset, "dataset_digest": "g"} if dataset else {})},
        )  # fmt: skip
    for text, found in {
        "": "cba",
        "name = 'a'": "a",
        "attributes.name != 'a'": "cb",
        "name ILIKE 'A'": "a",
        "name IN ('a', 'c')": "ca",
        f"model_id = '{ids['b']}'": "b",
        "model_type = 'Agent'": "a",
        "model_type != 'Agent'": "cb",
        "status = 'READY'": "a",
        f"source_run_id = '{run_id}'": "a",
        f"source_run_id != '{run_id}'": "cb",
        "creation_timestamp > 0 AND last_updated_timestamp_ms > 0": "cba",
        "params.p = '1'": "a",
        "params.p != '1'": "b",
        "params.p IN ('1', '2')": "ba",
        "tags.t LIKE 'Y'": "b",
        "tags.t ILIKE 'y'": "b",
        "tags.t NOT IN ('x')": "b",
        "metrics.acc > 0.6": "cb",
        "metrics.acc < 0.2": "b",
        "metrics.acc > 0.6 AND params.p = '2'": "b",
    }.items():
        assert "".join(names(tracking_server, filter=text)) == found, text
    for order, found in (
        ([{"field_name": "name"}], "abc"),
        ([{"field_name": "name", "ascending": False}], "cba"),
        ([{"field_name": "creation_time", "ascending": True}], "abc"),
        ([{"field_name": "metrics.acc", "dataset_name": "ds1"}], "abc"),
        ([{"field_name": "metrics.acc", "ascending": False, "dataset_name": "ds1", "dataset_digest": "g"}], "bac"),
        ([{"field_name": "metrics.acc", "dataset_name": "ds2"}], "bca"),
    ):
        assert "".join(names(tracking_server, order_by=order)) == found, order
    for datasets, text, found in (
        ([{"dataset_name": "ds1"}], "", "ba"),
        ([{"dataset_name": "ds1", "dataset_digest": "zz"}], "", ""),
        ([{"dataset_name": "ds2", "dataset_digest": "g"}], "metrics.acc > 0.6", ""),
        ([{"dataset_name": "ds1", "dataset_digest": "g"}], "metrics.acc > 0.6", "b"),
    ):
        assert "".join(names(tracking_server, datasets=datasets, filter=text)) == found, datasets
    assert names(tracking_server, experiment_ids=[]) == []


def test_a_search_of_models_that_makes_no_sense_is_refused(tracking_server: TrackingServer) -> None:
    for body, message in (
        ({"experiment_ids": None}, "Missing value for required parameter 'experiment_ids'"),
        ({"experiment_ids": ["x"]}, "Invalid experiment ID 'x'"),
        ({"order_by": [{"field_name": "foo"}]}, "Invalid order by field name: foo"),
        (
            {"order_by": [{"field_name": "params.p"}]},
            "Invalid order by field name: params.p. Only metrics are supported",
        ),
        ({"datasets": [{"dataset_digest": "g1"}]}, "`dataset_name` in the `datasets` clause must be specified."),
        ({"page_token": "abc"}, "Invalid page token"),
        ({"filter": "name = 'a' OR name = 'b'"}, "Invalid filter string"),
        ({"max_results": -1}, "'max_results'"),
    ):
        refused(tracking_server, "POST", "/search", 400, INVALID, message, {"experiment_ids": ["0"], **body})
