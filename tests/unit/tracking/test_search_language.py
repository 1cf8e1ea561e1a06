from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.kernel.errors import InvalidInput
from flyball.tracking.search import (
    EXPERIMENTS,
    MODELS,
    RUNS,
    Clause,
    Field,
    Operator,
    Ordering,
    Vocabulary,
    page_of,
    parse_filter,
    parse_order,
    parse_page_token,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics.acc >= 0.9", (Field.METRIC, "acc", Operator.GE, 0.9)),
        ("metric.`a b` < -1e-3", (Field.METRIC, "a b", Operator.LT, -0.001)),
        ('params."my key" = "x"', (Field.PARAM, "my key", Operator.EQ, "x")),
        ("parameters.a.b.c != ''", (Field.PARAM, "a.b.c", Operator.NE, "")),
        ("tags.mlflow.source.name like '%train%'", (Field.TAG, "mlflow.source.name", Operator.LIKE, "%train%")),
        ("tag.x IS NOT NULL", (Field.TAG, "x", Operator.IS_NOT_NULL, None)),
        ("tags.x is null", (Field.TAG, "x", Operator.IS_NULL, None)),
        ("start_time > 5", (Field.ATTRIBUTE, "start_time", Operator.GT, 5)),
        ("attr.created <= 5", (Field.ATTRIBUTE, "start_time", Operator.LE, 5)),
        ("`Run name` ILIKE 'a%'", (Field.ATTRIBUTE, "run_name", Operator.ILIKE, "a%")),
        ("run_id IN ('a',)", (Field.ATTRIBUTE, "run_id", Operator.IN, ("a",))),
        ("run_id NOT IN ('a', 'b')", (Field.ATTRIBUTE, "run_id", Operator.NOT_IN, ("a", "b"))),
        ("datasets.digest IN ('1')", (Field.DATASET, "digest", Operator.IN, ("1",))),
        ("params.quote = 'it''s'", (Field.PARAM, "quote", Operator.EQ, "it's")),
    ],
)
def test_a_comparison_is_read(text: str, expected: tuple[Field, str, Operator, object]) -> None:
    field, key, operator, value = expected
    assert parse_filter(text, RUNS) == (Clause(field=field, key=key, operator=operator, value=value),)  # type: ignore[arg-type]


WORDS = st.sampled_from(
    ["metrics.a", "params.`b c`", "tags.x", "start_time", "run_id", ">", "=", "!=", "LIKE", "IN", "NOT", "IS", "NULL", "AND", "OR",
     "(", ")", ",", "'x'", '"y"', "1", "-2e3", "1e999", "9" * 30, ".", "%"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(WORDS, max_size=12).map(" ".join)))
def test_any_text_is_read_or_refused_and_never_anything_else(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert bool(parse_filter(text, RUNS)) == bool(text.strip())


def test_comparisons_are_joined_by_and() -> None:
    clauses = parse_filter("metrics.a > 1 AND params.b = 'x AND y' and status='FINISHED'", RUNS)
    assert [(clause.key, clause.value) for clause in clauses] == [("a", 1), ("b", "x AND y"), ("status", "FINISHED")]


@pytest.mark.parametrize("text", [None, "", "   "])
def test_no_filter_has_no_clauses(text: str | None) -> None:
    assert parse_filter(text, RUNS) == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("metrics.a > 1 OR metrics.b > 1", "joined by AND only"),
        ("(metrics.a > 1)", "expected a comparison"),
        ("metrics.a > 1 AND", "ends in the middle"),
        ("metrics.a", "ends in the middle"),
        ("metrics.a > '1'", "Expected numeric"),
        ("metrics.a LIKE 'x'", "Invalid comparator"),
        ("params.a = 1", "quoted string"),
        ("params.a > '1'", "Invalid comparator"),
        ("status IN ('RUNNING')", "Only \\['run_id'\\] attributes support comparison with a list"),
        ("run_id IN 'a'", "list in parentheses"),
        ("run_id IN ('a'", "ends in the middle"),
        ("run_id IN ('a',", "ends in the middle"),
        ("run_id IN ('a',,)", "list"),
        ("run_id IN (,)", "list"),
        ("stats.a = 'x'", "Invalid entity type 'stats'"),
        ("lifecycle_stage = 'active'", "Invalid attribute key"),
        ("dataset.size = 'x'", "Invalid dataset key"),
        ("params.a-b = 'x'", "cannot read"),
        ("params.a = 'x", "cannot read"),
        ("params.a IS 'x'", "NULL or NOT NULL"),
        ("params.a 'x'", "no operator"),
        ("params.a = 'x'; DROP TABLE runs", "cannot read"),
        ("params.a = 'x\x00'", "NUL"),
        (f"params.a = '{'x' * 9_000}'", "longer than"),
        (" AND ".join(["metrics.a > 1"] * 300), "at most 200"),
        ("x" * 70_000, "longer than"),
    ],
)
def test_what_is_no_conjunction_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint) as caught:
        parse_filter(text, RUNS)
    assert caught.value.field == "filter"


@pytest.mark.parametrize(
    ("vocabulary", "text"),
    [(EXPERIMENTS, "metrics.a > 1"), (MODELS, "dataset.name = 'x'"), (EXPERIMENTS, "status = 'x'")],
)
def test_each_kind_of_thing_has_its_own_words(vocabulary: Vocabulary, text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_filter(text, vocabulary)


def test_an_order_is_read() -> None:
    assert parse_order(["metrics.`a b` DESC", "start_time asc", "params.x"], RUNS) == (
        Ordering(field=Field.METRIC, key="a b", ascending=False),
        Ordering(field=Field.ATTRIBUTE, key="start_time"),
        Ordering(field=Field.PARAM, key="x"),
    )


@pytest.mark.parametrize(
    "items",
    [
        ["metrics.a", "metric.a DESC"],
        ["metrics.a DOWN"],
        ["dataset.name"],
        ["nothing"],
        [""],
        ["metrics.a; DROP TABLE runs"],
        [f"metrics.m{at}" for at in range(40)],
    ],
)
def test_an_order_that_makes_no_sense_is_refused(items: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_order(items, RUNS)
    assert caught.value.field == "order_by"


def test_the_last_page_has_no_token() -> None:
    first = page_of([1, 2, 3], offset=0, limit=2)
    assert first.items == (1, 2)
    assert parse_page_token(first.next_token) == 2
    assert page_of([3], offset=2, limit=2).next_token is None


@pytest.mark.parametrize(
    "token", ["x", "bm90IGpzb24=", "e30=", "eyJvZmZzZXQiOiAtMX0=", "eyJvZmZzZXQiOiB0cnVlfQ==", "é", "W10="]
)
def test_a_token_that_was_never_given_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid page token"):
        parse_page_token(token)
