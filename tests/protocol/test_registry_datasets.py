"""Evaluation datasets through the official MLflow client, and over plain HTTP what it never sends."""

from __future__ import annotations

import json

import mlflow.genai.datasets as genai
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tests.protocol.serving import TrackingServer

API = "/api/3.0/mlflow/datasets/"


@pytest.fixture
def client(tracking_server: TrackingServer) -> MlflowClient:
    return MlflowClient(tracking_server.url)


def send(server: TrackingServer, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
    answer = server.request(method, API + path, json=body)
    return answer.status, json.loads(answer.data)


def test_a_dataset_goes_through_its_life(client: MlflowClient, tracking_server: TrackingServer) -> None:
    experiment = client.create_experiment("qa")
    made = genai.create_dataset(name="questions", experiment_id=experiment, tags={"team": "grid"})
    assert (made.name, made.experiment_ids, made.tags["team"]) == ("questions", [experiment], "grid")
    assert (made.schema, made.profile) == (None, None)
    made.merge_records(
        [
            {"inputs": {"q": "a", "n": 1}, "expectations": {"answer": "A"}, "tags": {"kind": "easy"}},
            {"inputs": {"n": 2, "q": "b"}, "outputs": {"text": "B"}},
        ]
    )
    made.merge_records(pd.DataFrame([{"inputs": {"n": 1, "q": "a"}, "expectations": {"length": 1}}]))
    found = client.get_dataset(made.dataset_id)
    assert (json.loads(found.profile), found.digest != made.digest) == ({"num_records": 2}, True)
    assert json.loads(found.schema)["inputs"] == {"q": "string", "n": "integer"}
    first, second = found.records
    assert (first.inputs, first.expectations) == ({"q": "a", "n": 1}, {"answer": "A", "length": 1})
    assert first.tags["kind"] == "easy"
    assert (second.inputs, second.outputs) == ({"n": 2, "q": "b"}, {"text": "B"})
    assert list(found.to_df()["inputs"]) == [first.inputs, second.inputs]
    assert found.delete_records([second.dataset_record_id, "dr-absent"]) == 1
    kept = client.get_dataset(made.dataset_id)
    assert ([each.dataset_record_id for each in kept.records], json.loads(kept.profile)) == (
        [first.dataset_record_id],
        {"num_records": 1},
    )
    genai.delete_dataset(dataset_id=made.dataset_id)
    with pytest.raises(MlflowException, match="not found") as caught:
        genai.get_dataset(dataset_id=made.dataset_id)
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert tracking_server.platform.events.verify().intact


def test_tags_and_experiments_change(client: MlflowClient) -> None:
    first, second = (client.create_experiment(name) for name in ("one", "two"))
    made = client.create_dataset(name="d", experiment_id=[first], tags={"a": "1"})
    client.set_dataset_tags(made.dataset_id, {"a": "2", "b": "3"})
    client.delete_dataset_tag(made.dataset_id, "b")
    client.delete_dataset_tag(made.dataset_id, "absent")
    assert client.get_dataset(made.dataset_id).tags["a"] == "2"
    assert "b" not in client.get_dataset(made.dataset_id).tags
    genai.add_dataset_to_experiments(made.dataset_id, [second, first])
    assert client.get_dataset(made.dataset_id).experiment_ids == [first, second]
    genai.remove_dataset_from_experiments(made.dataset_id, [first])
    assert client.get_dataset(made.dataset_id).experiment_ids == [second]
    with pytest.raises(MlflowException, match="No Experiment with id=99999"):
        genai.add_dataset_to_experiments(made.dataset_id, ["99999"])


def test_datasets_are_searched_in_pages(client: MlflowClient) -> None:
    experiment = client.create_experiment("qa")
    for name in ("alpha", "beta", "Gamma"):
        client.create_dataset(name=name, experiment_id=experiment, tags={"kind": name[0]})
    mine = [experiment]
    assert [each.name for each in client.search_datasets(experiment_ids=mine)] == ["Gamma", "beta", "alpha"]
    by_name = client.search_datasets(experiment_ids=mine, order_by=["name ASC"], max_results=2)
    rest = client.search_datasets(experiment_ids=mine, order_by=["name ASC"], max_results=2, page_token=by_name.token)
    assert [each.name for each in (*by_name, *rest)] == ["Gamma", "alpha", "beta"]
    assert not rest.token
    for text, names in (
        ("name LIKE '%a'", ["Gamma", "beta", "alpha"]),
        ("name ILIKE 'g%'", ["Gamma"]),
        ("tags.kind = 'b'", ["beta"]),
        ("name IN ('alpha', 'beta') AND created_time > 0", ["beta", "alpha"]),
    ):
        assert [each.name for each in client.search_datasets(experiment_ids=mine, filter_string=text)] == names
    assert list(client.search_datasets(experiment_ids=["77"])) == []
    with pytest.raises(MlflowException) as caught:
        client.search_datasets(filter_string="bad = 1")
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_many_records_come_back_whole_through_pages(client: MlflowClient) -> None:
    made = client.create_dataset(name="many")
    made.merge_records([{"inputs": {"n": number}} for number in range(1_234)])
    found = client.get_dataset(made.dataset_id).records
    assert sorted(each.inputs["n"] for each in found) == list(range(1_234))
    made.merge_records([{"inputs": {"n": number}, "outputs": "again"} for number in range(1_234)])
    assert {each.outputs for each in client.get_dataset(made.dataset_id).records} == {"again"}


def test_where_a_record_comes_from_is_kept(tracking_server: TrackingServer) -> None:
    _, made = send(tracking_server, "POST", "create", {"name": "d"})
    dataset_id = made["dataset"]["dataset_id"]  # type: ignore[index]
    records = [
        {"inputs": {"q": 1}, "source": {"source_type": "trace", "source_data": {"trace_id": "tr-1"}}},
        {"inputs": {"q": 2}, "source": {"source_type": "HUMAN", "source_data": {"source_id": "ann"}}},
        {"inputs": {"q": 3}, "tags": {"mlflow.user": "bob"}},
    ]
    assert send(tracking_server, "POST", f"{dataset_id}/records", {"records": json.dumps(records)}) == (
        200,
        {"inserted_count": 3, "updated_count": 0},
    )
    _, page = send(tracking_server, "GET", f"{dataset_id}/records?max_results=2")
    _, rest = send(tracking_server, "GET", f"{dataset_id}/records?page_token={page['next_page_token']}")
    kept = [*json.loads(str(page["records"])), *json.loads(str(rest["records"]))]
    assert [(each.get("source_type"), each.get("source_id")) for each in kept] == [
        ("TRACE", "tr-1"),
        ("HUMAN", "ann"),
        (None, None),
    ]
    assert (kept[2]["created_by"], kept[2]["outputs"], kept[2]["tags"]) == ("bob", {}, {"mlflow.user": "bob"})


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "create", {}, 400),
        ("POST", "create", {"name": "x" * 256}, 400),
        ("POST", "create", {"name": "n", "tags": "no json"}, 400),
        ("POST", "create", {"name": "n", "tags": "[]"}, 400),
        ("GET", "absent", None, 404),
        ("GET", "absent/records", None, 200),
        ("GET", "absent/experiment-ids", None, 200),
        ("GET", "absent/records?page_token=x", None, 400),
        ("POST", "absent/records", {"records": "[]"}, 404),
        ("POST", "{id}/records", {}, 400),
        ("POST", "{id}/records", {"records": "no json"}, 400),
        ("POST", "{id}/records", {"records": "{}"}, 400),
        ("POST", "{id}/records", {"records": "[1]"}, 400),
        ("POST", "{id}/records", {"records": '[{"inputs": null}]'}, 400),
        ("POST", "{id}/records", {"records": '[{"inputs": {}, "tags": []}]'}, 400),
        ("POST", "{id}/records", {"records": '[{"inputs": {}, "source": {"source_type": "BAD"}}]'}, 400),
        ("POST", "{id}/records", {"records": "[" * 100_000}, 400),
        ("PATCH", "{id}/tags", {}, 400),
        ("PATCH", "absent/tags", {"tags": "{}"}, 404),
        ("DELETE", "{id}/tags/absent", None, 200),
        ("DELETE", "absent/tags/k", None, 200),
        ("DELETE", "absent", None, 200),
        ("DELETE", "absent/records", {"dataset_record_ids": ["x"]}, 404),
        ("DELETE", "{id}/records", {"dataset_record_ids": ["x"]}, 200),
        ("POST", "absent/add-experiments", {"experiment_ids": ["0"]}, 404),
        ("POST", "{id}/add-experiments", {"experiment_ids": ["x"]}, 404),
        ("POST", "{id}/remove-experiments", {"experiment_ids": ["x"]}, 200),
        ("POST", "search", {"max_results": 0}, 400),
        ("POST", "search", {"max_results": 50_001}, 400),
        ("POST", "search", {"page_token": "x"}, 400),
        ("POST", "search", {"order_by": ["bad"]}, 400),
        ("GET", "search?max_results=1&filter_string=name%3D'd'", None, 200),
    ],
)
def test_every_request_has_its_status_and_a_bad_one_writes_nothing(
    tracking_server: TrackingServer, method: str, path: str, body: object, status: int
) -> None:
    _, made = send(tracking_server, "POST", "create", {"name": "d"})
    dataset_id = str(made["dataset"]["dataset_id"])  # type: ignore[index]
    answered, answer = send(tracking_server, method, path.format(id=dataset_id), body)
    assert answered == status, answer
    records, _ = tracking_server.platform.tracking.evaluation.records(dataset_id)
    assert records == []
    assert tracking_server.platform.tracking.evaluation.get(dataset_id).profile == ""


def test_an_id_that_no_database_can_keep_belongs_to_nothing(tracking_server: TrackingServer) -> None:
    assert send(tracking_server, "GET", "d%00")[0] == 404
    assert send(tracking_server, "PATCH", "d%00/tags", {"tags": "{}"})[0] == 404
    assert send(tracking_server, "POST", "d%00/add-experiments", {"experiment_ids": ["0"]})[0] == 404
    for method, path in (
        ("DELETE", "d%00"),
        ("DELETE", "d%00/tags/a"),
        ("GET", "d%00/experiment-ids"),
        ("GET", "d%00/records"),
    ):
        assert send(tracking_server, method, path)[0] == 200
