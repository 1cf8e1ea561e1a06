"""Autologging of the libraries that everyone has: a model is really trained, and the run it leaves is whole."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
import xgboost as xgb
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.protocol.autologged import comes_back, files, finished, history
from tests.protocol.serving import TrackingServer

ROUNDS = 12
SCRIPT = """
import mlflow
from lightgbm import LGBMClassifier

mlflow.autolog()
LGBMClassifier(n_estimators=3, num_leaves=3, verbose=-1).fit([[float(at % 7)] for at in range(60)], [0, 1] * 30)
"""
RANDOM = np.random.default_rng(11)
ROWS = pd.DataFrame(RANDOM.normal(size=(120, 3)), columns=["load", "wind", "price"])
HOLDOUT = ROWS.tail(60)
LABELS = (ROWS["load"] + 0.5 * ROWS["wind"] > 0).astype(int)

# The client warns that whole-number columns cannot hold a missing value; our labels have none.
pytestmark = pytest.mark.filterwarnings("ignore:.*integer column:UserWarning")


@contextlib.contextmanager
def autologging(autolog: Callable[..., None], **options: object) -> Iterator[None]:
    """Log automatically within the block only, so that no other test trains under it."""
    autolog(**options)
    try:
        yield
    finally:
        autolog(disable=True)


def test_scikit_learn(tracking_server: TrackingServer) -> None:
    with autologging(mlflow.sklearn.autolog, log_input_examples=True), mlflow.start_run() as active:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(ROWS, LABELS)
        score = sklearn.metrics.accuracy_score(LABELS.tail(60), model.predict(HOLDOUT))
    run, logged = finished(tracking_server, active.info.run_id)
    assert run.data.params["logisticregression__C"] == "0.5"
    assert run.data.metrics["training_accuracy_score"] == model.score(ROWS, LABELS)
    assert [value for key, value in run.data.metrics.items() if key.startswith("accuracy_score_")] == [score]
    assert run.data.tags["estimator_name"] == "Pipeline"
    assert [(used.dataset.source_type, used.tags[0].value) for used in run.inputs.dataset_inputs] == [
        ("code", "train"),
        ("code", "eval"),
    ]
    assert {"estimator.html", "training_confusion_matrix.png", "training_roc_curve.png"} <= files(
        tracking_server, run.info.run_id
    )
    assert logged.params["logisticregression__C"] == "0.5"
    assert {metric.key: metric.value for metric in logged.metrics}["training_accuracy_score"] == model.score(
        ROWS, LABELS
    )
    described = comes_back(tracking_server, logged, flavour="sklearn", rows=ROWS, expected=model.predict(ROWS))
    assert described.saved_input_example_info is not None


def test_a_grid_search_is_a_parent_with_its_candidates_below(tracking_server: TrackingServer) -> None:
    with autologging(mlflow.sklearn.autolog, max_tuning_runs=3), mlflow.start_run() as active:
        search = GridSearchCV(LogisticRegression(), {"C": [0.01, 1.0, 10.0]}, cv=3).fit(ROWS, LABELS)
    client = MlflowClient(tracking_server.url)
    run = client.get_run(active.info.run_id)
    assert run.data.params["best_C"] == str(search.best_params_["C"])
    assert run.data.metrics["best_cv_score"] == search.best_score_
    assert "cv_results.csv" in files(tracking_server, run.info.run_id)
    below = client.search_runs(["0"], f"tags.mlflow.parentRunId = '{run.info.run_id}'", order_by=["params.C ASC"])
    assert [child.data.params["C"] for child in below] == ["0.01", "1.0", "10.0"]
    means = dict(zip(["0.01", "1.0", "10.0"], search.cv_results_["mean_test_score"], strict=True))
    assert {child.data.params["C"]: child.data.metrics["mean_test_score"] for child in below} == means


def test_xgboost(tracking_server: TrackingServer) -> None:
    told: dict[str, dict[str, list[float]]] = {}
    with autologging(mlflow.xgboost.autolog, model_format="json"), mlflow.start_run() as active:
        train = xgb.DMatrix(ROWS, label=LABELS)
        model = xgb.train(
            {"objective": "binary:logistic", "max_depth": 2, "eval_metric": ["logloss", "error"]},
            train,
            num_boost_round=ROUNDS,
            evals=[(train, "train")],
            evals_result=told,
            verbose_eval=False,
        )
    run, logged = finished(tracking_server, active.info.run_id)
    assert (run.data.params["max_depth"], run.data.params["num_boost_round"]) == ("2", str(ROUNDS))
    for metric in ("logloss", "error"):
        assert history(tracking_server, run.info.run_id, f"train-{metric}") == list(enumerate(told["train"][metric]))
    assert {"feature_importance_weight.json", "feature_importance_weight.png"} <= files(
        tracking_server, run.info.run_id
    )
    weights = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/feature_importance_weight.json")
    assert weights == model.get_score(importance_type="weight")
    comes_back(tracking_server, logged, flavour="xgboost", rows=ROWS, expected=model.predict(train), tolerance=1e-6)


def test_xgboost_by_its_scikit_learn_face(tracking_server: TrackingServer) -> None:
    with autologging(mlflow.xgboost.autolog), mlflow.start_run() as active:
        model = xgb.XGBClassifier(n_estimators=ROUNDS, max_depth=2).fit(
            ROWS, LABELS, eval_set=[(ROWS, LABELS)], verbose=False
        )
    run, logged = finished(tracking_server, active.info.run_id)
    assert (run.data.params["max_depth"], run.data.params["num_boost_round"]) == ("2", str(ROUNDS))
    assert [step for step, _ in history(tracking_server, run.info.run_id, "validation_0-logloss")] == list(
        range(ROUNDS)
    )
    comes_back(tracking_server, logged, flavour="xgboost", rows=ROWS, expected=model.predict(ROWS))


def test_lightgbm(tracking_server: TrackingServer) -> None:
    told: dict[str, dict[str, list[float]]] = {}
    with autologging(mlflow.lightgbm.autolog), mlflow.start_run() as active:
        train = lgb.Dataset(ROWS, label=LABELS)
        model = lgb.train(
            {"objective": "binary", "num_leaves": 4, "verbose": -1, "num_threads": 1},
            train,
            num_boost_round=ROUNDS,
            valid_sets=[train],
            valid_names=["train"],
            callbacks=[lgb.record_evaluation(told)],
        )
    run, logged = finished(tracking_server, active.info.run_id)
    assert (run.data.params["num_leaves"], run.data.params["num_boost_round"]) == ("4", str(ROUNDS))
    assert history(tracking_server, run.info.run_id, "train-binary_logloss") == list(
        enumerate(told["train"]["binary_logloss"])
    )
    assert {"feature_importance_gain.json", "feature_importance_split.png"} <= files(tracking_server, run.info.run_id)
    comes_back(tracking_server, logged, flavour="lightgbm", rows=ROWS, expected=model.predict(ROWS), tolerance=1e-12)


def test_one_switch_in_a_script_of_its_own(tracking_server: TrackingServer) -> None:
    """A script that knows no more than the addresses in its environment, and opens no run itself."""
    environ = {**os.environ, "MLFLOW_TRACKING_URI": tracking_server.url, "MLFLOW_TRACKING_TOKEN": tracking_server.token}
    del environ["MLFLOW_EXPERIMENT_ID"]
    subprocess.run([sys.executable, "-c", SCRIPT], env={**environ, "MLFLOW_EXPERIMENT_NAME": "scripts"}, check=True)
    client = MlflowClient(tracking_server.url)
    (made,) = client.search_runs([client.get_experiment_by_name("scripts").experiment_id])
    run, logged = finished(tracking_server, made.info.run_id)
    assert run.data.params["num_leaves"] == "3"
    assert logged.experiment_id == run.info.experiment_id
