"""TensorFlow keeps the promises of a flavour, with Keras on it and with programs of its own."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "1"

from pathlib import Path
from typing import Any

import keras
import mlflow.keras
import mlflow.tensorflow
import numpy as np
import pytest
import tensorflow as tf
from mlflow.models import infer_signature
from sklearn.datasets import load_breast_cancer, load_digits

from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.serving.flavours.conformance import FlavourConformance, IsolatedConformance, Trained
from flyball.serving.served_model import load_model

PINS = ["keras", "tensorflow-cpu"]


def cancer() -> tuple[np.ndarray, np.ndarray]:
    matrix, target = load_breast_cancer(return_X_y=True)
    return ((matrix - matrix.mean(axis=0)) / matrix.std(axis=0)).astype(np.float32), target


def by_place(rows: np.ndarray) -> dict[str, np.ndarray]:
    return {f"x{place}": rows[:, place].copy() for place in range(rows.shape[1])}


def network() -> Any:
    """Return a trained network with a layer that behaves otherwise in training."""
    rows, target = cancer()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((30,)), layers.Dense(8, activation="relu"), layers.Dropout(0.5), layers.Dense(1, "sigmoid")]
    )
    model.compile(loss="binary_crossentropy")
    model.fit(rows, target, epochs=2, verbose=0)
    return model


class Logistic(tf.Module):  # type: ignore[misc]
    """A logistic regression written by hand, and trained by gradient descent."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(tf.zeros((30, 1)))
        self.bias = tf.Variable(0.0)

    @tf.function(input_signature=[tf.TensorSpec((None, 30), tf.float32)])  # type: ignore[untyped-decorator]
    def __call__(self, rows: Any) -> Any:
        return tf.sigmoid(tf.matmul(rows, self.weights) + self.bias)

    def fit(self, rows: np.ndarray, target: np.ndarray) -> None:
        wanted = tf.constant(target[:, None].astype(np.float32))
        for _ in range(20):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(rows) - wanted) ** 2)
            for variable, slope in zip(self.variables, tape.gradient(loss, self.variables), strict=True):
                variable.assign_sub(slope)


@pytest.fixture(scope="module")
def trained_network() -> Any:
    return network()


@pytest.fixture(scope="module")
def saved_module(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    rows, target = cancer()
    model = Logistic()
    model.fit(rows, target)
    answers = model(rows).numpy()
    folder = tmp_path_factory.mktemp("tensorflow") / "model"
    signature = infer_signature(rows, answers)
    mlflow.tensorflow.save_model(
        model, str(folder), signature=signature, input_example=rows[:20], pip_requirements=PINS
    )
    return Trained(
        folder=folder,
        file="tf2model/saved_model.pb",
        rows=by_place(rows),
        answers=answers,
        tolerance=1e-5,
        pickled=True,
    )


class TestKerasThroughTensorflow(FlavourConformance, IsolatedConformance):
    """A network of Keras, logged with `mlflow.tensorflow`."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, trained_network: Any, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        rows, _ = cancer()
        answers = trained_network.predict(rows, verbose=0)
        folder = tmp_path_factory.mktemp("tensorflow") / "model"
        signature = infer_signature(rows, answers)
        mlflow.tensorflow.save_model(trained_network, str(folder), signature=signature, pip_requirements=PINS)
        return Trained(folder=folder, file="data/model.keras", rows=by_place(rows), answers=answers, tolerance=1e-5)


class TestKerasOnTensorflow(FlavourConformance, IsolatedConformance):
    """A network over images that says ten numbers of each, logged with `mlflow.keras`."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        data = load_digits()
        images = data.images.astype(np.float32)[:300]
        keras.utils.set_random_seed(0)
        layers = keras.layers
        model = keras.Sequential(
            [keras.Input((8, 8)), layers.Reshape((8, 8, 1)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(10)]
        )
        model.compile(loss="mse")
        model.fit(images, np.eye(10)[data.target[:300]], epochs=1, verbose=0)
        answers = model.predict(images, verbose=0)
        folder = tmp_path_factory.mktemp("tensorflow") / "model"
        mlflow.keras.save_model(model, str(folder), signature=infer_signature(images, answers), pip_requirements=PINS)
        return Trained(folder=folder, file="data/model.keras", rows={"input": images}, answers=answers, tolerance=1e-4)


class TestModule(FlavourConformance, IsolatedConformance):
    """A SavedModel of a module, where that is allowed."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, saved_module: Trained) -> Trained:
        return saved_module


class TestExportedKeras(FlavourConformance):
    """A SavedModel that Keras exported, where that is allowed."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, trained_network: Any, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        rows, _ = cancer()
        answers = trained_network.predict(rows, verbose=0)
        folder = tmp_path_factory.mktemp("tensorflow") / "model"
        mlflow.keras.save_model(
            trained_network,
            str(folder),
            signature=infer_signature(rows, answers),
            save_exported_model=True,
            pip_requirements=PINS,
        )
        return Trained(
            folder=folder,
            file="data/model/saved_model.pb",
            rows=by_place(rows),
            answers=answers,
            tolerance=1e-5,
            pickled=True,
        )


class Writes(tf.Module):  # type: ignore[misc]
    """What a SavedModel can do, and why none is loaded unasked: it writes a file whenever it is called."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = str(file)

    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32)])  # type: ignore[untyped-decorator]
    def __call__(self, rows: Any) -> Any:
        tf.io.write_file(self.file, "written")
        return tf.reduce_sum(rows, axis=1)


def test_a_program_that_writes_files_is_not_loaded_unless_that_is_allowed(tmp_path: Path) -> None:
    rows, written = np.ones((2, 3), dtype=np.float32), tmp_path / "written"
    folder = tmp_path / "model"
    signature = infer_signature(rows, rows[:, 0])
    mlflow.tensorflow.save_model(Writes(written), str(folder), signature=signature, pip_requirements=PINS)
    with pytest.raises(Unsupported, match="may read and write files"):
        load_model(folder, allow_pickle=False)
    assert not written.exists()
    load_model(folder, allow_pickle=True).predict(by_place(rows))
    assert written.read_text() == "written"


class Served(tf.Module):  # type: ignore[misc]
    """A module without a call of its own: what is asked is what was saved to be served, here over texts."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])  # type: ignore[untyped-decorator]
    def upper(self, words: Any) -> Any:
        return {"upper": tf.strings.upper(words)}


def test_what_was_saved_to_be_served_is_asked_and_texts_come_back_as_texts(tmp_path: Path) -> None:
    words = np.array(["ä", "b"], dtype=object)
    model, signature = Served(), infer_signature({"words": words}, {"upper": words})
    for name, signatures in (("served", {"serving_default": model.upper}), ("mute", {"other": model.upper})):
        mlflow.tensorflow.save_model(
            model,
            str(tmp_path / name),
            signature=signature,
            saved_model_kwargs={"signatures": signatures},
            pip_requirements=PINS,
        )
    found = load_model(tmp_path / "served", allow_pickle=True).predict({"words": words})
    assert found.labels.tolist() == ["ä", "B"]
    with pytest.raises(Unsupported, match="no function that could be asked"):
        load_model(tmp_path / "mute", allow_pickle=True)


class Scaled(keras.layers.Layer):  # type: ignore[misc]
    """A layer of the author's own."""

    def call(self, rows: Any) -> Any:
        return rows * 2


def with_classes(folder: Path) -> np.ndarray:
    rows = np.ones((2, 3), dtype=np.float32)
    model = keras.Sequential([keras.Input((3,)), Scaled()])
    mlflow.tensorflow.save_model(
        model,
        str(folder),
        custom_objects={"Scaled": Scaled},
        signature=infer_signature(rows, rows),
        pip_requirements=PINS,
    )
    return rows


def test_pickled_classes_are_loaded_where_that_is_allowed(tmp_path: Path) -> None:
    rows = with_classes(tmp_path / "model")
    with pytest.raises(Unsupported, match="FLYBALL_ALLOW_PICKLE"):
        load_model(tmp_path / "model", allow_pickle=False)
    found = load_model(tmp_path / "model", allow_pickle=True).predict(by_place(rows))
    np.testing.assert_array_equal(found.labels, rows * 2)


def test_code_in_a_layer_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda rows: rows * 2)])
    rows = np.ones((2, 3), dtype=np.float32)
    mlflow.tensorflow.save_model(
        model, str(tmp_path / "model"), signature=infer_signature(rows, rows), pip_requirements=PINS
    )
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        load_model(tmp_path / "model", allow_pickle=False)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("model_type: tf2-module", "model_type: tf1-estimator", "tf1-estimator"),
        ("model_type: tf2-module", "model_type: keras\n    save_format: h5", "HDF5"),
    ],
)
def test_what_is_not_loaded_is_said(saved_module: Trained, tmp_path: Path, old: str, new: str, match: str) -> None:
    text = (saved_module.folder / "MLmodel").read_text()
    assert old in text
    (tmp_path / "MLmodel").write_text(text.replace(old, new))
    with pytest.raises(Unsupported, match=match):
        load_model(tmp_path, allow_pickle=True)


def test_a_newer_tensorflow_is_asked_for(trained_network: Any, tmp_path: Path) -> None:
    rows, _ = cancer()
    signature = infer_signature(rows, trained_network.predict(rows, verbose=0))
    mlflow.tensorflow.save_model(trained_network, str(tmp_path / "model"), signature=signature, pip_requirements=PINS)
    file = tmp_path / "model" / "MLmodel"
    text = file.read_text()
    file.write_text(text.replace(f"keras_version: {tf.__version__}", "keras_version: 99.0.0"))
    with pytest.raises(Unsupported, match=r"TensorFlow 99\.0\.0"):
        load_model(tmp_path / "model", allow_pickle=False)
