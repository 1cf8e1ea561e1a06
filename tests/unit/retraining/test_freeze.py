"""How labelled rows are cut, before anything is trained."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from flyball.kernel.errors import InvalidInput
from flyball.retraining.freeze import DAY_MS, Cut, Span, cut, day_blocks

HOUR = DAY_MS // 24
FIRST = 100 * DAY_MS


def rows(hours: list[int]) -> pa.Table:
    return pa.table({"time": [FIRST + hour * HOUR for hour in hours], "row": list(range(len(hours)))})


def numbers(part: pa.Table) -> set[int]:
    return set(part.column("row").to_pylist())


def days(part: pa.Table) -> set[int]:
    return {int(day) for day in part.column("time").to_numpy() // DAY_MS}


def parts_of(found: Cut) -> list[pa.Table]:
    return [found.training, found.holdout, found.recent]


@given(
    hours=st.lists(st.integers(0, 24 * 20 - 1), min_size=30, max_size=200),
    start=st.integers(0, 24 * 5),
    length=st.integers(24 * 6, 24 * 20),
    recent=st.integers(1, 24 * 4),
    holdout_every=st.integers(2, 6),
    bad=st.lists(st.tuples(st.integers(0, 24 * 20), st.integers(1, 30)), max_size=3),
)
def test_parts_are_disjoint_hold_all_that_is_usable_and_split_no_day(
    hours: list[int], start: int, length: int, recent: int, holdout_every: int, bad: list[tuple[int, int]]
) -> None:
    table = rows(hours)
    span = Span(start_ms=FIRST + start * HOUR, end_ms=FIRST + (start + length) * HOUR)
    without = [Span(start_ms=FIRST + at * HOUR, end_ms=FIRST + (at + size) * HOUR) for at, size in bad]
    try:
        found = cut(
            table,
            time_column="time",
            span=span,
            recent_ms=recent * HOUR,
            holdout_every=holdout_every,
            without=without,
        )
    except InvalidInput:
        reject()
    usable = {
        row
        for row, hour in enumerate(hours)
        if start <= hour < start + length and not any(at <= hour < at + size for at, size in bad)
    }
    assert [len(numbers(part)) for part in parts_of(found)] == [part.num_rows for part in parts_of(found)]
    assert sum(part.num_rows for part in parts_of(found)) == len(usable)
    assert set.union(*(numbers(part) for part in parts_of(found))) == usable
    assert not days(found.training) & days(found.holdout)
    assert not days(found.recent) & (days(found.training) | days(found.holdout))
    assert max(days(found.training) | days(found.holdout)) < min(days(found.recent))


def test_the_recent_part_holds_at_least_the_newest_stretch_asked_for() -> None:
    table = rows(list(range(24 * 10)))
    span = Span(start_ms=FIRST, end_ms=FIRST + 10 * DAY_MS - 6 * HOUR)
    found = cut(table, time_column="time", span=span, recent_ms=2 * DAY_MS, holdout_every=3)
    assert days(found.recent) == {107, 108, 109}


def test_the_holdout_is_every_nth_day() -> None:
    table = rows(list(range(24 * 10)))
    span = Span(start_ms=FIRST, end_ms=FIRST + 10 * DAY_MS)
    found = cut(table, time_column="time", span=span, recent_ms=2 * DAY_MS, holdout_every=4)
    assert days(found.holdout) == {100, 104}
    assert days(found.training) == {101, 102, 103, 105, 106, 107}


@pytest.mark.parametrize(
    ("hours", "missing"),
    [([24 * 8], "training"), ([24 * 1, 24 * 8], "holdout"), ([0, 24 * 1], "recent")],
)
def test_an_empty_part_is_refused_by_name(hours: list[int], missing: str) -> None:
    span = Span(start_ms=FIRST, end_ms=FIRST + 10 * DAY_MS)
    with pytest.raises(InvalidInput) as raised:
        cut(rows(hours), time_column="time", span=span, recent_ms=2 * DAY_MS, holdout_every=4)
    assert raised.value.field == missing


def test_blocks_are_the_days_that_are_present() -> None:
    found, index = day_blocks(np.asarray([FIRST + DAY_MS, FIRST, FIRST + 5 * DAY_MS, FIRST + 1]))
    assert found.tolist() == [100, 101, 105]
    assert index.tolist() == [1, 0, 2, 0]
