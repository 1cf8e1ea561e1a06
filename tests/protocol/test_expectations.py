"""What MLflow's own test suite expects of a server, checked here in our words by its own store and client."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    Metric,
    Run,
    RunStatus,
    ViewType,
)
from mlflow.entities.model_registry import RegisteredModelTag
from mlflow.exceptions import MlflowException
from tests.protocol.serving import TrackingServer

from flyball.tracking.names import ADJECTIVES

API = "/api/2.0/mlflow/"


@pytest.fixture
def client(tracking_server: TrackingServer) -> MlflowClient:
    return MlflowClient(tracking_server.url)


def test_an_experiment_comes_back_with_all_its_runs(client: MlflowClient) -> None:
    experiment_id = client.create_experiment("e")
    before, along = (client.create_run(experiment_id).info.run_id for _ in range(2))
    client.delete_run(before)
    client.delete_experiment(experiment_id)
    client.restore_experiment(experiment_id)
    assert {run.info.run_id for run in client.search_runs([experiment_id])} == {before, along}


def test_a_run_that_ended_without_a_time_is_sorted_last_both_ways(client: MlflowClient) -> None:
    store = client._tracking_client.store
    for name, end in (("late", 20), ("open", None), ("early", 10)):
        run_id = client.create_run("0", run_name=name).info.run_id
        info = store.update_run_info(run_id, RunStatus.FINISHED, end, None)
        assert (info.status, info.end_time) == ("FINISHED", end)

    def names(order: str) -> list[str]:
        return [run.info.run_name for run in client.search_runs(["0"], order_by=[order])]

    assert names("end_time ASC") == ["early", "late", "open"]
    assert names("end_time DESC") == ["late", "early", "open"]
    kept = store.update_run_info(client.search_runs(["0"], "run_name = 'late'")[0].info.run_id, None, None, "renamed")
    assert (kept.status, kept.end_time, kept.run_name) == ("FINISHED", 20, "renamed")


def test_a_name_that_the_server_makes_begins_as_one_of_mlflow(client: MlflowClient) -> None:
    from mlflow.utils import name_utils

    made: Run = client.create_run("0")
    assert made.info.run_name is not None
    assert made.info.run_name.split("-")[0] in ADJECTIVES
    assert set(ADJECTIVES) <= set(name_utils._GENERATOR_PREDICATES)


def test_more_than_a_thousand_datasets_fit_into_one_call_and_are_shown_to_a_thousand(
    client: MlflowClient, tracking_server: TrackingServer
) -> None:
    run_id = client.create_run("0").info.run_id
    read = [DatasetInput(Dataset(f"n{i}", f"d{i}", "local", "s"), []) for i in range(1_001)]
    client.log_inputs(run_id, read)
    found = tracking_server.request("POST", f"{API}experiments/search-datasets", json={"experiment_ids": ["0"]}).json()
    assert len(found["dataset_summaries"]) == 1_000


def test_a_logged_model_may_name_a_run_that_is_elsewhere(client: MlflowClient) -> None:
    made = client.create_logged_model("0", source_run_id="123")
    assert client.get_logged_model(made.model_id).source_run_id == "123"
    assert [found.model_id for found in client.search_logged_models(["0"], "source_run_id = '123'")] == [made.model_id]
    with pytest.raises(MlflowException, match="'source_run_id' exceeds"):
        client.create_logged_model("0", source_run_id="r" * 33)


def test_a_page_token_of_logged_models_goes_on_with_its_own_search_only(client: MlflowClient) -> None:
    other = client.create_experiment("other")
    made = [client.create_logged_model("0", name=f"m{i}", tags={"a": "b"}).model_id for i in range(3)]
    first = client.search_logged_models(["0"], "tags.a = 'b'", max_results=2, order_by=[{"field_name": "name"}])
    assert [found.model_id for found in first] == made[:2]
    again = {"filter_string": "tags.a = 'b'", "order_by": [{"field_name": "name"}], "page_token": first.token}
    rest = client.search_logged_models(["0"], max_results=100, **again)
    assert ([found.model_id for found in rest], rest.token) == (made[2:], None)
    for changed, said in (
        ({"experiment_ids": [other]}, "Experiment IDs in the page token do not match"),
        ({"filter_string": "tags.a = 'c'"}, "Filter string in the page token does not match"),
        ({"order_by": [{"field_name": "creation_time"}]}, "Order by in the page token does not match"),
        ({"page_token": "eyJvZmZzZXQiOiAxfQ=="}, "Invalid page token"),
    ):
        with pytest.raises(MlflowException, match=said):
            client.search_logged_models(**{"experiment_ids": ["0"], **again, **changed})


def test_logged_models_are_ordered_by_a_metric_on_the_digest_of_a_dataset(client: MlflowClient) -> None:
    run_id = client.create_run("0").info.run_id
    first, second = (client.create_logged_model("0", name=name).model_id for name in ("first", "second"))
    points = ((first, "x", 0.9), (first, "y", 0.1), (second, "x", 0.8), (second, "y", 0.2))
    client.log_batch(
        run_id,
        metrics=[
            Metric("acc", value, 1, 0, model_id=model_id, dataset_name=f"n{digest}", dataset_digest=digest)
            for model_id, digest, value in points
        ],
    )

    def ordered(digest: str) -> list[str]:
        order = [{"field_name": "metrics.acc", "dataset_digest": digest}]
        return [found.model_id for found in client.search_logged_models(["0"], order_by=order)]

    assert ordered("x") == [second, first]
    assert ordered("y") == [first, second]


def test_a_filter_that_cannot_be_read_is_refused_in_the_words_that_clients_look_for(client: MlflowClient) -> None:
    def refused(said: str, search: object, *args: object, **named: object) -> None:
        with pytest.raises(MlflowException, match=said):
            search(*args, **named)  # type: ignore[operator]

    refused("Invalid filter string: ", client.search_logged_models, ["0"], "Foo")
    refused("Invalid filter string: ", client.search_logged_models, ["0"], "name = 'a' OR name = 'b'")
    refused("Invalid comparison operator", client.search_logged_models, ["0"], "name > 'foo'")
    refused("Invalid comparison operator", client.search_logged_models, ["0"], "metrics.foo LIKE 0")
    refused(r"Invalid clause\(s\) in filter string", client.search_registered_models, "unheard = true")
    refused("either not quoted or unidentified quote types", client.search_registered_models, "name!=something")
    refused("either not quoted or unidentified quote types", client.search_runs, ["0"], "tags.a = b")
    refused("but got different type in list", client.search_model_versions, "run_id IN (1, 2)")
    refused("but got ill-formed list", client.search_model_versions, "run_id IN (,)")
    refused(
        "Invalid order by key 'creation_timestamp'", client.search_registered_models, order_by=["creation_timestamp"]
    )


def test_what_is_archived_on_the_way_has_the_time_of_what_moved(client: MlflowClient) -> None:
    client.create_registered_model("m")
    for _ in range(2):
        client.create_model_version("m", "s3://bucket/model")
    client.transition_model_version_stage("m", "1", "Staging")
    client.transition_model_version_stage("m", "2", "Staging", archive_existing_versions=True)
    old, new = (client.get_model_version("m", number) for number in ("1", "2"))
    assert (old.current_stage, new.current_stage) == ("Archived", "Staging")
    assert old.last_updated_timestamp == new.last_updated_timestamp


def test_a_prompt_that_is_there_already_is_called_one(client: MlflowClient) -> None:
    registry = client._get_registry_client().store
    prompt = [RegisteredModelTag("mlflow.prompt.is_prompt", "true")]
    registry.create_registered_model("p", tags=prompt)
    with pytest.raises(MlflowException, match=r"Prompt \(name=p\) already exists") as refused:
        registry.create_registered_model("p", tags=prompt)
    assert refused.value.error_code == "RESOURCE_ALREADY_EXISTS"


def test_a_path_with_another_method_says_which_it_takes(tracking_server: TrackingServer) -> None:
    for method, path, allowed in (
        ("GET", f"{API}runs/create", "POST"),
        ("PUT", "/get-artifact", "GET, HEAD"),
        ("POST", f"{API}experiments/get", "GET, HEAD"),
        ("DELETE", "/ajax-api/2.0/mlflow/experiments/search", "GET, HEAD, POST"),
    ):
        answer = tracking_server.request(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, allowed)
        assert b"error_code" not in answer.data


def test_deleted_runs_are_found_where_they_are_asked_for(client: MlflowClient) -> None:
    kept, gone = (client.create_run("0").info.run_id for _ in range(2))
    client.delete_run(gone)
    for view, found in ((ViewType.ACTIVE_ONLY, {kept}), (ViewType.DELETED_ONLY, {gone}), (ViewType.ALL, {kept, gone})):
        assert {run.info.run_id for run in client.search_runs(["0"], run_view_type=view)} == found
