"""A profile says what a column looked like; its numbers agree with SciPy and NumPy, and it survives JSON."""

from __future__ import annotations

import datetime as dt
import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from flyball.datasets import ColumnKind, ColumnProfile, Profile, profile_table
from flyball.kernel.canonical import canonical_json
from flyball.kernel.errors import InvalidInput, NotFound, Unsupported


def _profile(values: object, kind: pa.DataType | None = None) -> ColumnProfile:
    [column] = profile_table(pa.table({"x": pa.array(values, kind)})).columns
    return column


def test_numbers_agree_with_numpy_and_scipy() -> None:
    values = np.random.default_rng(7).gamma(2.0, 3.0, size=1_001)
    column = _profile(values)
    assert (column.kind, column.count, column.missing_count, column.distinct_count) == ("numeric", 1_001, 0, 1_001)
    assert (column.minimum, column.maximum) == (values.min(), values.max())
    assert column.mean == pytest.approx(values.mean(), rel=1e-12)
    assert column.std == pytest.approx(stats.tstd(values, ddof=0), rel=1e-12)
    expected = stats.mstats.mquantiles(values, np.linspace(0, 1, 101), alphap=1, betap=1)
    np.testing.assert_allclose(column.quantiles, expected, rtol=1e-12)
    np.testing.assert_array_equal(column.counts, np.histogram(values, bins=np.asarray(column.edges))[0])
    assert column.top == ()


def test_null_nan_and_infinity_are_missing() -> None:
    column = _profile([1.0, None, math.nan, math.inf, -math.inf, 3.0])
    assert (column.count, column.missing_count, column.distinct_count) == (2, 4, 2)
    assert (column.minimum, column.maximum, column.mean, column.std) == (1.0, 3.0, 2.0, 1.0)


def test_a_constant_column_does_not_vary() -> None:
    column = _profile([0.1] * 10)
    assert (column.mean, column.std, column.distinct_count) == (0.1, 0.0, 1)
    assert (column.edges, column.counts) == ((0.1, 0.1), (10,))
    assert column.quantiles == (0.1,) * 101


def test_few_different_numbers_are_listed() -> None:
    assert _profile([1, 0, 1, None, 1]).top == ((1.0, 3), (0.0, 1))


def test_a_column_without_values_has_no_numbers() -> None:
    assert _profile([None, math.nan], pa.float64()) == ColumnProfile(
        name="x", kind=ColumnKind.NUMERIC, count=0, missing_count=2, distinct_count=0
    )


def test_a_boolean_has_a_share_of_true() -> None:
    assert _profile([True, None, True, False]) == ColumnProfile(
        name="x",
        kind=ColumnKind.BOOLEAN,
        count=3,
        missing_count=1,
        distinct_count=2,
        mean=2 / 3,
        top=((True, 2), (False, 1)),
    )


def test_few_different_texts_are_categories_and_all_are_listed() -> None:
    assert _profile(["b", "a", None, "a", "c"]) == ColumnProfile(
        name="x",
        kind=ColumnKind.CATEGORICAL,
        count=4,
        missing_count=1,
        distinct_count=3,
        top=(("a", 2), ("b", 1), ("c", 1)),
    )


def test_a_dictionary_is_described_by_its_values() -> None:
    values = pa.array(["b", "a", "a"])
    assert _profile(values.dictionary_encode()) == _profile(values)


def test_many_different_texts_are_text_and_the_most_frequent_are_listed() -> None:
    column = _profile([f"name {number}" for number in range(101)] + ["name 50"])
    assert (column.kind, column.distinct_count, len(column.top)) == ("text", 101, 100)
    assert column.top[0] == ("name 50", 2)


def test_a_long_text_is_no_category_and_not_listed() -> None:
    column = _profile(["short", "x" * 300])
    assert (column.kind, column.top) == ("text", (("short", 1),))


@pytest.mark.parametrize(
    ("values", "kind", "minimum", "maximum"),
    [
        ([dt.date(1970, 1, 2), None, dt.date(2024, 2, 29)], pa.date32(), 86_400_000.0, 1_709_164_800_000.0),
        ([0, 5], pa.timestamp("s"), 0.0, 5_000.0),
        ([0, 5], pa.timestamp("us", tz="Europe/Berlin"), 0.0, 0.005),
        ([1, 5], pa.timestamp("ns"), 1e-6, 5e-6),
        ([60, 120], pa.time32("s"), 60_000.0, 120_000.0),
        ([None, None], pa.timestamp("ms"), None, None),
    ],
)
def test_a_time_has_its_ends_in_milliseconds(
    values: list[object], kind: pa.DataType, minimum: float | None, maximum: float | None
) -> None:
    column = _profile(values, kind)
    assert (column.kind, column.minimum, column.maximum) == ("time", minimum, maximum)
    assert column.count == len(values) - values.count(None)


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.decimal128(10, 2)])
def test_numbers_of_every_width_are_described(kind: pa.DataType) -> None:
    values = pa.array([1, 2, 3, None], pa.int64()).cast(pa.float64()).cast(kind)
    column = _profile(values)
    assert (column.mean, column.count, column.missing_count, column.distinct_count) == (2.0, 3, 1, 3)


def test_a_table_without_rows_has_a_profile() -> None:
    profile = profile_table(pa.table({"x": pa.array([], pa.float64()), "t": pa.array([], pa.string())}))
    assert [(column.count, column.missing_count) for column in profile.columns] == [(0, 0), (0, 0)]
    assert Profile.from_json(profile.to_json()) == profile


def test_a_column_that_cannot_be_described_is_named() -> None:
    with pytest.raises(Unsupported, match="'x'"):
        _profile([[1, 2]])


def test_columns_are_found_by_name() -> None:
    profile = profile_table(pa.table({"a": [1], "b": ["x"]}))
    assert profile.get("b").kind == ColumnKind.CATEGORICAL
    assert profile.find("c") is None
    with pytest.raises(NotFound, match="a, b"):
        profile.get("c")


_FLOATS = st.lists(st.none() | st.floats() | st.sampled_from([0.0, -0.0, 5e-324, 1.7e308, -1.7e308]), max_size=30)


@example(numbers=[-1e-115, 1e209], texts=["a", None])
@example(numbers=[5e-324, 1.7e308, -1.7e308], texts=["a", "a", "b"])
@given(numbers=_FLOATS, texts=st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), max_size=30))
def test_every_profile_survives_json_and_is_consistent(numbers: list[float | None], texts: list[str | None]) -> None:
    size = min(len(numbers), len(texts))
    table = pa.table({"n": pa.array(numbers[:size], pa.float64()), "t": pa.array(texts[:size], pa.string())})
    profile = profile_table(table)
    data = canonical_json(profile.to_json())
    assert Profile.from_json(json.loads(data)) == profile
    for column in profile.columns:
        assert column.count + column.missing_count == profile.row_count == size
        assert sum(count for _value, count in column.top) in {0, column.count} or column.kind == ColumnKind.TEXT
    _check_numbers(profile.get("n"))


def _check_numbers(column: ColumnProfile) -> None:
    if not column.count:
        assert (column.minimum, column.mean, column.quantiles, column.counts) == (None, None, (), ())
        return
    assert column.minimum is not None
    assert column.maximum is not None
    assert column.mean is not None
    assert column.minimum <= column.mean <= column.maximum
    assert sum(column.counts) == column.count
    assert len(column.edges) == len(column.counts) + 1
    assert len(column.quantiles) == 101
    assert list(column.quantiles) == sorted(column.quantiles)
    assert (column.quantiles[0], column.quantiles[-1]) == (column.minimum, column.maximum)
    assert list(column.edges) == sorted(column.edges)


@given(values=st.lists(st.integers(-50, 50), min_size=1, max_size=40), seed=st.integers(0, 99))
def test_the_order_of_rows_plays_no_part(values: list[int], seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(values)
    assert _profile(shuffled, pa.int64()) == _profile(values, pa.int64())


@pytest.mark.parametrize(
    "value",
    [None, [], {"row_count": 1}, {"row_count": "x", "columns": []}, {"row_count": 1, "columns": [{"name": "x"}]}],
)
def test_what_is_no_profile_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="no profile"):
        Profile.from_json(value)  # type: ignore[arg-type]
