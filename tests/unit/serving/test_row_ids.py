"""Ids of rows are one id, written in four ways that say the same."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from flyball.serving.arrow_columns import row_ids
from flyball.serving.row_ids import RowIds, json_of


@pytest.mark.parametrize("rows", [0, 1, 2, 15, 16, 1_000, 1_024, 1_025, 10_000])
def test_every_form_says_the_same(rows: int) -> None:
    wanted = ["0a"] if rows == 1 else [f"0a-{number}" for number in range(rows)]
    ids = RowIds("0a", rows)
    text, ends = ids.joined()
    assert len(ids) == len(wanted)
    assert list(ids) == json.loads(ids.json()) == json.loads(json_of(tuple(wanted))) == wanted
    assert [text[start:stop].decode() for start, stop in pairwise(ends)] == wanted
    assert row_ids([ids]).to_pylist() == wanted


def test_a_column_of_many_requests_keeps_their_order() -> None:
    parts = [
        RowIds("a", 1),
        RowIds("b", 20),
        ("mine", 'with "quotes"'),
        RowIds("c", 2),
        RowIds("d", 16),
        RowIds("e", 1),
    ]
    assert row_ids(parts).to_pylist() == [name for part in parts for name in part]


def test_single_ids_can_be_taken_out() -> None:
    ids = RowIds("a", 3)
    assert (ids[1], ids[1:], ids == ("a-0", "a-1", "a-2"), ids == RowIds("a", 2)) == (
        "a-1",
        ("a-1", "a-2"),
        True,
        False,
    )
