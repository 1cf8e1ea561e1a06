"""Models of scikit-learn go through the official MLflow client and come back able to predict."""

from __future__ import annotations

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LogisticRegression
from tests.protocol.serving import TrackingServer

pytestmark = pytest.mark.usefixtures("tracking_server")

ROWS = pd.DataFrame({"a": np.linspace(-1, 1, 40), "b": np.tile([0.0, 1.0], 20)})
LABELS = (ROWS["a"] > 0).astype(int)
# Named, because finding them by itself costs the client many seconds, and is not what is tried here.
REQUIREMENTS = ["scikit-learn", "skops"]


def fitted() -> LogisticRegression:
    return LogisticRegression().fit(ROWS, LABELS)


def test_a_logged_model_is_loaded_by_each_of_its_names(tracking_server: TrackingServer) -> None:
    model = fitted()
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(
            model, name="clf", input_example=ROWS.head(2), pip_requirements=REQUIREMENTS, params={"C": 1.0}
        )
        mlflow.log_metric("acc", 0.9, model_id=info.model_id)
    expected = model.predict(ROWS)
    for uri in (info.model_uri, f"models:/{info.model_id}", f"runs:/{run.info.run_id}/clf"):
        assert np.array_equal(mlflow.sklearn.load_model(uri).predict(ROWS), expected)
    assert np.array_equal(mlflow.pyfunc.load_model(info.model_uri).predict(ROWS), expected)
    logged = mlflow.get_logged_model(info.model_id)
    assert (logged.name, logged.status.value, logged.params) == ("clf", "READY", {"C": "1.0"})
    assert [(metric.key, metric.value) for metric in logged.metrics] == [("acc", 0.9)]
    assert [output.model_id for output in mlflow.get_run(run.info.run_id).outputs.model_outputs] == [info.model_id]
    files = {entry.path for entry in tracking_server.platform.artifacts.walk(f"model/{info.model_id}")}
    assert {"MLmodel", "model.skops", "requirements.txt"} <= files


def test_autolog_of_scikit_learn_logs_params_metrics_data_and_model() -> None:
    mlflow.sklearn.autolog()
    try:
        with mlflow.start_run() as run:
            fitted()
    finally:
        mlflow.sklearn.autolog(disable=True)
    found = mlflow.get_run(run.info.run_id)
    assert found.data.params["C"] == "1.0"
    assert found.data.metrics["training_score"] > 0.9
    assert [used.tags[0].value for used in found.inputs.dataset_inputs] == ["train"]
    (output,) = found.outputs.model_outputs
    assert mlflow.get_logged_model(output.model_id).source_run_id == run.info.run_id


def test_logged_models_are_searched_tagged_and_deleted() -> None:
    client = MlflowClient()
    experiment_id = client.create_experiment("models")
    ids = [mlflow.initialize_logged_model(name=name, experiment_id=experiment_id).model_id for name in ("a", "b")]
    client.set_logged_model_tags(ids[0], {"good": "yes"})
    client.log_model_params(ids[0], {"depth": "3"})
    client.finalize_logged_model(ids[0], "READY")
    found = client.search_logged_models([experiment_id], filter_string="params.depth = '3' AND tags.good = 'yes'")
    assert [model.model_id for model in found] == [ids[0]]
    order: list[dict[str, object]] = [{"field_name": "creation_timestamp", "ascending": False}]
    newest = client.search_logged_models([experiment_id], order_by=order, max_results=1)
    assert [model.name for model in newest] == ["b"]
    older = client.search_logged_models([experiment_id], order_by=order, max_results=1, page_token=newest.token)
    assert [model.name for model in older] == ["a"]
    client.delete_logged_model_tag(ids[0], "good")
    client.delete_logged_model(ids[0])
    with pytest.raises(MlflowException, match="not found"):
        client.get_logged_model(ids[0])
