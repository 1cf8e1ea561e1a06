"""Models that MLflow saved predict here what they predict there, and nothing dangerous is loaded."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.serving.served_model import load_model

from .conftest import SaveModel, truth

CLASSIFIERS = [
    LogisticRegression(max_iter=1_000),
    DecisionTreeClassifier(max_depth=4),
    RandomForestClassifier(n_estimators=5, random_state=0),
    GradientBoostingClassifier(n_estimators=5),
    HistGradientBoostingClassifier(max_iter=5),
    CalibratedClassifierCV(DecisionTreeClassifier(max_depth=2), cv=2),
    MLPClassifier(hidden_layer_sizes=(4,), max_iter=2),
]


def columns(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    return {str(name): frame[name].to_numpy() for name in frame.columns}


class Stranger(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A model class of somebody's own."""

    def fit(self, _x: object, y: np.ndarray) -> Stranger:
        self.classes_ = np.unique(y)
        return self

    def predict(self, x: pd.DataFrame) -> np.ndarray:
        return np.zeros(len(x), dtype=np.int64)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda one: type(one).__name__)
def test_a_classifier_answers_bit_for_bit_as_where_it_was_trained(
    estimator: Any, frame: pd.DataFrame, save_model: SaveModel
) -> None:
    estimator.fit(frame, truth(frame))
    trusted = {"skops_trusted_types": _untrusted(estimator)}
    served = load_model(save_model(estimator, frame, **trusted), allow_pickle=False)
    found = served.predict(columns(frame))
    assert found.scores is not None
    np.testing.assert_array_equal(found.labels, estimator.predict(frame))
    np.testing.assert_array_equal(found.scores, estimator.predict_proba(frame).max(axis=1))


def _untrusted(model: Any) -> list[str]:
    import skops.io

    return list(skops.io.get_untrusted_types(data=skops.io.dumps(model)))


@pytest.mark.parametrize(
    "estimator",
    [LinearRegression(), ExtraTreesRegressor(n_estimators=3), HistGradientBoostingRegressor(max_iter=3)],
    ids=lambda one: type(one).__name__,
)
def test_a_regressor_answers_numbers_without_scores(estimator: Any, frame: pd.DataFrame, save_model: SaveModel) -> None:
    estimator.fit(frame, frame["price"] * 2)
    found = load_model(save_model(estimator, frame), allow_pickle=False).predict(columns(frame))
    assert found.scores is None
    assert found.labels.dtype == np.float64
    np.testing.assert_array_equal(found.labels, estimator.predict(frame))


@pytest.mark.parametrize(("labels", "kind"), [(["down", "up"], "O"), ([False, True], "b"), ([3, 7], "i")])
def test_labels_keep_their_type(labels: list[Any], kind: str, frame: pd.DataFrame, save_model: SaveModel) -> None:
    model = DecisionTreeClassifier(max_depth=2).fit(frame, np.asarray(labels)[truth(frame)])
    found = load_model(save_model(model, frame), allow_pickle=False).predict(columns(frame))
    assert found.labels.dtype.kind == kind
    assert set(found.labels.tolist()) <= set(labels)


def test_a_classifier_without_probabilities_has_no_scores(frame: pd.DataFrame, save_model: SaveModel) -> None:
    model = LinearSVC().fit(frame, truth(frame))
    assert load_model(save_model(model, frame), allow_pickle=False).predict(columns(frame)).scores is None


def test_texts_are_encoded_as_in_training_and_unknown_ones_refused(save_model: SaveModel) -> None:
    frame = pd.DataFrame({"state": ["nsw", "vic"] * 20, "price": np.arange(40) / 40})
    encode = ColumnTransformer([("state", OneHotEncoder(), ["state"])], remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression()).fit(frame, (frame["state"] == "vic").astype(int))
    served = load_model(save_model(model, frame, skops_trusted_types=_untrusted(model)), allow_pickle=False)
    states = np.array(["vic", "nsw"], dtype=object)
    np.testing.assert_array_equal(served.predict({"price": np.zeros(2), "state": states}).labels, [1, 0])
    with pytest.raises(InvalidInput, match="refuses"):
        served.predict({"price": np.zeros(1), "state": np.array(["qld"], dtype=object)})
    assert served.warm_up() is False


def test_a_model_fitted_on_a_matrix_is_fed_a_matrix(frame: pd.DataFrame, save_model: SaveModel) -> None:
    matrix = frame.to_numpy(dtype=np.float64)
    model = LogisticRegression(max_iter=1_000).fit(matrix, truth(frame))
    served = load_model(save_model(model, matrix), allow_pickle=False)
    assert served.signature.names == ("x0", "x1", "x2", "x3", "x4")
    found = served.predict({f"x{i}": matrix[:, i] for i in range(5)})
    np.testing.assert_array_equal(found.labels, model.predict(matrix))


def test_the_order_of_sent_columns_does_not_matter(linear: Any, linear_folder: Path, frame: pd.DataFrame) -> None:
    served = load_model(linear_folder, allow_pickle=False)
    turned = dict(reversed(columns(frame).items()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # scikit-learn warns where names are missing
        found = served.predict(turned)
        assert served.warm_up() is True
    np.testing.assert_array_equal(found.labels, linear.predict(frame))


def test_types_of_strangers_are_refused_by_name_whatever_the_file_says(
    frame: pd.DataFrame, save_model: SaveModel
) -> None:
    model = Stranger().fit(frame, truth(frame))
    folder = save_model(model, frame, skops_trusted_types=_untrusted(model))
    with pytest.raises(InvalidInput, match="Stranger"):
        load_model(folder, allow_pickle=False)


@pytest.mark.parametrize("stored_as", ["pickle", "cloudpickle"])
def test_pickles_are_refused_unless_they_are_allowed(
    stored_as: str, linear: Any, frame: pd.DataFrame, save_model: SaveModel
) -> None:
    folder = save_model(linear, frame, serialization_format=stored_as, skops_trusted_types=None)
    with pytest.raises(Unsupported, match="FLYBALL_ALLOW_PICKLE"):
        load_model(folder, allow_pickle=False)
    found = load_model(folder, allow_pickle=True).predict(columns(frame))
    np.testing.assert_array_equal(found.labels, linear.predict(frame))


def test_a_pickle_that_calls_itself_skops_is_not_run(linear_folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    folder = _copy(linear_folder, tmp_path / "model")
    (folder / "model.skops").write_bytes(f"cos\nsystem\n(S'touch {marker}'\ntR.".encode())
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        load_model(folder, allow_pickle=False)
    assert not marker.exists()


def test_a_damaged_file_is_an_error_that_names_it(linear_folder: Path, tmp_path: Path) -> None:
    folder = _copy(linear_folder, tmp_path / "model")
    whole = (folder / "model.skops").read_bytes()
    (folder / "model.skops").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidInput, match=r"model\.skops"):
        load_model(folder, allow_pickle=False)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("pickled_model", "../../../etc/passwd", "not in its folder"),
        ("pickled_model", "/etc/passwd", "not in its folder"),
        ("pickled_model", None, "does not say"),
        ("serialization_format", "joblib", "joblib"),
        ("sklearn_version", "1.2.3", "trained with scikit-learn 1.2.3"),
        ("code", "code", "code folder"),
    ],
)
def test_what_the_mlmodel_file_asks_for_is_checked(
    key: str, value: str | None, match: str, linear_folder: Path, tmp_path: Path
) -> None:
    folder = _copy(linear_folder, tmp_path / "model")
    document = yaml.safe_load((folder / "MLmodel").read_text())
    document["flavors"]["sklearn"][key] = value
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    with pytest.raises((InvalidInput, Unsupported), match=match):
        load_model(folder, allow_pickle=False)


def test_a_signature_of_other_columns_than_the_models_is_refused(
    linear: Any, frame: pd.DataFrame, save_model: SaveModel
) -> None:
    from mlflow.models import infer_signature

    other = frame.rename(columns={"price": "cost"})
    with pytest.raises(InvalidInput, match="cost, price"):
        load_model(save_model(linear, frame, signature=infer_signature(other)), allow_pickle=False)


def _copy(folder: Path, into: Path) -> Path:
    into.mkdir()
    for path in folder.iterdir():
        (into / path.name).write_bytes(path.read_bytes())
    assert zipfile.is_zipfile(into / "model.skops")
    return into
