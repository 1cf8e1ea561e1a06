"""A predicate is pure: what reaches for anything but the rows is refused before it runs, and nothing of it runs."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flyball.kernel.errors import InvalidInput, UnknownKey
from flyball.monitoring.slice_predicates import check_predicate, columns_of, quoted, rows_where

ROWS = pa.table({"feature.x": [1.0, 2.0, None], "feature.city": ["a", "b", "c"], "feature.Odd name": [1, 2, 3]})
TYPES = {"x": pa.float64(), "city": pa.string(), "Odd name": pa.int64()}


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ("x > 1", [False, True, False]),
        ("NOT x > 1", [True, False, False]),
        ("x IS NULL", [False, False, True]),
        ("city IN ('a', 'c') AND x IS NOT NULL", [True, False, False]),
        ("x BETWEEN 1 AND 2 -- both", [True, True, False]),
        ("lower(city) LIKE 'a%' OR x % 2 = 0", [True, True, False]),
        ("CASE WHEN x > 1 THEN true ELSE false END", [False, True, False]),
        ("x::INT = 1", [True, False, False]),
        ('"Odd name" >= 2', [False, True, True]),
    ],
)
def test_a_predicate_says_which_rows(predicate: str, expected: list[bool]) -> None:
    check_predicate(predicate, TYPES)
    assert [found.tolist() for found in rows_where(ROWS, [predicate, "x > 1"])] == [expected, [False, True, False]]


@pytest.mark.parametrize(
    "predicate",
    [
        "read_csv('/etc/passwd') IS NULL",
        "x > (SELECT count(*) FROM '/etc/passwd')",
        "x IN (SELECT 1)",
        "EXISTS (FROM rows)",
        "x > 1; ATTACH 'a.db'",
        "x > 1) GROUP BY (x",
        "x > 1) UNION SELECT 1 FROM rows WHERE (x > 1",
        "x > 1) ORDER BY (x",
        "x > 1) LIMIT (1",
        "x > 1) USING SAMPLE 1 ROWS --",
        "getenv('HOME') = city",
        "current_setting('home_directory') = city",
        "repeat(city, 1000000000) = 'a'",
        "sum(x) > 1",
        "row_number() OVER () > 1",
        "COLUMNS('x') > 1",
        "* > 1",
        "rows.x > 1",
        "$1 = x",
        "?",
        "[x] = [1]",
        "x::STRUCT(a INT) IS NULL",
        "x::INT[] IS NULL",
        "1 = 1",
        "x >",
        "",
        "x > " + "1 + " * 400 + "1",
        "city > 3",
        "abs(" * 60 + "x" + ")" * 60 + " > 1",
    ],
)
def test_what_is_more_than_a_predicate_is_refused(predicate: str) -> None:
    with pytest.raises(InvalidInput):
        check_predicate(predicate, TYPES, field="slices.named.s")


def test_an_unknown_feature_is_named() -> None:
    with pytest.raises(UnknownKey, match=r"'citi'.*city"):
        check_predicate("citi = 'a'", TYPES)
    with pytest.raises(InvalidInput, match="no feature 'y'"):
        rows_where(ROWS, ["y > 1"])


def test_predicates_that_take_too_long_are_stopped() -> None:
    with pytest.raises(InvalidInput, match="took more than"):
        rows_where(ROWS, ["x > 1"], time_limit_s=0.0)


def test_columns_are_listed_and_names_quoted() -> None:
    assert columns_of("x > 1 AND (city = 'a' OR x < 0)") == ("x", "city")
    assert (quoted("x"), quoted("Odd name"), quoted('a"b')) == ("x", '"Odd name"', '"a""b"')
