"""Requests that are predicted together get what each would have got alone, and none the error of another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.kernel.errors import InvalidInput, Unavailable
from flyball.serving.entities import ColumnKind, Columns, ColumnSpec, Matrix, Prediction, Signature
from flyball.serving.joining import Predicted, predict_together
from flyball.serving.served_model import ServedModel
from flyball.serving.signature import MatrixRows, NamedRows, PositionalRows, Rows

DOUBLES = Signature(inputs=tuple(ColumnSpec(name=name, kind=ColumnKind.DOUBLE) for name in ("a", "b")))
POISON = 13.0


class Sum:
    """Add the columns; refuse a poisonous value, and count the calls."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict(self, columns: Columns) -> Prediction:
        self.calls.append(len(columns["a"]))
        if POISON in columns["a"]:
            raise ValueError("poison")
        total = columns["a"] + columns["b"]
        return Prediction(labels=total, scores=total / 2)


def matrix(*rows: tuple[float, float]) -> MatrixRows:
    return MatrixRows(values=np.array(rows, dtype=np.float64))


def named(a: list[float], b: list[float]) -> NamedRows:
    return NamedRows(columns={"a": np.array(a), "b": np.array(b)})


def labels(outcome: Predicted | Exception) -> list[float]:
    assert isinstance(outcome, Predicted), outcome
    assert outcome.prediction.scores is not None
    assert (outcome.prediction.scores * 2).tolist() == outcome.prediction.labels.tolist()
    return list(outcome.prediction.labels.tolist())


def test_requests_of_one_kind_are_one_call_and_each_gets_its_rows() -> None:
    model = Sum()
    found = predict_together(ServedModel(model, DOUBLES), [matrix((1, 2)), matrix((3, 4), (5, 6)), matrix((7, 8))])
    assert model.calls == [4]
    assert [labels(outcome) for outcome in found] == [[3], [7, 11], [15]]
    second = found[1]
    assert isinstance(second, Predicted)
    assert {name: values.tolist() for name, values in second.columns.items()} == {"a": [1, 3, 5, 7], "b": [2, 4, 6, 8]}
    assert second.first == 1


def test_requests_of_different_kinds_are_told_apart_and_stay_in_order() -> None:
    model = Sum()
    requests: list[Rows] = [
        matrix((1, 2)),
        named([1], [3]),
        PositionalRows(columns=(np.array([1.0]), np.array([4.0]))),
        named([1.5], [5]),
        matrix((1, 6)),
    ]
    found = predict_together(ServedModel(model, DOUBLES), requests)
    assert [labels(outcome) for outcome in found] == [[3], [4], [5], [6.5], [7]]
    assert len(model.calls) == 4  # whole numbers and doubles are two kinds


def test_a_large_whole_number_is_not_rounded_by_its_neighbours() -> None:
    large = 2**53 + 1
    found = predict_together(ServedModel(Sum(), DOUBLES), [named([0.5], [1.0]), named([large], [1])])
    assert labels(found[0]) == [1.5]
    assert isinstance(found[1], InvalidInput)
    assert str(large) in found[1].message


def test_what_does_not_fit_the_signature_fails_alone() -> None:
    requests: list[Rows] = [
        named([1], [2]),
        NamedRows(columns={"a": np.array([1])}),
        named([1, 2], [3]),
        NamedRows(columns={}),
        named([3], [4]),
    ]
    found = predict_together(ServedModel(Sum(), DOUBLES), requests)
    assert labels(found[0]) == [3]
    assert labels(found[4]) == [7]
    assert [getattr(outcome, "field", None) for outcome in found[1:4]] == ["b", "b", "a"]


def test_a_passing_fault_is_everybodys_and_the_model_is_not_asked_again_and_again() -> None:
    class Away:
        calls = 0

        def predict(self, columns: Columns) -> Prediction:
            self.calls += 1
            raise Unavailable("the worker is starting")

    model = Away()
    found = predict_together(ServedModel(model, DOUBLES), [matrix((1, 2))] * 8)
    assert [type(outcome) for outcome in found] == [Unavailable] * 8
    assert len({id(outcome) for outcome in found}) == 8
    assert model.calls == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from([1.0, 2.0, POISON]), st.floats(-9, 9)), min_size=1, max_size=3),
        min_size=1,
        max_size=12,
    )
)
def test_each_request_gets_what_it_would_have_got_alone(requests: list[list[tuple[float, float]]]) -> None:
    model = Sum()
    found = predict_together(ServedModel(model, DOUBLES), [matrix(*rows) for rows in requests])
    bad = 0
    for rows, outcome in zip(requests, found, strict=True):
        if any(a == POISON for a, _ in rows):
            bad += 1
            assert isinstance(outcome, ValueError)
        else:
            assert labels(outcome) == pytest.approx([a + b for a, b in rows])
    assert len(model.calls) <= 1 + 2 * bad * (len(requests) - 1).bit_length()


def test_named_rows_that_lie_side_by_side_are_joined_as_they_lie() -> None:
    model = Sum()
    one, two = (
        NamedRows(columns=Matrix(("b", "a"), np.array([row], dtype=np.float64))) for row in ((2.0, 1.0), (4.0, 3.5))
    )
    found = predict_together(ServedModel(model, DOUBLES), [one, named([1], [3]), two])
    assert [labels(outcome) for outcome in found] == [[3], [4], [7.5]]
    assert model.calls == [2, 1]
