"""What training scripts do beside the plain verbs: resuming, logging in the background, machine metrics, evaluation, pages."""

from __future__ import annotations

import time

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from sklearn.linear_model import LogisticRegression

PAGE_LIMIT = 25_000  # points that one answer of a history may hold
PATIENCE_S = 60

pytestmark = pytest.mark.usefixtures("tracking_server")


def test_a_run_is_resumed_by_its_id_with_its_children_kept() -> None:
    with mlflow.start_run(run_name="long") as first:
        mlflow.log_metric("loss", 1.0, step=0)
        with mlflow.start_run(nested=True, run_name="child") as child:
            mlflow.log_param("fold", 1)
    with mlflow.start_run(run_id=first.info.run_id) as again:
        assert MlflowClient().get_run(again.info.run_id).info.status == "RUNNING"
        mlflow.log_metric("loss", 0.5, step=1)
        with mlflow.start_run(nested=True, run_name="second child"):
            pass
    found = mlflow.get_run(first.info.run_id)
    assert (found.info.run_name, found.info.status) == ("long", "FINISHED")
    assert [point.value for point in MlflowClient().get_metric_history(first.info.run_id, "loss")] == [1.0, 0.5]
    below = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId = '{first.info.run_id}'", output_format="list")
    assert {run.info.run_name for run in below} == {"child", "second child"}
    assert mlflow.get_parent_run(child.info.run_id).info.run_id == first.info.run_id


def test_a_run_that_raises_is_failed_and_one_without_a_name_gets_one() -> None:
    with pytest.raises(ZeroDivisionError), mlflow.start_run() as run:
        raise ZeroDivisionError
    found = mlflow.get_run(run.info.run_id)
    assert found.info.status == "FAILED"
    assert found.info.run_name == found.data.tags["mlflow.runName"]
    assert found.info.run_name.count("-") == 2


def test_points_logged_in_the_background_are_all_there_after_the_flush() -> None:
    with mlflow.start_run() as run:
        for step in range(300):
            mlflow.log_metric("loss", step / 2, step=step, synchronous=False)
        mlflow.log_params({"a": 1, "b": 2}, synchronous=False)
        mlflow.set_tag("t", "v", synchronous=False)
        mlflow.log_metrics({"x": 1.0, "y": 2.0}, step=1, synchronous=False).wait()
        mlflow.flush_async_logging()
    points = MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in points] == [(step, step / 2) for step in range(300)]
    found = mlflow.get_run(run.info.run_id).data
    assert (found.params, found.tags["t"], found.metrics["y"]) == ({"a": "1", "b": "2"}, "v", 2.0)


def test_metrics_of_the_machine_are_sampled_beside_the_training() -> None:
    mlflow.set_system_metrics_sampling_interval(0.1)
    mlflow.set_system_metrics_samples_before_logging(1)
    try:
        with mlflow.start_run(log_system_metrics=True) as run:
            deadline = time.monotonic() + PATIENCE_S
            while "system/cpu_utilization_percentage" not in mlflow.get_run(run.info.run_id).data.metrics:
                assert time.monotonic() < deadline, "no sample came"
                time.sleep(0.1)
    finally:
        mlflow.set_system_metrics_sampling_interval(None)
        mlflow.set_system_metrics_samples_before_logging(None)
    metrics = mlflow.get_run(run.info.run_id).data.metrics
    assert {"system/system_memory_usage_megabytes", "system/disk_usage_percentage"} <= set(metrics)


def test_a_history_longer_than_one_answer_comes_whole() -> None:
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    count = PAGE_LIMIT + 1_000
    for first in range(0, count, 1_000):
        client.log_batch(run_id, metrics=[Metric("m", at / 7, at, at) for at in range(first, first + 1_000)])
    points = client.get_metric_history(run_id, "m")
    assert [(point.step, point.value) for point in points] == [(at, at / 7) for at in range(count)]


def test_each_search_is_read_page_by_page_to_its_end() -> None:
    client = MlflowClient()
    experiment_id = client.create_experiment("paged")
    for at in range(23):
        client.create_run(experiment_id, run_name=f"run {at}", start_time=at + 1)
        client.create_registered_model(f"model {at:02}")
        client.create_experiment(f"other {at:02}")
    runs, token = [], None
    while token != "":
        page = client.search_runs([experiment_id], max_results=5, page_token=token)
        assert len(page) <= 5
        runs += [run.info.start_time for run in page]
        token = page.token or ""
    assert runs == list(range(23, 0, -1))
    models, token = [], None
    while token != "":
        found = client.search_registered_models(max_results=10, page_token=token)
        models += [model.name for model in found]
        token = found.token or ""
    assert models == [f"model {at:02}" for at in range(23)]
    assert len(mlflow.search_experiments(max_results=7)) == 7
    assert len(mlflow.search_registered_models(max_results=9)) == 9
    frame = mlflow.search_runs([experiment_id], order_by=["start_time ASC"])
    assert list(frame["tags.mlflow.runName"]) == [f"run {at}" for at in range(23)]


def test_runs_become_a_table_of_pandas() -> None:
    for depth in (1, 2):
        with mlflow.start_run():
            mlflow.log_param("depth", depth)
            mlflow.log_metric("loss", 1 / depth)
    frame = mlflow.search_runs(order_by=["metrics.loss ASC"])
    assert list(frame["metrics.loss"]) == [0.5, 1.0]
    assert list(frame["params.depth"]) == ["2", "1"]
    assert frame["start_time"].dt.tz is not None
    assert set(frame["status"]) == {"FINISHED"}


def test_a_classifier_is_evaluated_on_rows() -> None:
    rows = pd.DataFrame({"a": np.linspace(-1, 1, 60), "b": np.tile([0.0, 1.0], 30)})
    rows["label"] = (rows["a"] > 0).astype(int)
    model = LogisticRegression().fit(rows[["a", "b"]], rows["label"])
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(
            model, name="clf", pip_requirements=["scikit-learn", "skops"], input_example=rows[["a", "b"]].head(2)
        )
        result = mlflow.models.evaluate(
            info.model_uri, rows, targets="label", model_type="classifier", evaluator_config={"log_explainer": False}
        )
    found = mlflow.get_run(run.info.run_id)
    assert found.data.metrics["accuracy_score"] == result.metrics["accuracy_score"]
    assert result.metrics["accuracy_score"] == model.score(rows[["a", "b"]], rows["label"])
    assert {"confusion_matrix.png", "roc_curve_plot.png"} <= {
        entry.path for entry in MlflowClient().list_artifacts(run.info.run_id)
    }
    assert {metric.key for metric in mlflow.get_logged_model(info.model_id).metrics} >= {"accuracy_score", "f1_score"}
