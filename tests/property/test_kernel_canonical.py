"""Laws of canonical JSON."""

from __future__ import annotations

import json
import random

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from flyball.kernel.canonical import JsonValue, canonical_json, digest_json, parse_json

EXACT = 2**53 - 1
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none() | st.booleans() | st.integers(-EXACT, EXACT) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5), max_leaves=20
)


def shuffled(value: JsonValue, seed: int) -> JsonValue:
    if isinstance(value, dict):
        items = [(key, shuffled(inner, seed)) for key, inner in value.items()]
        random.Random(seed).shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return [shuffled(inner, seed) for inner in value]
    return value


PLAIN: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers(-EXACT, EXACT) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner, max_size=8)
    ),
    max_leaves=20,
)


@given(PLAIN | VALUES)
def test_the_form_is_that_of_the_reference_implementation(value: JsonValue) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(VALUES)
def test_what_is_read_back_has_the_same_canonical_form(value: JsonValue) -> None:
    written = canonical_json(value)
    assert parse_json(written) == value
    assert canonical_json(parse_json(written)) == written


@given(VALUES)
def test_every_reader_that_counts_in_doubles_reads_the_canonical_form(value: JsonValue) -> None:
    assert json.loads(canonical_json(value), parse_int=float) == value


@given(VALUES, st.integers())
def test_the_order_of_keys_plays_no_part(value: JsonValue, seed: int) -> None:
    assert digest_json(shuffled(value, seed)) == digest_json(value)


@given(VALUES, VALUES)
def test_equal_bytes_are_equal_values(one: JsonValue, two: JsonValue) -> None:
    if canonical_json(one) == canonical_json(two):
        assert one == two
