"""Ensembles of trees say the same by bits as ONNX Runtime does, for rows of any number, with holes or without."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import onnx
import onnxmltools
import onnxruntime
import pytest
import skl2onnx
import xgboost
from onnxmltools.convert.common import data_types as onnx_types
from skl2onnx.common import data_types
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from flyball.kernel.errors import Corrupted
from flyball.serving.conversion import MATRIX, OPSETS, TREES_OPSET
from flyball.serving.conversion import _mended as mended
from flyball.serving.entities import Array, ColumnKind, Columns, ColumnSpec, Matrix, Prediction, Signature
from flyball.serving.large_batches import quicker_from
from flyball.serving.onnx_path import FastRuntime, Large
from flyball.serving.parity import Plan
from flyball.serving.tree_bits import TreeBits, Trees, read_trees, write_trees
from flyball.serving.tree_graph import trees_of

# More than a block, and no multiple of eight.
ROWS = 1_501
TURN_S = 0.02
Data = tuple[Array, Array]


def holed(rows: Array) -> Array:
    made = np.array(rows)
    made[np.random.default_rng(1).random(made.shape) < 0.2] = np.nan
    return made


def cancer(*, missing: bool = False) -> Data:
    rows, labels = load_breast_cancer(return_X_y=True)
    return (holed(rows) if missing else rows), labels


def by_sklearn(model: Any, data: Data) -> bytes:
    rows, answers = data
    with threadpool_limits(
        1
    ):  # a team of threads that spin while they wait takes half a minute on a machine with more to do
        model.fit(rows, answers)
    graph = skl2onnx.convert_sklearn(
        model,
        initial_types=[(MATRIX, data_types.FloatTensorType([None, rows.shape[1]]))],
        options={id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None,
        custom_conversion_functions=mended(),
        target_opset=OPSETS,
    )
    return bytes(graph.SerializeToString())


def by_xgboost(model: Any, data: Data) -> bytes:
    booster = model.fit(*data).get_booster()
    inputs = [(MATRIX, onnx_types.FloatTensorType([None, booster.num_features()]))]
    return bytes(
        onnxmltools.convert_xgboost(booster, initial_types=inputs, target_opset=TREES_OPSET).SerializeToString()
    )


def by_lightgbm(model: Any, data: Data) -> bytes:
    booster = model.fit(*data).booster_
    inputs = [(MATRIX, onnx_types.FloatTensorType([None, booster.num_feature()]))]
    graph = onnxmltools.convert_lightgbm(booster, initial_types=inputs, target_opset=TREES_OPSET, zipmap=False)
    return bytes(graph.SerializeToString())


def session(content: bytes) -> tuple[Any, str]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    made = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return made, made.get_outputs()[-1].name


def small() -> bytes:
    return by_sklearn(GradientBoostingClassifier(n_estimators=5, random_state=0), cancer())


CASES: dict[str, Callable[[], tuple[bytes, Array]]] = {
    "two classes": lambda: (small(), cancer()[0]),
    "three classes": lambda: (
        by_sklearn(GradientBoostingClassifier(n_estimators=5, random_state=0), load_wine(return_X_y=True)),
        load_wine(return_X_y=True)[0],
    ),
    "regression": lambda: (
        by_sklearn(GradientBoostingRegressor(n_estimators=20, random_state=0), load_diabetes(return_X_y=True)),
        load_diabetes(return_X_y=True)[0],
    ),
    "forest": lambda: (
        by_sklearn(RandomForestClassifier(10, random_state=0), load_wine(return_X_y=True)),
        load_wine(return_X_y=True)[0],
    ),
    "forest of values": lambda: (
        by_sklearn(RandomForestRegressor(5, random_state=0), load_diabetes(return_X_y=True)),
        load_diabetes(return_X_y=True)[0],
    ),
    "histogram trees that saw holes": lambda: (
        by_sklearn(HistGradientBoostingClassifier(max_iter=10, random_state=0), cancer(missing=True)),
        cancer()[0],
    ),
    "XGBoost that saw holes": lambda: (
        by_xgboost(xgboost.XGBClassifier(n_estimators=10, n_jobs=1), cancer(missing=True)),
        cancer()[0],
    ),
    "LightGBM": lambda: (
        by_lightgbm(lightgbm.LGBMRegressor(n_estimators=10, verbose=-1, n_jobs=1), load_diabetes(return_X_y=True)),
        load_diabetes(return_X_y=True)[0],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_trees_by_bits_say_what_onnx_runtime_says(case: str) -> None:
    content, rows = CASES[case]()
    runtime, output = session(content)
    found = trees_of(content, output=output)
    assert found is not None
    bits = TreeBits(found)
    whole = np.resize(rows, (ROWS, rows.shape[1])).astype(np.float32)
    for asked in (whole, holed(whole), whole[:1], whole[:3]):
        [wanted] = runtime.run([output], {MATRIX: asked})
        said = bits.run(asked)
        assert said.shape == (len(asked), wanted.size // len(asked))
        np.testing.assert_allclose(said, wanted.reshape(said.shape), rtol=5e-6, atol=5e-6)


def test_trees_are_kept_as_numbers_and_read_again() -> None:
    content = small()
    found = trees_of(content, output=session(content)[1])
    assert found is not None
    again = read_trees(write_trees(found))
    for name in Trees.__slots__:
        np.testing.assert_equal(getattr(again, name), getattr(found, name), err_msg=name)
    with pytest.raises(Corrupted, match="cannot be read"):
        read_trees(write_trees(found)[:-100])


def test_trees_of_one_leaf_among_others() -> None:
    rows, labels = cancer()
    content = by_sklearn(GradientBoostingClassifier(n_estimators=3, random_state=0), (rows, labels))
    found = trees_of(content, output=session(content)[1])
    assert found is not None
    # One root more, at the end of the level, that is a leaf of weight 1.
    leaves = (np.append(found.leaves[0], found.roots), *found.leaves[1:])
    weights = np.insert(found.weights, len(found.leaves[0]), 1.0, axis=1)
    more = replace(found, roots=found.roots + 1, leaves=leaves, weights=weights, finish="NONE", paired=False)
    plain = replace(found, finish="NONE", paired=False)
    np.testing.assert_allclose(TreeBits(more).run(rows), TreeBits(plain).run(rows) + 1.0)


def test_what_is_computed_before_or_behind_the_trees_is_left_to_onnx_runtime() -> None:
    scaled = make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=2))
    behind = by_lightgbm(lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1), cancer())
    for content in (by_sklearn(scaled, cancer()), behind):
        assert trees_of(content, output=session(content)[1]) is None


def test_trees_of_which_the_graph_says_something_unusual_are_left_to_onnx_runtime() -> None:
    model = onnx.load_model_from_string(small())
    [node] = [one for one in model.graph.node if one.op_type == "TreeEnsembleClassifier"]
    [modes] = [one for one in node.attribute if one.name == "nodes_modes"]
    modes.strings[0] = b"BRANCH_GT"
    assert trees_of(model.SerializeToString(), output=model.graph.output[-1].name) is None


def test_batches_of_a_size_are_answered_by_bits_and_smaller_ones_are_not() -> None:
    content, rows = small(), cancer()[0].astype(np.float32)
    output = session(content)[1]
    names = tuple(f"x{place}" for place in range(rows.shape[1]))
    signature = Signature(inputs=tuple(ColumnSpec(name=name, kind=ColumnKind.FLOAT) for name in names))
    plan = Plan(order=names, task="classes", output=output, classes=(0, 1))
    found = trees_of(content, output=output)
    assert found is not None
    other = TreeBits(replace(found, base=found.base + 50.0))  # which says 1 of everything
    runtime = FastRuntime(content, signature, plan, large=Large(trees=other, from_rows=64))
    assert set(runtime.predict(Matrix(names, rows[:63])).labels.tolist()) == {0, 1}
    assert set(runtime.predict(Matrix(names, rows[:64])).labels.tolist()) == {1}


class Slow:
    """A runtime that takes its time for some batches."""

    def __init__(self, slow: Callable[[int], bool]) -> None:
        self._slow = slow

    def predict(self, columns: Columns) -> Prediction:
        labels = next(iter(columns.values()))
        if self._slow(len(labels)):
            time.sleep(TURN_S)
        return Prediction(labels=labels, scores=None)


def test_the_size_from_which_the_other_form_is_quicker_is_measured() -> None:
    rows = {"x": np.zeros(128)}
    always, never = Slow(lambda _: True), Slow(lambda _: False)
    grows = Slow(lambda count: count >= 64)
    sizes = (32, 64, 128, 256)
    assert quicker_from(always, never, rows, sizes=sizes) == 32
    assert quicker_from(grows, never, rows, sizes=(64, 128)) == 64
    assert quicker_from(never, always, rows, sizes=sizes) == 0
    assert quicker_from(always, never, rows, sizes=(256,)) == 0
