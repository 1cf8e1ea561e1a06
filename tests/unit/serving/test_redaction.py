"""What may not be written is not: hidden columns, and predictions that were not drawn."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from flyball.kernel.errors import InvalidInput, UnknownKey
from flyball.kernel.ids import new_id
from flyball.monitoring import schema
from flyball.serving.capture import record_tables
from flyball.serving.capture_rules import KEEP_ALL, CaptureMode, CaptureRules, Treatment, check_columns, parse_rules
from flyball.serving.redaction import Redaction, is_drawn

from .batches import a_batch

KEY = b"k" * 32


def a_table(*names: str, **columns: Any) -> pa.Table:
    batch = a_batch(*names)
    [table] = record_tables([msgspec.structs.replace(batch, columns=columns or batch.columns)])
    return table


def rules(**columns: Treatment) -> CaptureRules:
    return CaptureRules(columns={name.replace("_", "."): how for name, how in columns.items()})


def test_without_rules_everything_is_kept_and_the_share_is_one() -> None:
    table = a_table("a", "b")
    found = Redaction(KEY).apply(table, KEEP_ALL)
    assert found.drop(["share"]) == table
    assert found.column("share").to_pylist() == [1.0, 1.0]


def test_a_dropped_feature_leaves_no_column_and_a_hashed_one_a_digest() -> None:
    table = a_table("a", "b", "c", name=np.array(["Ada", "Bob", "Ada"], dtype=object), age=np.array([30, 41, 30]))
    found = Redaction(KEY).apply(table, rules(feature_name=Treatment.HASH, feature_age=Treatment.DROP))
    assert [name for name in found.column_names if "age" in name or "name" in name] == ["hashed.name"]
    first, second, third = found.column("hashed.name").to_pylist()
    assert first == third != second
    assert len(first) == 32
    assert "Ada" not in str(found.to_pydict())


def test_equal_values_are_equal_under_one_key_and_not_under_another() -> None:
    table = a_table("a", name=np.array(["Ada"], dtype=object))
    hidden = rules(feature_name=Treatment.HASH)
    digests = [Redaction(key).apply(table, hidden).column("hashed.name").to_pylist() for key in (KEY, KEY, b"other")]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    "values",
    [np.array([1.5, np.nan]), np.array([True, False]), np.array([3, 4]), np.array([[1.0, 2.0], [1.0, 3.0]])],
    ids=["double", "boolean", "integer", "tensor"],
)
def test_every_kind_of_column_can_be_hashed_and_a_missing_value_stays_missing(values: np.ndarray) -> None:
    name = "tensor_x" if values.ndim > 1 else "feature_x"
    found = Redaction(KEY).apply(a_table("a", "b", x=values), rules(**{name: Treatment.HASH}))
    first, second = found.column("hashed.x").to_pylist()
    assert len(first) == 32
    assert (second is None) == (values.dtype.kind == "f" and values.ndim == 1)
    assert first != second


def test_features_that_nobody_named_can_be_hidden_too() -> None:
    found = Redaction(KEY).apply(
        a_table("a"), CaptureRules(others=Treatment.DROP, columns={"feature.hour": Treatment.KEEP})
    )
    assert [name for name in found.column_names if name.startswith("feature.")] == ["feature.hour"]
    assert found.column("prediction").to_pylist() == [1]


def test_a_caller_can_be_hidden_and_the_log_still_takes_the_row() -> None:
    hashed = Redaction(KEY).apply(a_table("a"), rules(caller=Treatment.HASH))
    dropped = Redaction(KEY).apply(a_table("a"), rules(caller=Treatment.DROP))
    assert len(hashed.column("caller").to_pylist()[0]) == 32
    assert dropped.column("caller").to_pylist() == [""]
    for table in (hashed, dropped, Redaction(KEY).apply(a_table("a"), rules(feature_price=Treatment.HASH))):
        schema.check_predictions(table)


def test_the_same_ids_are_drawn_wherever_they_are_drawn_and_a_larger_share_draws_them_too() -> None:
    ids = [new_id() for _ in range(20_000)]
    quarter, half = ({name for name in ids if is_drawn(name, share)} for share in (0.25, 0.5))
    assert quarter < half < set(ids)
    # Far outside of what chance does (six standard deviations): the ids of one second differ in few places only.
    assert abs(len(quarter) - 5_000) < 6 * (20_000 * 0.25 * 0.75) ** 0.5
    assert is_drawn("prediction-1", 0.5) is True
    assert is_drawn("prediction-4", 0.5) is False


def test_a_share_is_stated_in_the_rows_that_were_drawn() -> None:
    ids = [f"prediction-{number}" for number in range(100)]
    found = Redaction(KEY).apply(a_table(*ids), CaptureRules(share=0.3))
    assert found.column("prediction_id").to_pylist() == [name for name in ids if is_drawn(name, 0.3)]
    assert set(found.column("share").to_pylist()) == {0.3}
    schema.check_predictions(found)


def test_rules_are_read_from_words() -> None:
    found = parse_rules(share=0.5, mode="durable", columns={"feature.age": "hash"}, others="keep")
    assert found == CaptureRules(share=0.5, mode=CaptureMode.DURABLE, columns={"feature.age": Treatment.HASH})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"share": 0.0}, "share"),
        ({"share": 1.5}, "share"),
        ({"share": float("nan")}, "share"),
        ({"mode": "sometimes"}, "mode"),
        ({"columns": {"feature.age": "blur"}}, "feature.age"),
        ({"others": ""}, "others"),
    ],
)
def test_words_that_are_none_are_refused_by_name(change: dict[str, Any], field: str) -> None:
    given: dict[str, Any] = {"share": 1.0, "mode": "interval", "columns": {}, "others": "keep"} | change
    with pytest.raises(InvalidInput) as caught:
        parse_rules(**given)
    assert caught.value.field == field


def test_a_rule_for_a_column_that_is_none_is_refused_with_near_misses() -> None:
    check_columns(rules(feature_age=Treatment.DROP, caller=Treatment.DROP), ["feature.age"])
    with pytest.raises(UnknownKey, match=r"feature\.age"):
        check_columns(CaptureRules(columns={"feature.aeg": Treatment.DROP}), ["feature.age"])
    with pytest.raises(UnknownKey):
        check_columns(CaptureRules(columns={"prediction": Treatment.DROP}), ["feature.age"])
