"""How far two predictions are apart, and what that comes to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flyball.kernel.canonical import canonical_json
from flyball.kernel.errors import Corrupted
from flyball.serving.entities import Prediction
from flyball.serving.parity import (
    Certificate,
    Difference,
    Parity,
    Plan,
    Tolerance,
    compare,
    judge,
    read_certificate,
    sample_digest,
)
from flyball.serving.reference_sample import recombine, with_holes

TEN_PPM = Tolerance(difference_ppm=10, sample_rows=5)


def numbers(*values: float) -> Prediction:
    return Prediction(labels=np.array(values), scores=None)


def classes(chances: Any, labels: Any) -> Prediction:
    return Prediction(labels=np.array(labels), scores=None, probabilities=np.array(chances), classes=np.arange(2))


@pytest.mark.parametrize(
    ("first", "second", "absolute", "relative"),
    [
        (numbers(1.0, 2.0), numbers(1.0, 2.0), 0.0, 0.0),
        (numbers(0.5), numbers(0.25), 0.25, 0.25),
        (numbers(200.0), numbers(100.0), 100.0, 0.5),
        (numbers(np.nan), numbers(np.nan), 0.0, 0.0),
        (numbers(np.nan), numbers(1.0), np.inf, np.inf),
        (numbers(1.0), numbers(np.nan), np.inf, np.inf),
    ],
)
def test_a_difference_is_relative_above_one_and_absolute_below(
    first: Prediction, second: Prediction, absolute: float, relative: float
) -> None:
    assert compare(first, second) == Difference(absolute=absolute, relative=relative, label_agreement=1.0)


def test_labels_that_differ_are_counted_whatever_the_probabilities_say() -> None:
    first = classes([[0.5, 0.5], [0.1, 0.9]], [0, 1])
    second = classes([[0.5, 0.5], [0.1, 0.9]], [1, 1])
    difference = compare(first, second)
    assert difference == Difference(absolute=0.0, relative=0.0, label_agreement=0.5)
    assert judge(difference, TEN_PPM) is Parity.BEYOND


def test_labels_of_another_type_or_shape_agree_nowhere() -> None:
    texts = Prediction(labels=np.array(["a"], dtype=object), scores=None)
    assert compare(texts, Prediction(labels=np.array([1]), scores=None)).label_agreement == 0.0
    assert compare(numbers(1.0), numbers(1.0, 2.0)).relative == np.inf


@pytest.mark.parametrize(("apart", "verdict"), [(1e-5, Parity.WITHIN), (1.1e-5, Parity.BEYOND)])
def test_the_tolerance_decides(apart: float, verdict: Parity) -> None:
    assert judge(Difference(absolute=apart, relative=apart, label_agreement=1.0), TEN_PPM) is verdict


def test_a_certificate_comes_back_as_it_was_written() -> None:
    certificate = Certificate(
        model_digest="d" * 64,
        verdict=Parity.WITHIN,
        reason="",
        tolerance_ppm=10,
        versions={"onnxruntime": "1.23"},
        maximum_absolute=1e-7,
        plan=Plan(order=("b", "a"), task="classes", output="p", classes=("no", "yes"), known={"a": ("x",)}),
    )
    assert read_certificate(canonical_json(certificate.content())) == certificate
    with pytest.raises(Corrupted):
        read_certificate(b"{}")


def test_a_digest_of_rows_is_of_names_types_and_values() -> None:
    rows = {"a": np.array([1.0, 2.0]), "b": np.array(["x", "y"], dtype=object)}
    others = [
        {"c": rows["a"], "b": rows["b"]},
        {"a": rows["a"].astype(np.float32), "b": rows["b"]},
        {"a": rows["a"], "b": np.array(["x", "z"], dtype=object)},
        {"a": np.array([1.0, 3.0]), "b": rows["b"]},
    ]
    assert sample_digest(rows) == sample_digest({name: values.copy() for name, values in rows.items()})
    assert len({sample_digest(other) for other in (rows, *others)}) == 5


def test_rows_are_recombined_within_what_their_columns_have_and_the_same_each_time() -> None:
    columns = {
        "price": np.array([0.0, 1.0, 4.0]),
        "hour": np.array([3, 5, 9], dtype=np.int32),
        "state": np.array(["a", "b", "b"], dtype=object),
        "image": np.arange(12).reshape(3, 2, 2),
    }
    found = recombine(columns, rows=500, seed=7)
    assert found["price"].min() >= 0
    assert found["price"].max() <= 4
    assert len(np.unique(found["price"])) > 100
    assert found["hour"].dtype == np.int32
    assert set(found["hour"].tolist()) <= set(range(3, 10))
    assert set(found["state"].tolist()) == {"a", "b"}
    assert {image.tobytes() for image in found["image"]} == {image.tobytes() for image in columns["image"]}
    assert sample_digest(found) == sample_digest(recombine(columns, rows=500, seed=7))


def test_holes_are_made_in_decimal_columns_only() -> None:
    columns = {"price": np.ones(1_000), "hour": np.ones(1_000, dtype=np.int64)}
    found = with_holes(columns, seed=1)
    assert found is not None
    assert 0 < np.isnan(found["price"]).sum() < 500
    assert not np.isnan(columns["price"]).any()
    assert found["hour"] is columns["hour"]
    assert with_holes({"hour": columns["hour"]}, seed=1) is None
