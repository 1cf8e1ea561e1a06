"""Networks of TensorFlow go over to the fast path with a certificate, and say why where they do not."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "1"

from pathlib import Path
from typing import Any

import keras
import mlflow.tensorflow
import numpy as np
import tensorflow as tf
from mlflow.models import infer_signature
from tests.conformance import networks

from flyball.serving.entities import Columns
from flyball.serving.parity import Certificate, Parity

PINS = ["keras", "tensorflow-cpu"]


def saved(folder: Path, model: Any, given: Any, said: Any) -> Path:
    example = {name: values[:20] for name, values in given.items()} if isinstance(given, dict) else given[:20]
    signature = infer_signature(given, said)
    mlflow.tensorflow.save_model(model, str(folder), signature=signature, input_example=example, pip_requirements=PINS)
    return folder


def certified(folder: Path) -> tuple[Certificate, bytes]:
    return networks.certified(folder, allow_pickle=True)


def held_against_the_original(folder: Path, rows: Columns) -> None:
    networks.held_against_the_original(folder, rows, made_with={"tf2onnx", "tensorflow-cpu"}, allow_pickle=True)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(np.float32)


def test_a_network_of_keras_over_a_matrix(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((5,)), layers.Dense(8, activation="relu"), layers.Dropout(0.5), layers.Dense(3, "softmax")]
    )
    rows = numbers(101, 5)
    folder = saved(tmp_path / "model", model, rows, model.predict(rows, verbose=0))
    held_against_the_original(folder, {f"x{place}": rows[:, place].copy() for place in range(5)})


def test_a_network_of_keras_over_images(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((8, 8)), layers.Reshape((8, 8, 1)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(10)]
    )
    images = numbers(101, 8, 8)
    folder = saved(tmp_path / "model", model, images, model.predict(images, verbose=0))
    held_against_the_original(folder, {"input": images})


class Weighed(tf.Module):  # type: ignore[misc]
    """A module with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(numbers(5, 3))

    @tf.function(input_signature=[tf.TensorSpec((None, 5), tf.float32, name="rows")])  # type: ignore[untyped-decorator]
    def __call__(self, rows: Any) -> Any:
        return tf.nn.softmax(tf.matmul(rows, self.weights))


def test_a_saved_model(tmp_path: Path) -> None:
    model, rows = Weighed(), numbers(101, 5)
    folder = saved(tmp_path / "model", model, rows, model(rows).numpy())
    held_against_the_original(folder, {f"x{place}": rows[:, place].copy() for place in range(5)})


class Two(tf.Module):  # type: ignore[misc]
    """A module with two answers."""

    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32, name="rows")])  # type: ignore[untyped-decorator]
    def __call__(self, rows: Any) -> Any:
        return {"sum": tf.reduce_sum(rows, axis=1), "mean": tf.reduce_mean(rows, axis=1)}


def test_a_module_with_several_outputs_stays_what_it_is(tmp_path: Path) -> None:
    rows = numbers(20, 3)
    folder = saved(tmp_path / "model", Two(), rows, {"sum": rows[:, 0], "mean": rows[:, 0]})
    certificate, content = certified(folder)
    assert (certificate.verdict, content) == (Parity.UNDECIDED, b"")
    assert "several outputs" in certificate.reason


class Chance(tf.Module):  # type: ignore[misc]
    """A module that answers by chance, which no conversion can meet."""

    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32, name="rows")])  # type: ignore[untyped-decorator]
    def __call__(self, rows: Any) -> Any:
        return tf.reduce_sum(rows, axis=1) + tf.random.uniform(tf.shape(rows)[:1])


def test_a_module_whose_answers_are_not_met_stays_what_it_is(tmp_path: Path) -> None:
    rows = numbers(20, 3)
    certificate, content = certified(saved(tmp_path / "model", Chance(), rows, rows[:, 0]))
    assert (certificate.verdict is Parity.WITHIN, content) == (False, b"")
    assert certificate.reason
