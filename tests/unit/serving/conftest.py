"""Real models, saved by the real MLflow client, so that its format is pinned."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
import sklearn
import skops
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SaveModel: TypeAlias = Callable[..., Path]
PINS = [f"scikit-learn=={sklearn.__version__}", f"skops=={skops.__version__}"]
TREES = ["sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def make_frame(rows: int = 200) -> pd.DataFrame:
    """Return a table with one column of each kind that a numeric model takes."""
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "price": rng.random(rows),
            "demand": rng.random(rows).astype(np.float32),
            "hour": rng.integers(0, 24, rows),
            "day": rng.integers(0, 7, rows).astype(np.int32),
            "holiday": rng.random(rows) < 0.1,
        }
    )


def truth(frame: pd.DataFrame) -> np.ndarray:
    return np.asarray(frame["price"] + 0.02 * frame["hour"] > 0.7, dtype=np.int64)


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    return make_frame()


@pytest.fixture(scope="session")
def save_model(tmp_path_factory: pytest.TempPathFactory) -> SaveModel:
    """Return a function that saves a fitted model as MLflow does, and returns its folder."""

    def save(model: Any, inputs: Any, **options: Any) -> Path:
        folder = tmp_path_factory.mktemp("model") / "model"
        options = {"skops_trusted_types": TREES, "pip_requirements": PINS} | options
        signature = options.pop("signature", infer_signature(inputs, model.predict(inputs)))
        mlflow.sklearn.save_model(model, str(folder), signature=signature, **options)
        return folder

    return save


@pytest.fixture(scope="session")
def linear(frame: pd.DataFrame) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, truth(frame))


@pytest.fixture(scope="session")
def linear_folder(linear: Any, frame: pd.DataFrame, save_model: SaveModel) -> Path:
    return save_model(linear, frame)
