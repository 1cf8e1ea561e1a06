"""What `mlflow server` answers about runs, params, tags, inputs and outputs, request by request, is what this server answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.protocol.serving import TrackingServer

API = "/api/2.0/mlflow/"
INVALID, MISSING = "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"
NOBODY = "f" * 32
DATASET = {"name": "n1", "digest": "d1", "source_type": "st", "source": "s"}


@pytest.fixture
def run_id(tracking_server: TrackingServer) -> str:
    return str(tracking_server.platform.tracking.runs.create("0", name="first", actor="user:owner").info.run_id)


def post(server: TrackingServer, path: str, /, **body: object) -> Any:
    return server.request("POST", API + path, json=body).json()


def refused(server: TrackingServer, path: str, status: int, code: str, message: str, /, **body: object) -> None:
    answer = server.request("POST", API + path, json=body)
    assert (answer.status, answer.json().get("error_code")) == (status, code), (path, body, answer.data)
    assert message in answer.json()["message"], (path, body)


def run_of(server: TrackingServer, run_id: str) -> Any:
    return server.request("GET", f"{API}runs/get", fields={"run_id": run_id}).json()["run"]


def tags_of(server: TrackingServer, run_id: str) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run_of(server, run_id)["data"]["tags"]}


def test_wrong_types_and_missing_values_are_told_in_the_words_of_the_protocol(
    tracking_server: TrackingServer, run_id: str
) -> None:
    for path, field, value in (
        ("runs/create", "experiment_id", 0),
        ("runs/create", "start_time", "soon"),
        ("runs/create", "run_name", 7),
        ("runs/update", "end_time", "abc"),
        ("runs/update", "run_name", 5),
        ("runs/log-parameter", "key", 31),
        ("runs/log-parameter", "value", 41),
        ("runs/set-tag", "value", 41),
        ("runs/log-batch", "params", "foo"),
        ("runs/log-batch", "tags", "foo"),
        ("runs/log-inputs", "datasets", "x"),
        ("runs/outputs", "models", "x"),
        ("runs/log-model", "model_json", 5),
        ("runs/search", "max_results", "x"),
        ("runs/search", "filter", 5),
    ):
        known = {"experiment_id": "0"} if path == "runs/create" else {"run_id": run_id, "key": "k"}
        said = f"Invalid value {json.dumps(value)} for parameter '{field}' supplied:  Hint: Value was of type "
        refused(tracking_server, path, 400, INVALID, f"{said}'{type(value).__name__}'. See", **{**known, field: value})
    for path, field in (
        ("runs/update", "run_id"),
        ("runs/delete", "run_id"),
        ("runs/restore", "run_id"),
        ("runs/set-tag", "key"),
        ("runs/delete-tag", "key"),
        ("runs/log-parameter", "key"),
        ("runs/log-batch", "run_id"),
        ("runs/log-inputs", "run_id"),
        ("runs/outputs", "models"),
        ("runs/log-model", "model_json"),
    ):
        given = {} if field == "run_id" else {"run_id": run_id}
        said = f"Missing value for required parameter '{field}'. See the API docs for more information about request"
        refused(tracking_server, path, 400, INVALID, said, **given)


def test_a_run_that_is_not_there_is_not_found_by_any_verb(tracking_server: TrackingServer) -> None:
    for run_id in (NOBODY, "fake_run_id", "../x"):
        for path, more in (
            ("runs/update", {"status": "FINISHED"}),
            ("runs/delete", {}),
            ("runs/restore", {}),
            ("runs/set-tag", {"key": "k"}),
            ("runs/delete-tag", {"key": "k"}),
            ("runs/log-parameter", {"key": "k"}),
            ("runs/log-batch", {"params": [{"key": "a", "value": "1"}]}),
            ("runs/log-inputs", {"datasets": [{"dataset": DATASET}]}),
        ):
            said = f"Run with id={run_id} not found"
            refused(tracking_server, path, 404, MISSING, said, run_id=run_id, **more)


def test_a_deleted_run_takes_nothing_and_comes_back_as_it_was(tracking_server: TrackingServer, run_id: str) -> None:
    before = run_of(tracking_server, run_id)
    assert post(tracking_server, "runs/delete", run_id=run_id) == {}
    said = f"The run {run_id} must be in the 'active' state. Current state is deleted."
    for path, more in (
        ("runs/update", {"status": "FINISHED"}),
        ("runs/log-metric", {"key": "m", "value": 1, "timestamp": 1}),
        ("runs/log-parameter", {"key": "k", "value": "1"}),
        ("runs/set-tag", {"key": "k"}),
        ("runs/delete-tag", {"key": "k"}),
        ("runs/log-batch", {}),
        ("runs/log-inputs", {"datasets": [{"dataset": DATASET}]}),
        ("runs/log-model", {"model_json": json.dumps(dict.fromkeys(("artifact_path", "flavors", "utc_time_created", "run_id"), "x"))}),
    ):  # fmt: skip
        refused(tracking_server, path, 400, INVALID, said, run_id=run_id, **more)
    for _ in range(2):
        assert post(tracking_server, "runs/restore", run_id=run_id) == {}
    assert run_of(tracking_server, run_id) == before


def test_a_run_begins_with_any_tags_and_agrees_on_its_name(tracking_server: TrackingServer) -> None:
    tags = [{"key": "a;b", "value": "x"}, {"key": "long", "value": "y" * 9_000}, {"key": "mlflow.user", "value": "ann"}]
    made = post(tracking_server, "runs/create", experiment_id="0", tags=tags, start_time="77")["run"]
    assert (made["info"]["start_time"], made["info"]["user_id"], made["inputs"]) == (77, "ann", {})
    kept = tags_of(tracking_server, made["info"]["run_id"])
    assert (kept["a;b"], len(kept["long"]), kept["mlflow.runName"]) == ("x", 8_000, made["info"]["run_name"])
    clash = [{"key": "mlflow.runName", "value": "b"}]
    said = "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='a', "
    refused(tracking_server, "runs/create", 400, INVALID, said, experiment_id="0", run_name="a", tags=clash)
    for text, code, status in (("x", INVALID, 400), ("99999", MISSING, 404)):
        refused(tracking_server, "runs/create", status, code, "", experiment_id=text)


def test_params_never_change_and_say_so_alone_and_in_a_batch(tracking_server: TrackingServer, run_id: str) -> None:
    for _ in range(2):
        assert post(tracking_server, "runs/log-parameter", run_uuid=run_id, key="p", value="1") == {}
    said = "Changing param values is not allowed. Param with key='p' was already logged with value='1' for run ID='"
    refused(tracking_server, "runs/log-parameter", 400, INVALID, said, run_id=run_id, key="p", value="2")
    batch = [{"key": "new", "value": "1"}, {"key": "p", "value": "2"}]
    said = f"already logged='[{{'key': 'p', 'old_value': '1', 'new_value': '2'}}]' for run ID='{run_id}'."
    refused(tracking_server, "runs/log-batch", 400, INVALID, said, run_id=run_id, params=batch)
    twice = [{"key": "d", "value": "1"}, {"key": "d", "value": "1"}]
    said = (
        "Duplicate parameter keys have been submitted: ['d']. Please ensure the request contains only one param value"
    )
    refused(tracking_server, "runs/log-batch", 400, INVALID, said, run_id=run_id, params=twice)
    assert run_of(tracking_server, run_id)["data"]["params"] == [{"key": "p", "value": "1"}]


def test_keys_are_held_to_the_rules_and_named_by_their_place(tracking_server: TrackingServer, run_id: str) -> None:
    bad, path, long = "a;b", "../x", "k" * 251
    names = "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and"
    other = "must not resolve to other names when treated as such. This name would resolve to '../x'"
    for verb in ("runs/log-parameter", "runs/set-tag"):
        said = f"Invalid value \"a;b\" for parameter 'key' supplied: {names}"
        refused(tracking_server, verb, 400, INVALID, said, run_id=run_id, key=bad, value="1")
        refused(tracking_server, verb, 400, INVALID, other, run_id=run_id, key=path, value="1")
    said = "'Param key' exceeds the maximum length of 250 characters"
    refused(tracking_server, "runs/log-parameter", 400, INVALID, said, run_id=run_id, key=long, value="1")
    for kind, long_said in (("params", said), ("tags", "'tags[1].key' exceeds the maximum length of 250")):
        for key, message in ((bad, f"for parameter '{kind}[1].key' supplied: {names}"), (long, long_said)):
            items = [{"key": "fine", "value": "1"}, {"key": key, "value": "1"}]
            refused(tracking_server, "runs/log-batch", 400, INVALID, message, run_id=run_id, **{kind: items})
        said = f"Missing value for required parameter '{kind}[0].key'"
        refused(tracking_server, "runs/log-batch", 400, INVALID, said, run_id=run_id, **{kind: [{"value": "1"}]})
    for kind in ("params", "tags"):
        items = [{"key": f"k{at}", "value": "1"} for at in range(101)]
        said = f"A batch logging request can contain at most 100 {kind}. Got 101 {kind}. Please split up {kind} across"
        refused(tracking_server, "runs/log-batch", 400, INVALID, said, run_id=run_id, **{kind: items})


def test_a_batch_at_its_limits_of_counts_and_lengths_is_taken(tracking_server: TrackingServer, run_id: str) -> None:
    params = [{"key": f"p{at}", "value": "x" * 6_000} for at in range(100)]
    tags = [{"key": f"t{at}", "value": "y" * 8_000} for at in range(100)]
    assert post(tracking_server, "runs/log-batch", run_id=run_id, params=params, tags=tags) == {}
    data = run_of(tracking_server, run_id)["data"]
    assert (len(data["params"]), len(data["tags"])) == (100, 101)


def test_a_name_and_its_tag_follow_each_other(tracking_server: TrackingServer, run_id: str) -> None:
    def names() -> tuple[str, str]:
        found = run_of(tracking_server, run_id)
        return found["info"]["run_name"], tags_of(tracking_server, run_id)["mlflow.runName"]

    post(tracking_server, "runs/set-tag", run_id=run_id, key="mlflow.runName", value="by tag")
    assert names() == ("by tag", "by tag")
    for verb, body in (
        ("runs/set-tag", {"key": "mlflow.runName", "value": ""}),
        ("runs/update", {"run_name": ""}),
        ("runs/log-batch", {"tags": [{"key": "mlflow.runName", "value": ""}]}),
    ):
        post(tracking_server, verb, run_id=run_id, **body)
        assert names() == ("by tag", "by tag")
    info = post(tracking_server, "runs/update", run_uuid=run_id, run_name="by update")["run_info"]
    assert (info["run_name"], names()) == ("by update", ("by update", "by update"))


def test_a_status_is_a_name_or_a_number_and_an_end_of_zero_is_none(
    tracking_server: TrackingServer, run_id: str
) -> None:
    info = post(tracking_server, "runs/update", run_id=run_id, status=3, end_time="999")["run_info"]
    assert (info["status"], info["end_time"]) == ("FINISHED", 999)
    assert post(tracking_server, "runs/update", run_id=run_id, status="4")["run_info"]["status"] == "FAILED"
    assert "end_time" not in post(tracking_server, "runs/update", run_id=run_id, end_time=0)["run_info"]
    for value in ("DONE", "finished", 99):
        said = f"Invalid value {json.dumps(value)} for parameter 'status' supplied:  Hint: Value was of type"
        refused(tracking_server, "runs/update", 400, INVALID, said, run_id=run_id, status=value)


def test_tags_are_deleted_once_whatever_their_key(tracking_server: TrackingServer, run_id: str) -> None:
    post(tracking_server, "runs/set-tag", run_id=run_id, key="t", value="1")
    assert post(tracking_server, "runs/delete-tag", run_id=run_id, key="t") == {}
    for key in ("t", "a;b"):
        said = f"No tag with name: {key} in run with id {run_id}"
        refused(tracking_server, "runs/delete-tag", 404, MISSING, said, run_id=run_id, key=key)


def test_inputs_are_kept_once_with_the_tags_they_came_with(tracking_server: TrackingServer, run_id: str) -> None:
    tags = [{"key": "mlflow.data.context", "value": "train"}, {"key": "any;key", "value": "1"}]
    for given in (tags, tags, [{"key": "new", "value": "x"}]):
        datasets = [{"dataset": DATASET, "tags": given}]
        assert post(tracking_server, "runs/log-inputs", run_id=run_id, datasets=datasets) == {}
    (kept,) = run_of(tracking_server, run_id)["inputs"]["dataset_inputs"]
    assert kept["dataset"] == DATASET
    assert {tag["key"]: tag["value"] for tag in kept["tags"]} == {"mlflow.data.context": "train", "any;key": "1"}
    for field, limit in (("name", 500), ("digest", 36), ("source", 65_535), ("schema", 1_048_575)):
        long = [{"dataset": {**DATASET, field: "x" * (limit + 1)}}]
        said = f"'{field}' exceeds the maximum length of {limit} characters"
        refused(tracking_server, "runs/log-inputs", 400, INVALID, said, run_id=run_id, datasets=long)
    for field, tag in (("key", {"key": "x" * 256}), ("value", {"key": "k", "value": "v" * 501})):
        wide = [{"dataset": {**DATASET, "name": "n2"}, "tags": [tag]}]
        said = f"'{field}' exceeds the maximum length of"
        refused(tracking_server, "runs/log-inputs", 400, INVALID, said, run_id=run_id, datasets=wide)


def test_models_that_a_run_reads_and_makes_are_kept(tracking_server: TrackingServer, run_id: str) -> None:
    model = post(tracking_server, "logged-models", experiment_id="0", name="m")["model"]["info"]["model_id"]
    for _ in range(2):
        assert post(tracking_server, "runs/log-inputs", run_id=run_id, models=[{"model_id": model}]) == {}
        assert post(tracking_server, "runs/outputs", run_id=run_id, models=[{"model_id": model, "step": 3}]) == {}
    found = run_of(tracking_server, run_id)
    assert found["inputs"]["model_inputs"] == [{"model_id": model}]
    assert found["outputs"]["model_outputs"] == [{"model_id": model, "step": 3}]
    assert post(tracking_server, "runs/outputs", run_id=run_id, models=[]) == {}


def test_old_clients_keep_their_models_in_a_tag(tracking_server: TrackingServer, run_id: str) -> None:
    description = {
        "artifact_path": "model",
        "flavors": {"python_function": {"loader_module": "x", "config": {"secret": 1}}},
        "utc_time_created": "2020-01-01 00:00:00",
        "run_id": run_id,
        "model_uuid": "u",
        "signature": {"inputs": "[]"},
    }
    for path in ("model", "model/path/2"):
        text = json.dumps({**description, "artifact_path": path})
        assert post(tracking_server, "runs/log-model", run_id=run_id, model_json=text) == {}
    history = json.loads(tags_of(tracking_server, run_id)["mlflow.log-model.history"])
    assert [model["artifact_path"] for model in history] == ["model", "model/path/2"]
    kept = {key: description[key] for key in ("utc_time_created", "run_id", "model_uuid")}
    assert history[0] == {**kept, "artifact_path": "model", "flavors": {"python_function": {"loader_module": "x"}}}
    for text, said in (
        ("zzz", "Malformed model info. \n zzz \n is not a valid JSON."),
        ("[1]", "Malformed model info"),
        ('{"artifact_path": "a"}', "Model json is missing mandatory fields: {"),
    ):
        refused(tracking_server, "runs/log-model", 400, INVALID, said, run_id=run_id, model_json=text)
    refused(
        tracking_server, "runs/log-model", 404, MISSING, "not found", run_id=NOBODY, model_json=json.dumps(description)
    )
