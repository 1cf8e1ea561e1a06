"""Tensors, moments and bytes are held to their column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flyball.kernel.errors import InvalidInput
from flyball.serving.entities import ColumnKind, ColumnSpec, Matrix, Prediction, Signature, TensorSpec, join_columns
from flyball.serving.signature import NamedRows, PositionalRows, enforce


def one(kind: str, *, dtype: str = "", shape: tuple[int, ...] = ()) -> Signature:
    tensor = TensorSpec(dtype=dtype, shape=shape) if dtype else None
    return Signature(inputs=(ColumnSpec(name="x", kind=ColumnKind(kind), tensor=tensor),))


def texts(*values: object) -> np.ndarray:
    return np.array(values, dtype=object)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("float32", np.ones((2, 3), dtype=np.float64)),
        ("float32", np.array([[1, 2, 3]])),
        ("float16", np.array([[np.inf, np.nan, 0.5]])),
        ("uint8", np.array([[0.0, 1.0, 255.0]])),
        ("bool", np.array([[True, False, True]])),
        ("object", texts("a", "b", "c").reshape(1, 3)),
    ],
)
def test_a_tensor_comes_out_in_its_own_type(dtype: str, values: np.ndarray) -> None:
    found = enforce(one("tensor", dtype=dtype, shape=(3,)), NamedRows(columns={"x": values}))["x"]
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found, values.astype(dtype))


def test_a_size_that_is_open_takes_any() -> None:
    wanted = one("tensor", dtype="int64", shape=(-1, 2))
    for length in (1, 5):
        found = enforce(wanted, NamedRows(columns={"x": np.zeros((3, length, 2), dtype=np.int64)}))["x"]
        assert found.shape == (3, length, 2)


@pytest.mark.parametrize(
    ("dtype", "values", "match"),
    [
        ("float32", np.zeros((1, 2)), "rows of shape .3., and .2. was sent"),
        ("float32", np.zeros(1), "rows of shape .3."),
        ("float32", texts("a", "b", "c").reshape(1, 3), "wants float32, and object"),
        ("float32", np.array([[1e300, 0, 0]]), "1e.300, which does not fit float32"),
        ("int64", np.array([[0.5, 0, 0]]), "0.5, which does not fit int64"),
        ("int64", np.array([[np.nan, 0, 0]]), "nan, which does not fit int64"),
        ("uint8", np.array([[256, 0, 0]]), "256, which does not fit uint8"),
        ("uint8", np.array([[-1, 0, 0]]), "-1, which does not fit uint8"),
        ("bool", np.array([[1, 0, 0]]), "wants bool, and int64"),
        ("object", texts("a", None, "c").reshape(1, 3), "holds a NoneType"),
    ],
)
def test_a_tensor_that_loses_something_is_refused_by_name(dtype: str, values: np.ndarray, match: str) -> None:
    with pytest.raises(InvalidInput, match=match) as caught:
        enforce(one("tensor", dtype=dtype, shape=(3,)), NamedRows(columns={"x": values}))
    assert caught.value.field == "x"


def test_columns_without_names_are_joined_for_one_wide_tensor() -> None:
    rows = PositionalRows(columns=(np.array([1.0, 4.0]), np.array([2.0, 5.0]), np.array([3.0, 6.0])))
    found = enforce(one("tensor", dtype="float32", shape=(3,)), rows)["x"]
    assert found.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("text", ["2026-11-25T12:00:00Z", "2026-11-25T12:00:00", "2026-11-25T13:00:00+01:00"])
def test_a_moment_is_kept_in_utc(text: str) -> None:
    found = enforce(one("datetime"), NamedRows(columns={"x": texts(text)}))["x"]
    assert found.dtype == np.dtype("datetime64[ns]")
    assert found[0] == np.datetime64("2026-11-25T12:00:00")


@pytest.mark.parametrize("value", ["yesterday", 5, None, "9999-01-01", "1677-01-01"])
def test_what_is_no_moment_is_refused_by_row(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"row 1 .* no moment"):
        enforce(one("datetime"), NamedRows(columns={"x": texts("2026-11-25", value)}))


@pytest.mark.parametrize("values", [np.array([1.0]), np.array(["NaT"], dtype="datetime64[ns]")])
def test_numbers_and_holes_are_no_moments(values: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match=r"datetime|no moment"):
        enforce(one("datetime"), NamedRows(columns={"x": values}))


def test_bytes_come_as_they_are_or_in_base64() -> None:
    found = enforce(one("binary"), NamedRows(columns={"x": texts("AP8=", b"raw")}))["x"]
    assert found.tolist() == [b"\x00\xff", b"raw"]


@pytest.mark.parametrize("value", ["?", 5, None])
def test_what_is_no_base64_is_refused_by_row(value: object) -> None:
    with pytest.raises(InvalidInput, match="row 1 is no text in base64"):
        enforce(one("binary"), NamedRows(columns={"x": texts("AP8=", value)}))


@pytest.mark.parametrize("kind", ["double", "long", "boolean", "string"])
def test_a_plain_column_takes_one_value_a_row(kind: str) -> None:
    with pytest.raises(InvalidInput, match=r"one .* a row"):
        enforce(one(kind), NamedRows(columns={"x": np.zeros((2, 3))}))


def test_rows_are_put_below_each_other() -> None:
    matrix = Matrix(("a", "b"), np.array([[1.0, 2.0]]))
    joined = join_columns([matrix, matrix])
    assert isinstance(joined, Matrix)
    assert joined.values_by_row.tolist() == [[1, 2], [1, 2]]
    mixed = join_columns([matrix, {"a": np.array([3.0]), "b": np.array([4.0])}])
    assert {name: values.tolist() for name, values in mixed.items()} == {"a": [1, 3], "b": [2, 4]}
    assert join_columns([matrix]) is matrix
    with pytest.raises(KeyError):
        matrix["c"]


def test_a_part_of_a_prediction_has_a_part_of_everything() -> None:
    whole: Any = Prediction(
        labels=np.arange(4),
        scores=np.arange(4) / 4,
        probabilities=np.arange(8.0).reshape(4, 2),
        classes=np.array([0, 1]),
        outputs={"more": np.arange(12).reshape(4, 3)},
    )
    part: Any = whole.rows(1, 3)
    assert part.labels.tolist() == [1, 2]
    assert part.scores.tolist() == [0.25, 0.5]
    assert part.probabilities.tolist() == [[2, 3], [4, 5]]
    assert part.classes.tolist() == [0, 1]
    assert part.outputs["more"].tolist() == [[3, 4, 5], [6, 7, 8]]
