"""The official MLflow client over the journal: nothing of a training script changes but its tracking URI."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tests.protocol.serving import TrackingServer

from flyball.integrations import mlflow as plugin


@pytest.fixture
def journal_uri(tracking_server: TrackingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Point the client at the same server through the journal."""
    monkeypatch.setenv("FLYBALL_HOME", str(tmp_path / "client"))
    uri = tracking_server.url.replace("http://", "flyball://")
    mlflow.set_tracking_uri(uri)
    yield uri
    while mlflow.active_run() is not None:
        mlflow.end_run()
    with contextlib.suppress(KeyError):
        plugin._sessions.pop(uri).close()
    mlflow.set_tracking_uri(tracking_server.url)


def test_a_run_arrives_as_it_was_logged(journal_uri: str, tracking_server: TrackingServer) -> None:
    mlflow.set_experiment("grid")
    with mlflow.start_run(run_name="first", tags={"team": "grid"}) as run:
        mlflow.log_params({"depth": 3, "rate": 0.1})
        for step in range(100):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"a": float("nan"), "b": float("inf")}, step=1)
        mlflow.set_tag("mood", "good")
        mlflow.log_text("hello", "notes/a.txt")
        mlflow.log_dict({"x": 1}, "x.json")
        inner = mlflow.start_run(nested=True)
        mlflow.log_metric("inner", 1.0)
        mlflow.end_run()
    client = MlflowClient()
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in history] == list(range(100))
    found = tracking_server.platform.tracking.runs.get(run.info.run_id)
    assert (found.info.name, found.info.status.value) == ("first", "FINISHED")
    assert dict(found.params) == {"depth": "3", "rate": "0.1"}
    assert (found.tags["team"], found.tags["mood"]) == ("grid", "good")
    assert client.get_run(inner.info.run_id).data.tags["mlflow.parentRunId"] == run.info.run_id
    assert client.get_run(run.info.run_id).info.artifact_uri == run.info.artifact_uri
    assert [one.path for one in client.list_artifacts(run.info.run_id)] == ["notes", "x.json"]
    assert Path(mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/notes/a.txt")).read_text() == "hello"
    assert len(mlflow.search_runs(experiment_names=["grid"], output_format="list")) == 2


def test_a_param_keeps_its_value(journal_uri: str) -> None:
    with mlflow.start_run():
        mlflow.log_param("depth", 3)
        mlflow.log_param("depth", 3)
        with pytest.raises(MlflowException, match="Changing param values is not allowed"):
            mlflow.log_param("depth", 4)


def test_what_is_too_long_for_a_row_is_in_an_artifact(journal_uri: str, tracking_server: TrackingServer) -> None:
    with mlflow.start_run() as run:
        mlflow.log_param("words", "w" * 100_000)
        mlflow.set_tag("note", "n" * 50_000)
        mlflow.log_metric("k" * 400, 1.0)
        MlflowClient().log_batch(
            run.info.run_id, metrics=[mlflow.entities.Metric("m", 1.0, at, at) for at in range(5_000)]
        )
        mlflow.log_params({f"p{number}": number for number in range(500)})
    client = MlflowClient()
    assert len(client.get_metric_history(run.info.run_id, "m")) == 5_000
    found = client.get_run(run.info.run_id).data
    assert len(found.params) == 501
    assert len(found.params["words"]) == 6_000
    path = found.params["words"].split("in the artifact ")[1].rstrip("]")
    assert Path(client.download_artifacts(run.info.run_id, path)).read_text() == "w" * 100_000
    assert "flyball/long/" in found.tags["note"]
    assert any(key.startswith("kkk") and len(key) == 250 for key in found.metrics)


def test_autologged_models_load_and_register(journal_uri: str) -> None:
    from sklearn.linear_model import LogisticRegression

    features, labels = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
    mlflow.sklearn.autolog(log_datasets=False)
    try:
        with mlflow.start_run() as run:
            LogisticRegression().fit(features, labels)
    finally:
        mlflow.sklearn.autolog(disable=True)
    client = MlflowClient()
    assert client.get_run(run.info.run_id).data.params["fit_intercept"] == "True"
    model = client.search_logged_models([run.info.experiment_id])[0]
    assert model.status == "READY"
    loaded = mlflow.sklearn.load_model(f"models:/{model.model_id}")
    assert list(loaded.predict(features)) == labels
    version = mlflow.register_model(f"models:/{model.model_id}", "grid")
    assert str(version.version) == "1"
    assert list(mlflow.sklearn.load_model("models:/grid/1").predict(features)) == labels
