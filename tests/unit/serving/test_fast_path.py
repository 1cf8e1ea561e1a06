"""What is proven to say the same is served from ONNX, and nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import mlflow.lightgbm
import mlflow.sklearn
import mlflow.xgboost
import numpy as np
import pandas as pd
import pytest
import xgboost
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from flyball.kernel.canonical import canonical_json
from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.serving.certify import CERTIFICATE, LARGE, MODEL, certify
from flyball.serving.conversion import convert
from flyball.serving.entities import ColumnKind, Columns, ColumnSpec, ModelFolder, Prediction, Signature
from flyball.serving.fast_path import FastPath
from flyball.serving.onnx_path import FastRuntime
from flyball.serving.parity import Certificate, Parity, Tolerance
from flyball.serving.served_model import ServedModel, load_model
from flyball.serving.tree_bits import write_trees
from flyball.serving.tree_graph import trees_of

PINS = ["numpy"]
TREES = ["sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
TOLERANCE = Tolerance(difference_ppm=10, sample_rows=5)
DIGEST = "d" * 64
WAIT_S = 120


def cancer() -> tuple[pd.DataFrame, np.ndarray]:
    data = load_breast_cancer(as_frame=True)
    return data.data, data.target.to_numpy()


def by_name(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    return {str(name): frame[name].to_numpy() for name in frame.columns}


def saved(library: Any, model: Any, rows: Any, answers: Any, folder: Path, **options: Any) -> Path:
    options = {"input_example": rows[:50], "pip_requirements": PINS} | options
    library.save_model(model, str(folder), signature=infer_signature(rows, answers), **options)
    return folder


def logistic(folder: Path, **options: Any) -> Path:
    frame, target = cancer()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, target)
    return saved(mlflow.sklearn, model, frame, target, folder, skops_trusted_types=[], **options)


def proof(folder: Path, *, tolerance: Tolerance = TOLERANCE) -> tuple[Certificate, bytes]:
    found = certify(folder, model_digest=DIGEST, tolerance=tolerance, allow_pickle=False)
    return found.certificate, found.content


def assert_served_the_same(folder: Path, rows: dict[str, np.ndarray]) -> Certificate:
    """Check that the fast path answers all rows, and not only those of the sample, as the original does."""
    certificate, content = proof(folder)
    assert (certificate.verdict, certificate.reason) == (Parity.WITHIN, "")
    assert certificate.plan is not None
    original = load_model(folder, allow_pickle=False)
    fast = ServedModel(FastRuntime(content, original.signature, certificate.plan), original.signature)
    wanted, found = original.predict(rows), fast.predict(rows)
    assert found.labels.dtype == wanted.labels.dtype
    if wanted.labels.dtype.kind == "f":
        np.testing.assert_allclose(found.labels, wanted.labels, rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(found.labels, wanted.labels)
    for name in ("scores", "probabilities"):
        mine, theirs = getattr(found, name), getattr(wanted, name)
        assert (mine is None) == (theirs is None)
        if mine is not None:
            np.testing.assert_allclose(mine, theirs, atol=1e-5)
    return certificate


def test_a_linear_pipeline(tmp_path: Path) -> None:
    frame, _ = cancer()
    found = assert_served_the_same(logistic(tmp_path / "model"), by_name(frame))
    assert (found.rows_given, found.rows) == (50, 1_050)  # logistic regression takes no holes
    assert found.label_agreement == 1.0
    assert found.maximum_absolute is not None
    assert found.maximum_absolute <= 1e-5
    assert {"skl2onnx", "onnxruntime"} <= set(found.versions)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Let libraries work in the calling thread: a team that spins while it waits is slow on a machine with more to do."""
    with threadpool_limits(1):
        yield


@pytest.mark.usefixtures("one_thread")
def test_histogram_trees_with_missing_values(tmp_path: Path) -> None:
    frame, target = cancer()
    model = HistGradientBoostingClassifier(max_iter=20).fit(frame, target)
    folder = saved(mlflow.sklearn, model, frame, target, tmp_path / "model", skops_trusted_types=TREES)
    rows = by_name(frame.mask(np.random.default_rng(0).random(frame.shape) < 0.1))
    found = assert_served_the_same(folder, rows)
    assert found.plan is not None
    assert found.plan.missing


def test_a_forest_with_classes_by_name(tmp_path: Path) -> None:
    matrix, target = load_wine(return_X_y=True)
    labels = np.array(["barolo", "grignolino", "barbera"], dtype=object)[target]
    model = RandomForestClassifier(n_estimators=10, random_state=0).fit(matrix, labels)
    folder = saved(mlflow.sklearn, model, matrix, labels, tmp_path / "model", skops_trusted_types=TREES)
    assert_served_the_same(folder, {f"x{place}": matrix[:, place] for place in range(matrix.shape[1])})


def test_a_regression(tmp_path: Path) -> None:
    frame, target = cancer()
    model = Ridge().fit(frame, target)
    folder = saved(mlflow.sklearn, model, frame, target * 1.0, tmp_path / "model", skops_trusted_types=[])
    assert_served_the_same(folder, by_name(frame))


@pytest.mark.parametrize("patience", [None, 2])
def test_xgboost(patience: int | None, tmp_path: Path) -> None:
    frame, target = cancer()
    model = xgboost.XGBClassifier(n_estimators=30, max_depth=3, n_jobs=1, early_stopping_rounds=patience)
    model.fit(frame[::2], target[::2], eval_set=[(frame[1::2], target[1::2])], verbose=False)
    assert_served_the_same(saved(mlflow.xgboost, model, frame, target, tmp_path / "model"), by_name(frame))


def test_a_booster_that_answers_a_probability(tmp_path: Path) -> None:
    frame, target = cancer()
    data = xgboost.DMatrix(frame, label=target)
    model = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, num_boost_round=5)
    folder = saved(mlflow.xgboost, model, frame, model.predict(data), tmp_path / "model")
    assert_served_the_same(folder, by_name(frame))


def test_lightgbm(tmp_path: Path) -> None:
    matrix, target = load_wine(return_X_y=True)
    model = lightgbm.LGBMClassifier(n_estimators=5, num_leaves=7, verbose=-1, n_jobs=1).fit(matrix, target)
    folder = saved(mlflow.lightgbm, model, matrix, target, tmp_path / "model", serialization_format="skops")
    assert_served_the_same(folder, {f"x{place}": matrix[:, place] for place in range(matrix.shape[1])})


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = pd.DataFrame({"state": ["nsw", "vic"] * 40, "price": np.arange(80) / 80})
    frame["state"] = frame["state"].astype(object)
    encode = ColumnTransformer([("state", OneHotEncoder(), ["state"])], remainder="passthrough")
    target = (frame["state"] == "vic").astype(int).to_numpy()
    model = make_pipeline(encode, LogisticRegression()).fit(frame, target)
    folder = tmp_path_factory.mktemp("mixed") / "model"
    trusted = ["sklearn.compose._column_transformer._RemainderColsList"]
    return saved(mlflow.sklearn, model, frame, target, folder, skops_trusted_types=trusted)


def test_a_table_of_texts_and_numbers(mixed: Path) -> None:
    states = np.array(["vic", "nsw"] * 10, dtype=object)
    found = assert_served_the_same(mixed, {"state": states, "price": np.linspace(0, 1, 20)})
    assert found.plan is not None
    assert found.plan.known == {"state": ("nsw", "vic")}


def test_texts_and_holes_that_were_not_compared_are_for_the_original(mixed: Path) -> None:
    certificate, content = proof(mixed)
    assert certificate.plan is not None
    original, calls = load_model(mixed, allow_pickle=False), []

    def load() -> Any:
        calls.append(1)
        return original.runtime

    fast = ServedModel(FastRuntime(content, original.signature, certificate.plan, original=load), original.signature)
    fast.predict({"state": np.array(["vic"], dtype=object), "price": np.array([0.5])})
    assert not calls
    with pytest.raises(InvalidInput, match="refuses"):  # as the original itself says
        fast.predict({"state": np.array(["qld"], dtype=object), "price": np.array([0.5])})
    with pytest.raises(InvalidInput, match="refuses"):
        fast.predict({"state": np.array(["vic"], dtype=object), "price": np.array([np.nan])})
    assert calls == [1]


def test_answers_that_are_too_far_apart_are_not_served(tmp_path: Path) -> None:
    folder = logistic(tmp_path / "model")
    frame, target = cancer()
    rough = frame * 1e7  # thirty-two bits cannot hold these, and neither can a tolerance of nothing
    model = LogisticRegression(max_iter=10).fit(rough, target)
    shutil.rmtree(folder)
    saved(mlflow.sklearn, model, rough, target, folder, skops_trusted_types=[])
    certificate, content = proof(folder, tolerance=Tolerance(difference_ppm=0, sample_rows=5))
    assert (certificate.verdict, content) == (Parity.BEYOND, b"")
    assert certificate.maximum_absolute is None or certificate.maximum_absolute > 0


class Plain:
    """A runtime that no converter knows."""

    def predict(self, columns: Columns) -> Prediction:
        return Prediction(labels=next(iter(columns.values())), scores=None)


def test_a_model_without_a_converter_says_so() -> None:
    columns = {"price": np.zeros(1)}
    signature = Signature(inputs=(ColumnSpec(name="price", kind=ColumnKind.DOUBLE),))
    with pytest.raises(Unsupported, match="no converter"):
        convert(Plain(), signature, precision="float32", rows=columns, said=Plain().predict(columns))


def test_a_small_sample_decides_nothing(tmp_path: Path) -> None:
    frame, _ = cancer()
    certificate, content = proof(logistic(tmp_path / "model", input_example=frame[:2]))
    assert (certificate.verdict, content) == (Parity.UNDECIDED, b"")
    assert "2 rows, 5 are needed" in certificate.reason


def test_a_stored_reference_sample_counts(tmp_path: Path) -> None:
    frame, _ = cancer()
    folder = logistic(tmp_path / "model", input_example=frame[:2])
    frame[:100].to_parquet(folder / "reference_sample.parquet")
    certificate, _ = proof(folder)
    assert (certificate.verdict, certificate.rows_given) == (Parity.WITHIN, 102)


def test_a_sample_that_does_not_fit_decides_nothing(tmp_path: Path) -> None:
    folder = logistic(tmp_path / "model")
    (folder / "input_example.json").write_text(json.dumps({"columns": ["odd"], "data": [[1.0]]}))
    certificate, _ = proof(folder)
    assert certificate.verdict is Parity.UNDECIDED
    assert "the sample cannot be used" in certificate.reason


class Bench:
    """A fast path over a folder of its own, and what it told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[Certificate] = []
        self.loaded = 0
        self.path = FastPath(
            folder, tolerance=TOLERANCE, allow_pickle=False, load_original=self.load, tell=self.told.append
        )

    def load(self, model: ModelFolder) -> ServedModel:
        self.loaded += 1
        return load_model(model.path, allow_pickle=False)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "kept")
    yield made
    made.path.close()


def test_a_model_goes_over_when_its_proof_is_made_and_starts_so_the_next_time(bench: Bench, tmp_path: Path) -> None:
    frame, _ = cancer()
    model = ModelFolder(path=logistic(tmp_path / "model"), digest=DIGEST)
    served = bench.path.load(model)
    before = served.predict(by_name(frame))
    bench.path.wait(WAIT_S)
    assert served.properties["fast_path"] == "onnx", served.properties
    assert isinstance(served.runtime, FastRuntime)
    np.testing.assert_array_equal(served.predict(by_name(frame)).labels, before.labels)
    [certificate] = bench.told
    assert certificate.model_digest == DIGEST

    again = Bench(bench.folder)
    started = again.path.load(model)
    assert (again.loaded, again.told) == (0, [certificate])
    assert started.properties == served.properties
    np.testing.assert_array_equal(started.predict(by_name(frame)).labels, before.labels)

    kept = next(bench.folder.glob(f"*/{MODEL}"))
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    spoiled = Bench(bench.folder)
    assert spoiled.path.load(model).properties["fast_path"] == "none"
    assert spoiled.loaded == 1
    spoiled.path.close()


def test_the_form_for_large_batches_is_kept_with_the_certificate_and_bound_to_it(bench: Bench, tmp_path: Path) -> None:
    frame, target = cancer()
    fitted = GradientBoostingClassifier(n_estimators=3, random_state=0).fit(frame, target)
    model = ModelFolder(
        path=saved(mlflow.sklearn, fitted, frame, target, tmp_path / "model", skops_trusted_types=TREES), digest=DIGEST
    )
    bench.path.load(model)
    bench.path.wait(WAIT_S)
    [certificate] = bench.told
    place = next(bench.folder.glob(f"*/{MODEL}")).parent
    assert (certificate.large_from_rows > 0) is (place / LARGE).exists()

    # Whether it is worth it here depends on how busy the machine is, so it is decided in its place.
    assert certificate.plan is not None
    trees = trees_of((place / MODEL).read_bytes(), output=certificate.plan.output)
    assert trees is not None
    kept = write_trees(trees)
    (place / LARGE).write_bytes(kept)
    decided = replace(certificate, large_from_rows=100, large_digest=hashlib.sha256(kept).hexdigest())
    (place / CERTIFICATE).write_bytes(canonical_json(decided.content()))
    again = Bench(bench.folder)
    started = again.path.load(model)
    assert (again.loaded, again.told) == (0, [decided])
    assert started.properties["large_batches_from_rows"] == "100"
    rows = by_name(frame)
    said = [started.predict({name: values[at : at + 50] for name, values in rows.items()}) for at in range(0, 569, 50)]
    together = started.predict(rows).probabilities
    assert together is not None
    apart = np.concatenate([one.probabilities for one in said if one.probabilities is not None])
    np.testing.assert_allclose(together, apart, atol=1e-6)

    (place / LARGE).write_bytes(kept[:-1] + b"x")
    spoiled = Bench(bench.folder)
    assert spoiled.path.load(model).properties["fast_path"] == "none"
    spoiled.path.close()
    spoiled.path.wait(WAIT_S)


def test_a_model_without_a_sample_is_served_as_it_is_and_says_why(bench: Bench, tmp_path: Path) -> None:
    served = bench.path.load(ModelFolder(path=logistic(tmp_path / "model", input_example=None), digest=DIGEST))
    assert served.properties["fast_path"] == "none"
    assert "input_example" in served.properties["fast_path_reason"]
    assert not bench.told


def test_a_comparison_that_cannot_be_made_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    folder = logistic(tmp_path / "model")
    served = bench.path.load(ModelFolder(path=folder, digest=DIGEST))
    bench.path.close()
    bench.path.wait(WAIT_S)
    assert served.properties["fast_path"] == "none"
    assert not list(bench.folder.glob(f"*/{CERTIFICATE}"))
