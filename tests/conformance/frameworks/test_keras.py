"""Keras keeps the promises of a flavour."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import keras
import mlflow.keras
import numpy as np
import pytest
from mlflow.models import infer_signature
from sklearn.datasets import load_breast_cancer

from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.serving.flavours.conformance import FlavourConformance, IsolatedConformance, Trained
from flyball.serving.served_model import load_model

PINS = ["keras"]


class TestKeras(FlavourConformance, IsolatedConformance):
    """A network with a layer that behaves otherwise in training."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        matrix, target = load_breast_cancer(return_X_y=True)
        rows = ((matrix - matrix.mean(axis=0)) / matrix.std(axis=0)).astype(np.float32)
        keras.utils.set_random_seed(0)
        layers = keras.layers
        model = keras.Sequential(
            [keras.Input((30,)), layers.Dense(8, activation="relu"), layers.Dropout(0.5), layers.Dense(1, "sigmoid")]
        )
        model.compile(loss="binary_crossentropy")
        model.fit(rows, target, epochs=2, verbose=0)
        answers = model.predict(rows, verbose=0)
        folder = tmp_path_factory.mktemp("keras") / "model"
        mlflow.keras.save_model(model, str(folder), signature=infer_signature(rows, answers), pip_requirements=PINS)
        by_place = {f"x{place}": rows[:, place].copy() for place in range(30)}
        return Trained(folder=folder, file="data/model.keras", rows=by_place, answers=answers, tolerance=1e-5)

    def test_code_in_a_layer_is_refused(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = tmp_path_factory.mktemp("keras") / "model"
        model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda rows: rows * 2)])
        rows = np.ones((2, 3), dtype=np.float32)
        mlflow.keras.save_model(model, str(folder), signature=infer_signature(rows, rows), pip_requirements=PINS)
        with pytest.raises(InvalidInput, match="cannot be loaded"):
            load_model(folder, allow_pickle=False)

    def test_a_tensorflow_program_is_refused_with_the_remedy(
        self, trained: Trained, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("keras")
        text = (trained.folder / "MLmodel").read_text()
        (folder / "MLmodel").write_text(text.replace("save_exported_model: false", "save_exported_model: true"))
        with pytest.raises(Unsupported, match="save_exported_model=False"):
            load_model(folder, allow_pickle=False)
