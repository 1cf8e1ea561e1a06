"""Networks of PyTorch and Keras go over to the fast path with a certificate, and say why where they do not."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

from pathlib import Path
from typing import Any

import keras
import mlflow.keras
import mlflow.pytorch
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from mlflow.models import infer_signature
from tests.conformance import networks
from tests.conformance.frameworks.test_torch import PINS, Net, Picture, answers_of, cancer, fitted

from flyball.serving.entities import Columns
from flyball.serving.parity import Certificate, Parity


def saved(folder: Path, model: Any, rows: np.ndarray) -> Path:
    mlflow.pytorch.save_model(
        model,
        str(folder),
        signature=infer_signature(rows, answers_of(model, rows)),
        input_example=rows[:20],
        pip_requirements=PINS,
        serialization_format="pt2",
    )
    return folder


def certified(folder: Path) -> tuple[Certificate, bytes]:
    return networks.certified(folder, allow_pickle=False)


def held_against_the_original(folder: Path, rows: Columns) -> None:
    made_with = {"torch", "onnxscript"}
    certificate = networks.held_against_the_original(folder, rows, made_with=made_with, allow_pickle=False)
    assert certificate.maximum_relative is not None
    assert certificate.maximum_relative <= 5e-5


def test_a_program_over_a_matrix(tmp_path: Path) -> None:
    rows, target = cancer()
    net = fitted(Net(30), rows, torch.from_numpy(target)[:, None], torch.nn.BCELoss())
    columns = {f"x{place}": rows[:, place].copy() for place in range(30)}
    held_against_the_original(saved(tmp_path / "model", net, rows), columns)


def test_a_program_over_images(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((101, 8, 8)).astype(np.float32)
    torch.manual_seed(0)
    held_against_the_original(saved(tmp_path / "model", Picture().eval(), images), {"input": images})


def test_a_network_of_keras_on_pytorch(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((5,)), layers.Dense(8, activation="relu"), layers.Dropout(0.5), layers.Dense(3, "softmax")]
    )
    rows = np.random.default_rng(0).random((101, 5)).astype(np.float32)
    folder = tmp_path / "model"
    signature = infer_signature(rows, model.predict(rows, verbose=0))
    mlflow.keras.save_model(model, str(folder), signature=signature, pip_requirements=["keras"])
    columns = {f"x{place}": rows[:20, place] for place in range(5)}
    pq.write_table(pa.table(columns), folder / "reference_sample.parquet")
    held_against_the_original(folder, {f"x{place}": rows[:, place].copy() for place in range(5)})


class Two(torch.nn.Module):  # type: ignore[misc]
    """A network with two answers."""

    def forward(self, rows: torch.Tensor) -> Any:
        return {"sum": rows.sum(dim=1), "mean": rows.mean(dim=1)}


def test_a_network_with_several_outputs_stays_what_it_is(tmp_path: Path) -> None:
    rows = np.ones((20, 3), dtype=np.float32)
    folder = tmp_path / "model"
    mlflow.pytorch.save_model(
        Two().eval(),
        str(folder),
        signature=infer_signature(rows, {"sum": rows[:, 0], "mean": rows[:, 0]}),
        input_example=rows,
        pip_requirements=PINS,
        serialization_format="pt2",
    )
    certificate, content = certified(folder)
    assert (certificate.verdict, content) == (Parity.UNDECIDED, b"")
    assert "several outputs" in certificate.reason


def test_the_precision_of_a_network_is_its_own() -> None:
    from flyball.kernel.errors import Unsupported
    from flyball.serving.conversion import convert
    from flyball.serving.entities import ColumnKind, ColumnSpec, Prediction, Signature
    from flyball.serving.flavours.torch import TorchRuntime

    signature = Signature(inputs=(ColumnSpec(name="x", kind=ColumnKind.FLOAT),))
    runtime = TorchRuntime(torch.nn.Identity(), signature)
    with pytest.raises(Unsupported, match="precision"):
        convert(
            runtime,
            signature,
            precision="float64",
            rows={"x": np.zeros(4)},
            said=Prediction(labels=np.zeros(4), scores=None),
        )
