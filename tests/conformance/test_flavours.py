"""Every flavour keeps the promises of its port, with a model that its library trained on real data and MLflow saved.

PyTorch and Keras are in an environment of their own: tests/conformance/frameworks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import lightgbm
import mlflow.lightgbm
import mlflow.onnx
import mlflow.pyfunc
import mlflow.sklearn
import mlflow.xgboost
import numpy as np
import pandas as pd
import pytest
import xgboost
from mlflow.models import infer_signature
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from flyball.serving.flavours.conformance import FlavourConformance, IsolatedConformance, Trained

PINS = ["numpy"]
TREES = ["sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
REMAINDER = ["sklearn.compose._column_transformer._RemainderColsList"]


def cancer() -> tuple[pd.DataFrame, np.ndarray]:
    data = load_breast_cancer(as_frame=True)
    return data.data, data.target.to_numpy()


def wine() -> tuple[np.ndarray, np.ndarray]:
    matrix, target = load_wine(return_X_y=True)
    return matrix, target


def by_name(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    return {str(name): frame[name].to_numpy() for name in frame.columns}


def by_place(matrix: np.ndarray) -> dict[str, np.ndarray]:
    return {f"x{place}": matrix[:, place].copy() for place in range(matrix.shape[1])}


def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flavour") / "model"


class TestSklearnPipeline(FlavourConformance):
    """A pipeline fitted on a frame, which is fed a matrix."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        frame, target = cancer()
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, target)
        folder = fresh(tmp_path_factory)
        mlflow.sklearn.save_model(
            model, str(folder), signature=infer_signature(frame, target), pip_requirements=PINS, skops_trusted_types=[]
        )
        chances = model.predict_proba(frame)
        return Trained(
            folder=folder,
            file="model.skops",
            rows=by_name(frame),
            answers=model.predict(frame),
            chances=chances,
            tolerance=1e-12,
        )


class TestSklearnMixedTable(FlavourConformance, IsolatedConformance):
    """A pipeline over texts and numbers, which is fed a frame; with three classes by name."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        matrix, target = wine()
        frame = pd.DataFrame({"alcohol": matrix[:, 0], "acid": matrix[:, 1]})
        frame["hue"] = np.where(matrix[:, 10] > 1, "deep", "light").astype(object)
        labels = np.array(["barolo", "grignolino", "barbera"])[target]
        encode = ColumnTransformer([("hue", OneHotEncoder(), ["hue"])], remainder="passthrough")
        model = make_pipeline(encode, HistGradientBoostingClassifier(max_iter=5)).fit(frame, labels)
        folder = fresh(tmp_path_factory)
        mlflow.sklearn.save_model(
            model,
            str(folder),
            signature=infer_signature(frame, labels),
            pip_requirements=PINS,
            skops_trusted_types=TREES + REMAINDER,
        )
        rows = by_name(frame) | {"hue": frame["hue"].to_numpy(dtype=object)}
        chances = model.predict_proba(frame)
        return Trained(folder=folder, file="model.skops", rows=rows, answers=model.predict(frame), chances=chances)


class TestSklearnSeveralValues(FlavourConformance):
    """A forest that predicts two numbers a row."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        matrix, _ = wine()
        model = RandomForestRegressor(n_estimators=5, random_state=0).fit(matrix[:, 2:], matrix[:, :2])
        folder, answers = fresh(tmp_path_factory), model.predict(matrix[:, 2:])
        mlflow.sklearn.save_model(
            model,
            str(folder),
            signature=infer_signature(matrix[:, 2:], answers),
            pip_requirements=PINS,
            skops_trusted_types=TREES,
        )
        return Trained(folder=folder, file="model.skops", rows=by_place(matrix[:, 2:]), answers=answers)


class TestSklearnPickle(FlavourConformance):
    """A pickle, where it is allowed."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        frame, target = cancer()
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, target)
        folder = fresh(tmp_path_factory)
        mlflow.sklearn.save_model(
            model,
            str(folder),
            signature=infer_signature(frame, target),
            pip_requirements=PINS,
            serialization_format="cloudpickle",
        )
        return Trained(folder=folder, file="model.pkl", rows=by_name(frame), answers=model.predict(frame), pickled=True)


class TestXgboostClassifier(FlavourConformance, IsolatedConformance):
    """An estimator of two classes with early stopping."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        frame, target = cancer()
        model = xgboost.XGBClassifier(n_estimators=40, max_depth=3, early_stopping_rounds=2, n_jobs=1)
        model.fit(frame[::2], target[::2], eval_set=[(frame[1::2], target[1::2])], verbose=False)
        folder = fresh(tmp_path_factory)
        mlflow.xgboost.save_model(
            model, str(folder), signature=infer_signature(frame, target), pip_requirements=PINS, model_format="json"
        )
        chances = model.predict_proba(frame)
        answers = model.predict(frame)
        return Trained(
            folder=folder, file="model.json", rows=by_name(frame), answers=answers, chances=chances, tolerance=1e-6
        )


class TestXgboostSeveralClasses(FlavourConformance):
    """An estimator of three classes, fitted on a matrix."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        matrix, target = wine()
        model = xgboost.XGBClassifier(n_estimators=5, max_depth=3, n_jobs=1).fit(matrix, target)
        folder = fresh(tmp_path_factory)
        mlflow.xgboost.save_model(model, str(folder), signature=infer_signature(matrix, target), pip_requirements=PINS)
        chances = model.predict_proba(matrix)
        return Trained(
            folder=folder, file="model.ubj", rows=by_place(matrix), answers=model.predict(matrix), chances=chances
        )


class TestXgboostBooster(FlavourConformance):
    """A booster, whose answer is the probability itself."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        frame, target = cancer()
        data = xgboost.DMatrix(frame, label=target)
        model = xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, data, num_boost_round=5)
        folder, answers = fresh(tmp_path_factory), model.predict(data)
        mlflow.xgboost.save_model(model, str(folder), signature=infer_signature(frame, answers), pip_requirements=PINS)
        return Trained(folder=folder, file="model.ubj", rows=by_name(frame), answers=answers)


class TestLightgbmBooster(FlavourConformance):
    """A booster in the library's own text."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        frame, target = cancer()
        settings = {"objective": "binary", "num_leaves": 7, "verbose": -1, "num_threads": 1}
        model = lightgbm.train(settings, lightgbm.Dataset(frame, label=target), num_boost_round=5)
        folder, answers = fresh(tmp_path_factory), model.predict(frame)
        mlflow.lightgbm.save_model(model, str(folder), signature=infer_signature(frame, answers), pip_requirements=PINS)
        return Trained(folder=folder, file="model.lgb", rows=by_name(frame), answers=answers)


class TestLightgbmClassifier(FlavourConformance, IsolatedConformance):
    """An estimator of three classes by name, stored with skops."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        matrix, target = wine()
        labels = np.array(["barolo", "grignolino", "barbera"], dtype=object)[target]
        model = lightgbm.LGBMClassifier(n_estimators=5, num_leaves=7, verbose=-1, n_jobs=1).fit(matrix, labels)
        folder = fresh(tmp_path_factory)
        mlflow.lightgbm.save_model(
            model,
            str(folder),
            signature=infer_signature(matrix, labels),
            pip_requirements=PINS,
            serialization_format="skops",
        )
        answers, chances = model.predict(matrix), model.predict_proba(matrix)
        return Trained(folder=folder, file="model.skops", rows=by_place(matrix), answers=answers, chances=chances)


class TestOnnxMatrix(FlavourConformance, IsolatedConformance):
    """A graph with one input for all columns."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        matrix, target = wine()
        rows = matrix.astype(np.float32)
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, target)
        return cls.saved(to_onnx(model, rows[:1]), rows, target, fresh(tmp_path_factory))

    @staticmethod
    def saved(graph: Any, rows: np.ndarray, target: np.ndarray, folder: Path) -> Trained:
        import onnxruntime

        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        labels, by_class = session.run(None, {session.get_inputs()[0].name: rows})
        mlflow.onnx.save_model(graph, str(folder), signature=infer_signature(rows, target), pip_requirements=PINS)
        chances = np.array([[row[name] for name in (0, 1, 2)] for row in by_class], dtype=np.float64)
        return Trained(
            folder=folder, file="model.onnx", rows=by_place(rows), answers=labels, chances=chances, tolerance=1e-6
        )


DOUBLING = """
import mlflow.pyfunc
import numpy as np


class Doubler(mlflow.pyfunc.PythonModel):
    def __init__(self, fitted):
        self.fitted = fitted

    def predict(self, context, model_input, params=None):
        model_input["mean radius"] *= 2  # what it does to its input is its own affair
        return np.asarray(model_input["mean radius"] + self.fitted)
"""


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Make the modules of a folder importable, and forget them afterwards: who loads the model has its own copy only."""
    known = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield
    for name in [name for name in set(sys.modules) - known if Path(sys.modules[name].__file__ or "/").parent == folder]:
        del sys.modules[name]


class TestPyfunc(FlavourConformance, IsolatedConformance):
    """Code of the author's own, where it is allowed: a python function whose class is in a module that travels with it."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        frame, target = cancer()
        folder, code = fresh(tmp_path_factory), tmp_path_factory.mktemp("code") / "doubling_of_the_author.py"
        code.write_text(DOUBLING)
        with importable(code.parent):
            model = import_module(code.stem).Doubler(float(target.mean()))
            mlflow.pyfunc.save_model(
                str(folder),
                python_model=model,
                code_paths=[str(code)],
                signature=infer_signature(frame, target * 1.0),
                pip_requirements=PINS,
            )
        answers = model.predict(None, frame.copy())
        return Trained(folder=folder, file="python_model.pkl", rows=by_name(frame), answers=answers, pickled=True)
