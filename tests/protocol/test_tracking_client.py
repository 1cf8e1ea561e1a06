"""The official MLflow client, unmodified, does what its users do every day."""

from __future__ import annotations

import math
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from tests.protocol.serving import TrackingServer

from flyball.tracking.events import run_ref

pytestmark = pytest.mark.usefixtures("tracking_server")


def test_a_new_experiment_is_made_on_first_use_and_found_again() -> None:
    made = mlflow.set_experiment("wind")
    assert (made.name, made.artifact_location) == ("wind", f"mlflow-artifacts:/{made.experiment_id}")
    assert mlflow.set_experiment("wind").experiment_id == made.experiment_id
    assert mlflow.get_experiment("0").name == "Default"


def test_an_experiment_lives_through_all_its_verbs() -> None:
    client = MlflowClient()
    key = client.create_experiment("a", tags={"team": "grid"})
    client.set_experiment_tag(key, "phase", "1")
    client.rename_experiment(key, "b")
    assert client.get_experiment_by_name("a") is None
    assert client.get_experiment(key).tags == {"team": "grid", "phase": "1"}
    client.delete_experiment_tag(key, "phase")
    with pytest.raises(MlflowException) as caught:
        client.create_experiment("b")
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"
    client.delete_experiment(key)
    assert [found.name for found in client.search_experiments()] == ["Default"]
    assert [found.name for found in client.search_experiments(view_type=ViewType.DELETED_ONLY)] == ["b"]
    client.restore_experiment(key)
    assert [found.name for found in client.search_experiments(filter_string="tags.team = 'grid'")] == ["b"]


def test_a_run_logs_params_metrics_and_tags() -> None:
    with mlflow.start_run(run_name="first", description="a note") as run:
        mlflow.log_param("depth", 3)
        mlflow.log_params({"rate": 0.1, "name": "x" * 7_000})
        mlflow.log_metric("loss", 0.5, step=1)
        mlflow.log_metrics({"loss": 0.25, "acc": 0.9}, step=2)
        mlflow.set_tags({"stage": "dev", "gone": "x"})
        mlflow.delete_tag("gone")
    found = mlflow.get_run(run.info.run_id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "first")
    assert found.info.end_time >= found.info.start_time
    assert found.data.metrics == {"loss": 0.25, "acc": 0.9}
    assert (found.data.params["depth"], found.data.params["rate"]) == ("3", "0.1")
    assert len(found.data.params["name"]) == 6_000
    assert (found.data.tags["stage"], found.data.tags["mlflow.note.content"]) == ("dev", "a note")
    assert "gone" not in found.data.tags


def test_a_param_cannot_be_changed() -> None:
    with mlflow.start_run():
        mlflow.log_param("depth", 3)
        mlflow.log_param("depth", 3)
        with pytest.raises(MlflowException, match="Changing param values is not allowed"):
            mlflow.log_param("depth", 5)


def test_a_batch_is_all_or_nothing() -> None:
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    client.log_batch(
        run_id,
        metrics=[Metric("m", float(step), 1, step) for step in range(900)],
        params=[Param("a", "1")],
        tags=[RunTag("t", "1")],
    )
    with pytest.raises(MlflowException, match="Changing param values"):
        client.log_batch(
            run_id, metrics=[Metric("m", 5.0, 1, 5_000)], params=[Param("a", "2")], tags=[RunTag("t", "2")]
        )
    found = client.get_run(run_id).data
    assert (found.metrics["m"], found.params, found.tags["t"]) == (899.0, {"a": "1"}, "1")
    assert len(client.get_metric_history(run_id, "m")) == 900


def test_numbers_that_are_none_come_back() -> None:
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    values = [1.0, math.nan, math.inf, -math.inf, -2.5e-300]
    for at, value in enumerate(values):
        client.log_metric(run_id, "m", value, timestamp=at, step=-at)
        client.log_metric(run_id, "m", value, timestamp=at, step=-at)
    history = client.get_metric_history(run_id, "m")
    largest = 1.7976931348623157e308
    assert [str(point.value) for point in history] == [
        str(value) for value in (1.0, math.nan, largest, -largest, -2.5e-300)
    ]
    assert [point.step for point in history] == [0, -1, -2, -3, -4]
    assert client.get_run(run_id).data.metrics == {"m": 1.0}


def test_nested_runs_know_their_parent() -> None:
    with mlflow.start_run() as parent:
        with mlflow.start_run(nested=True) as child:
            mlflow.log_metric("m", 1)
        with pytest.raises(MlflowException), mlflow.start_run(nested=True):
            mlflow.log_metric("bad;key", 1)
    found = MlflowClient().get_run(child.info.run_id)
    assert found.data.tags["mlflow.parentRunId"] == parent.info.run_id
    below = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'", output_format="list")
    assert sorted(run.info.status for run in below) == ["FAILED", "FINISHED"]


def test_runs_are_searched_filtered_sorted_and_paged() -> None:
    client = MlflowClient()
    for at in range(7):
        run_id = client.create_run("0", start_time=at + 1, run_name=f"run {at}").info.run_id
        client.log_metric(run_id, "val acc", math.nan if at == 3 else at / 10)
        client.log_param(run_id, "kind", "even" if at % 2 == 0 else "odd")
    found = client.search_runs(
        ["0"], "metrics.`val acc` >= 0.2 and params.kind = 'even'", order_by=["metrics.`val acc`"]
    )
    assert [run.info.run_name for run in found] == ["run 2", "run 4", "run 6"]
    best = client.search_runs(["0"], order_by=["metrics.`val acc` DESC"], max_results=3)
    assert [run.info.start_time for run in best] == [7, 6, 5]
    rest = client.search_runs(["0"], order_by=["metrics.`val acc` DESC"], max_results=9, page_token=best.token)
    assert [run.info.start_time for run in rest] == [3, 2, 1, 4]
    assert not rest.token
    frame = mlflow.search_runs(["0"], filter_string="attributes.run_name LIKE 'run %'", max_results=100)
    assert len(frame) == 7
    with pytest.raises(MlflowException, match="Invalid clause"):
        client.search_runs(["0"], "metrics.a > 1 OR metrics.b > 1")
    with pytest.raises(MlflowException, match="Invalid page token"):
        client.search_runs(["0"], page_token="garbage")


def test_a_run_is_deleted_restored_and_renamed() -> None:
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    client.update_run(run_id, status="FAILED", name="renamed")
    client.delete_run(run_id)
    assert client.search_runs(["0"]) == []
    with pytest.raises(MlflowException, match="must be in the 'active' state"):
        client.log_param(run_id, "a", 1)
    client.restore_run(run_id)
    found = client.get_run(run_id)
    assert (found.info.status, found.info.run_name, found.data.tags["mlflow.runName"]) == (
        "FAILED",
        "renamed",
        "renamed",
    )


def test_files_come_back_as_they_were_sent(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    files = {"a.txt": b"hello", "empty": b"", "deep/\u00fc mlaut.bin": bytes(range(256)) * 9_000}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(folder), "all")
        mlflow.log_artifact(str(folder / "a.txt"))
        mlflow.log_dict({"k": [1]}, "c/conf.json")
        mlflow.log_text("t", "note.md")
    client, run_id = MlflowClient(), run.info.run_id
    assert [found.path for found in client.list_artifacts(run_id)] == ["a.txt", "all", "c", "note.md"]
    assert [(found.path, found.file_size) for found in client.list_artifacts(run_id, "all")] == [
        ("all/a.txt", 5),
        ("all/deep", None),
        ("all/empty", 0),
    ]
    assert client.list_artifacts(run_id, "nothing") == []
    fetched = Path(client.download_artifacts(run_id, "all", str(tmp_path)))
    assert {str(path.relative_to(fetched)): path.read_bytes() for path in fetched.rglob("*") if path.is_file()} == files
    everything = Path(
        mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=".", dst_path=str(tmp_path / "w"))
    )
    assert {path.name for path in everything.iterdir()} == {"a.txt", "all", "c", "note.md"}
    assert mlflow.artifacts.load_dict(f"runs:/{run_id}/c/conf.json") == {"k": [1]}
    with pytest.raises(MlflowException):
        client.download_artifacts(run_id, "missing.txt", str(tmp_path))


def test_a_logged_dataset_leads_to_the_dataset_version(tracking_server: TrackingServer) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [0.0, 1.0]})
    dataset = mlflow.data.from_pandas(frame, source=HTTPDatasetSource("dataset-version:elec2/3"), name="elec2")
    with mlflow.start_run() as run:
        mlflow.log_input(dataset, context="training")
        mlflow.log_input(dataset, context="training")
    (used,) = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    assert (used.dataset.name, used.tags[0].value) == ("elec2", "training")
    assert len(mlflow.search_runs(filter_string="dataset.name = 'elec2'")) == 1
    edges = {edge.object for edge in tracking_server.platform.events.store.edges_from(run_ref(run.info.run_id))}
    assert edges == {"dataset-version:elec2/3"}
    assert tracking_server.platform.events.verify().intact
