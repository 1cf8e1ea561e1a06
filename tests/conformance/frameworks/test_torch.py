"""PyTorch keeps the promises of a flavour, and a forged program is refused before PyTorch reads it."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import mlflow.pytorch
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.models import infer_signature
from sklearn.datasets import load_breast_cancer, load_digits

from flyball.kernel.errors import InvalidInput
from flyball.serving.flavours.conformance import FlavourConformance, IsolatedConformance, Trained
from flyball.serving.flavours.exported import check_program
from flyball.serving.served_model import load_model

PINS = ["torch"]
TOLERANCE = 1e-5


class Net(torch.nn.Module):  # type: ignore[misc]
    """A small network with a layer that behaves otherwise in training."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.BatchNorm1d(columns),
            torch.nn.Linear(columns, 8),
            torch.nn.ReLU(),
            torch.nn.Dropout(),
            torch.nn.Linear(8, 1),
            torch.nn.Sigmoid(),
        )

    def forward(self, rows: torch.Tensor) -> Any:
        return self.layers(rows)


class Picture(torch.nn.Module):  # type: ignore[misc]
    """A network over images that says ten numbers of each."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = torch.nn.Conv2d(1, 4, 3)
        self.said = torch.nn.Linear(4 * 6 * 6, 10)

    def forward(self, image: torch.Tensor) -> Any:
        return self.said(torch.relu(self.seen(image.unsqueeze(1))).flatten(1))


def cancer() -> tuple[np.ndarray, np.ndarray]:
    matrix, target = load_breast_cancer(return_X_y=True)
    return matrix.astype(np.float32), target.astype(np.float32)


def fitted(model: torch.nn.Module, rows: np.ndarray, target: torch.Tensor, loss: Any) -> Any:
    torch.manual_seed(0)
    steps = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(20):
        steps.zero_grad()
        loss(model(torch.from_numpy(rows)), target).backward()
        steps.step()
    return model.eval()


def answers_of(model: Any, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = model(torch.from_numpy(rows.copy())).numpy()
    return found


@pytest.fixture(scope="module")
def net() -> Any:
    rows, target = cancer()
    return fitted(Net(30), rows, torch.from_numpy(target)[:, None], torch.nn.BCELoss())


@pytest.fixture(scope="module")
def exported(net: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows, _ = cancer()
    folder = tmp_path_factory.mktemp("torch") / "model"
    signature = infer_signature(rows, answers_of(net, rows))
    mlflow.pytorch.save_model(
        net, str(folder), signature=signature, input_example=rows[:4], pip_requirements=PINS, serialization_format="pt2"
    )
    return folder


class TestExported(FlavourConformance, IsolatedConformance):
    """A program over a matrix."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, net: Any, exported: Path) -> Trained:
        rows, _ = cancer()
        by_place = {f"x{place}": rows[:, place].copy() for place in range(30)}
        answers = answers_of(net, rows)
        return Trained(folder=exported, file="data/model.pt2", rows=by_place, answers=answers, tolerance=TOLERANCE)


class TestImages(FlavourConformance):
    """A program over tensors, with ten values a row."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        data = load_digits()
        images, target = data.images.astype(np.float32)[:300], torch.from_numpy(data.target[:300])
        model = fitted(Picture(), images, target, torch.nn.CrossEntropyLoss())
        folder, answers = tmp_path_factory.mktemp("torch") / "model", answers_of(model, images)
        signature = infer_signature(images, answers)
        mlflow.pytorch.save_model(
            model,
            str(folder),
            signature=signature,
            input_example=images[:4],
            pip_requirements=PINS,
            serialization_format="pt2",
        )
        rows = {"input": images}
        return Trained(folder=folder, file="data/model.pt2", rows=rows, answers=answers, tolerance=1e-4)


class TestPickled(FlavourConformance):
    """A pickled module over a frame, where that is allowed."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, net: Any, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        rows, _ = cancer()
        frame = pd.DataFrame(rows, columns=list(load_breast_cancer().feature_names))
        folder, answers = tmp_path_factory.mktemp("torch") / "model", answers_of(net, rows)
        mlflow.pytorch.save_model(
            net,
            str(folder),
            signature=infer_signature(frame, answers),
            pip_requirements=PINS,
            serialization_format="pickle",
        )
        by_name = {str(name): frame[name].to_numpy() for name in frame.columns}
        return Trained(
            folder=folder, file="data/model.pth", rows=by_name, answers=answers, tolerance=TOLERANCE, pickled=True
        )


def rewritten(folder: Path, change: Any) -> bytes:
    """Return the archive of a folder with each record as `change(name, bytes)` makes it; a new name when it is a pair."""
    result = io.BytesIO()
    with zipfile.ZipFile(folder / "data" / "model.pt2") as old, zipfile.ZipFile(result, "w") as new:
        for record in old.namelist():
            new.writestr(record, change(record, old.read(record)))
    return result.getvalue()


def with_graph(folder: Path, change: Any) -> bytes:
    def changed(record: str, content: bytes) -> bytes:
        if not record.endswith("models/model.json"):
            return content
        document = json.loads(content)
        change(document["graph_module"], document)
        return json.dumps(document).encode()

    return rewritten(folder, changed)


def test_an_archive_as_it_was_written_passes(exported: Path) -> None:
    check_program(rewritten(exported, lambda _name, content: content))


def _first_node(graph: Any) -> Any:
    return graph["graph"]["nodes"][0]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda graph, _: _first_node(graph).update(target="torch.os.system"), "torch.os.system"),
        (lambda graph, _: _first_node(graph).update(target="torch.ops.aten.from_file.default"), "from_file"),
        (lambda graph, _: _first_node(graph).update(target="_operator.methodcaller"), "methodcaller"),
        (lambda graph, _: _first_node(graph)["inputs"][0].update(name="x=print(1)"), "print"),
        (lambda graph, _: graph["module_call_graph"][0]["signature"].update(in_spec='[1,{"__enum__": 1}]'), "enum"),
        (
            lambda graph, _: graph["module_call_graph"][0]["signature"].update(in_spec='{"type": "collections.deque"}'),
            "deque",
        ),
        (lambda _, document: document.update(range_constraints={"__import__('os')": {}}), "import"),
    ],
)
def test_a_program_that_reaches_for_more_than_operators_is_refused(exported: Path, change: Any, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        check_program(with_graph(exported, change))


@pytest.mark.parametrize(
    "expression", ["__import__('os').system('true')", "open('x')", "Symbol('s').func", "exec('1')", "Symbol[0]"]
)
def test_an_expression_that_is_more_than_arithmetic_is_refused(exported: Path, expression: str) -> None:
    def change(graph: Any, _document: Any) -> None:
        sizes = graph["graph"]["tensor_values"]["rows"]["sizes"]
        sizes[0]["as_expr"]["expr_str"] = expression

    with pytest.raises(InvalidInput, match="expr_str"):
        check_program(with_graph(exported, change))


def test_pickled_weights_and_unknown_records_are_refused(exported: Path) -> None:
    def pickled(record: str, content: bytes) -> bytes:
        if not record.endswith("weights_config.json"):
            return content
        return content.replace(b'"use_pickle": false', b'"use_pickle": true', 1)

    with pytest.raises(InvalidInput, match="pickled"):
        check_program(rewritten(exported, pickled))
    archive = io.BytesIO((exported / "data" / "model.pt2").read_bytes())
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("model/extra/run.py", b"")
    with pytest.raises(InvalidInput, match=r"extra/run\.py"):
        check_program(archive.getvalue())


def test_a_sample_that_runs_code_is_refused_and_not_run(exported: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (marker,))

    def forged(record: str, content: bytes) -> bytes:
        if not record.endswith("sample_inputs/model.pt"):
            return content
        sample = io.BytesIO()
        torch.save(Runs(), sample)
        return sample.getvalue()

    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_bytes((exported / "MLmodel").read_bytes())
    (folder / "data" / "model.pt2").write_bytes(rewritten(exported, forged))
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        load_model(folder, allow_pickle=False)
    assert not marker.exists()
