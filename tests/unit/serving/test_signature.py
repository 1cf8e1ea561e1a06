"""Rows are held to the signature, and every error names the column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.kernel.errors import InvalidInput
from flyball.serving.entities import ColumnKind, ColumnSpec, Matrix, Signature
from flyball.serving.signature import MatrixRows, NamedRows, PositionalRows, enforce


def signature(**kinds: str) -> Signature:
    return Signature(inputs=tuple(ColumnSpec(name=name, kind=ColumnKind(kind)) for name, kind in kinds.items()))


def named(**columns: Any) -> NamedRows:
    return NamedRows(columns={name: np.asarray(values) for name, values in columns.items()})


def test_columns_come_out_in_the_signatures_order_and_types() -> None:
    wanted = signature(a="double", b="long", c="float", d="integer", e="boolean", f="string")
    rows = named(f=np.array(["x"], dtype=object), e=[True], d=[1], c=[0.5], b=[2], a=[3])
    found = enforce(wanted, rows)
    assert list(found) == ["a", "b", "c", "d", "e", "f"]
    assert [str(values.dtype) for values in found.values()] == [
        "float64",
        "int64",
        "float32",
        "int32",
        "bool",
        "object",
    ]


def test_columns_without_names_take_the_signatures_order() -> None:
    found = enforce(signature(a="double", b="long"), PositionalRows(columns=(np.array([0.5]), np.array([2.0]))))
    assert {name: values.tolist() for name, values in found.items()} == {"a": [0.5], "b": [2]}


@pytest.mark.parametrize(
    ("kind", "values", "match"),
    [
        ("double", ["1.5"], "wants double, and texts"),
        ("double", [True], "wants double, and booleans"),
        ("double", [1.0, np.inf], "row 1 .* infinite"),
        ("double", [2**53 + 1], "row 0 .* exact"),
        ("double", np.array([2**63 + 1], dtype=np.uint64), "exact"),
        ("float", [1e300], "does not fit float"),
        ("long", [1.5], "row 0 .1.5. is no whole number"),
        ("long", [1.0, np.nan], "row 1 .*NaN"),
        ("long", [1e300], "too large to be exact"),
        ("long", np.array([2**63], dtype=np.uint64), "does not fit long"),
        ("integer", [2**31], "does not fit integer"),
        ("integer", [-(2**31) - 1], "does not fit integer"),
        ("boolean", [1], "wants boolean, and integers"),
        ("string", [1], "wants string, and integers"),
        ("string", np.array(["a", None], dtype=object), "no value in row 1"),
        ("string", np.array(["a", 1], dtype=object), "row 1 holds a int"),
    ],
)
def test_a_value_the_column_cannot_hold_is_refused_by_column_and_row(kind: str, values: Any, match: str) -> None:
    with pytest.raises(InvalidInput, match=match) as caught:
        enforce(signature(price=kind), named(price=values))
    assert caught.value.field == "price"


@pytest.mark.parametrize(
    ("rows", "field", "match"),
    [
        (named(a=[1.0]), "b", "missing column 'b'"),
        (named(a=[1.0], b=[1.0], c=[1.0]), "c", "unknown column 'c'; the model wants: a, b"),
        (named(a=[1.0], b=[1.0, 2.0]), "b", "'b' has 2 rows, others have 1"),
        (named(a=np.array([]), b=np.array([])), "inputs", "no rows"),
        (PositionalRows(columns=(np.array([1.0]),)), "inputs", "1 columns were sent, the model wants 2"),
    ],
)
def test_rows_of_another_shape_are_refused(rows: Any, field: str, match: str) -> None:
    with pytest.raises(InvalidInput, match=match) as caught:
        enforce(signature(a="double", b="double"), rows)
    assert caught.value.field == field


def test_missing_numbers_are_allowed_where_a_double_can_say_so() -> None:
    found = enforce(signature(a="double"), named(a=[1.0, np.nan]))
    np.testing.assert_array_equal(found["a"], [1.0, np.nan])


def test_a_column_that_may_be_left_out_is_filled_with_nan_or_refused() -> None:
    def optional(kind: str) -> Signature:
        spare = ColumnSpec(name="b", kind=ColumnKind(kind), required=False)
        return Signature(inputs=(ColumnSpec(name="a", kind=ColumnKind.DOUBLE), spare))

    np.testing.assert_array_equal(enforce(optional("double"), named(a=[1.0, 2.0]))["b"], [np.nan, np.nan])
    with pytest.raises(InvalidInput, match="'b' is left out"):
        enforce(optional("long"), named(a=[1.0]))


@given(st.lists(st.integers(-(2**53) + 1, 2**53 - 1), min_size=1))
def test_whole_numbers_survive_the_way_over_floats(values: list[int]) -> None:
    found = enforce(signature(a="long"), named(a=np.array(values, dtype=np.float64)))
    assert found["a"].tolist() == values


@given(st.lists(st.floats(allow_infinity=False), min_size=1))
def test_a_double_comes_out_bit_for_bit(values: list[float]) -> None:
    found = enforce(signature(a="double"), named(a=np.array(values)))
    np.testing.assert_array_equal(found["a"], np.array(values))


@pytest.mark.parametrize("values", [np.array([[1.0, np.nan], [3.0, 4.0]]), np.array([[1.0, 2.0]], dtype=np.float32)])
def test_a_matrix_of_numbers_stays_one(values: np.ndarray) -> None:
    found = enforce(signature(a="double", b="double"), MatrixRows(values=values))
    assert isinstance(found, Matrix)
    np.testing.assert_array_equal(found.values_by_row, values)
    assert found.values_by_row.dtype == np.float64
    by_column = enforce(signature(a="double", b="double"), PositionalRows(columns=tuple(values.T)))
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in by_column.items()
    }


@pytest.mark.parametrize(
    ("kinds", "values", "match"),
    [
        (("double", "double"), [[1.0, np.inf]], "'b': row 0 .* infinite"),
        (("float", "float"), [[1e300, 1.0]], "'a': row 0 .* does not fit float"),
        (("double", "long"), [[1.0, 1.5]], "'b': row 0 .* no whole number"),
        (("double", "double"), [[1.0]], "1 columns were sent, the model wants 2"),
        (("double", "double"), np.zeros((0, 2)), "no rows"),
    ],
)
def test_a_matrix_is_held_as_its_columns_are(kinds: tuple[str, str], values: Any, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        enforce(signature(a=kinds[0], b=kinds[1]), MatrixRows(values=np.asarray(values)))


def test_a_matrix_for_columns_of_several_types_is_taken_apart() -> None:
    found = enforce(signature(a="double", b="long"), MatrixRows(values=np.array([[0.5, 2.0]])))
    assert {name: array.dtype.name for name, array in found.items()} == {"a": "float64", "b": "int64"}


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_columns_that_lie_side_by_side_stay_so_in_the_signatures_order(names: tuple[str, str]) -> None:
    values = np.array([[1.0, 2.0], [3.0, np.nan]])
    found = enforce(signature(a="double", b="double"), NamedRows(columns=Matrix(names, values)))
    assert isinstance(found, Matrix)
    assert list(found) == ["a", "b"]
    for place, name in enumerate(names):
        np.testing.assert_array_equal(found[name], values[:, place])


@pytest.mark.parametrize(
    ("names", "match"), [(("a",), "missing column 'b'"), (("a", "b", "c"), "unknown column 'c'"), (("a", "c"), "'b'")]
)
def test_columns_side_by_side_are_held_to_their_names(names: tuple[str, ...], match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        enforce(signature(a="double", b="double"), NamedRows(columns=Matrix(names, np.ones((2, len(names))))))


def test_a_double_that_may_be_a_rounded_integer_is_none() -> None:
    with pytest.raises(InvalidInput, match="exact"):
        enforce(signature(a="long"), named(a=np.array([2.0**53])))
