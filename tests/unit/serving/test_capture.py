"""Captured predictions follow the one schema."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from flyball.monitoring import schema
from flyball.serving.capture import record_tables
from flyball.serving.entities import Matrix, Prediction

from .batches import a_batch


def test_rows_are_written_in_the_one_schema() -> None:
    [table] = record_tables([a_batch("a", "b"), a_batch("c")])
    assert {field.name: str(field.type) for field in table.schema} == {
        "prediction_id": "string",
        "request_id": "string",
        "time_ms": "int64",
        "served_ms": "int64",
        "version": "int32",
        "version_digest": "string",
        "role": "string",
        "latency_ms": "double",
        "caller": "string",
        "feature.price": "double",
        "feature.hour": "int64",
        "prediction": "int64",
        "score": "double",
    }
    assert table.to_pylist()[1] == {
        "prediction_id": "b",
        "request_id": "request-a",
        "time_ms": 1,
        "served_ms": 1_700_000_000_000,
        "version": 3,
        "version_digest": "d" * 64,
        "role": "champion",
        "latency_ms": 1.5,
        "caller": "user:owner",
        "feature.price": 1.0,
        "feature.hour": 1,
        "prediction": 1,
        "score": 0.75,
    }
    assert table.column("request_id").to_pylist() == ["request-a", "request-a", "request-c"]


def test_the_log_takes_what_is_written() -> None:
    for table in record_tables(
        [a_batch("a"), a_batch("b", label="up"), a_batch("c", label=True), a_batch("d", label=0.5)]
    ):
        schema.check_predictions(table)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array([True]), pa.bool_()),
        (np.array([1], dtype=np.int32), pa.int64()),
        (np.array([0.1], dtype=np.float32), pa.float64()),
        (np.array(["x"], dtype=object), pa.string()),
    ],
)
def test_features_are_kept_as_the_model_saw_them_in_four_types(values: np.ndarray, kind: pa.DataType) -> None:
    [table] = record_tables([msgspec.structs.replace(a_batch("a"), columns={"f": values})])
    assert table.schema.field("feature.f").type == kind
    assert table.column("feature.f").to_pylist() == values.tolist()


def test_versions_with_other_columns_or_labels_make_tables_of_their_own() -> None:
    other = msgspec.structs.replace(a_batch("b"), columns={"price": np.array([0.5])})
    tables = record_tables([a_batch("a"), other, a_batch("c", label="up"), a_batch("d")])
    assert [table.column("prediction_id").to_pylist() for table in tables] == [["a", "d"], ["b"], ["c"]]


def test_a_model_without_probabilities_leaves_the_score_null() -> None:
    silent = msgspec.structs.replace(a_batch("a"), prediction=Prediction(labels=np.array([1]), scores=None))
    [table] = record_tables([silent, a_batch("b")])
    assert table.column("score").to_pylist() == [None, 0.75]


def test_nothing_of_a_prediction_with_several_values_a_row_is_lost() -> None:
    rich = Prediction(
        labels=np.array([[0.5, 1.5], [2.5, 3.5]]),
        scores=None,
        probabilities=np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]),
        classes=np.array(["a", "b", "c"], dtype=object),
        outputs={"embedding": np.arange(12, dtype=np.float32).reshape(2, 2, 3)},
    )
    columns = {"image": np.arange(8, dtype=np.uint8).reshape(2, 2, 2), "price": np.array([1.0, 2.0])}
    [table] = record_tables([msgspec.structs.replace(a_batch("a", "b"), columns=columns, prediction=rich)])
    row = table.to_pylist()[1]
    assert {name: row[name] for name in table.column_names[9:]} == {
        "tensor.image": [4, 5, 6, 7],
        "feature.price": 2.0,
        "prediction": "[2.5,3.5]",
        "score": None,
        "probabilities": [0.1, 0.1, 0.8],
        "output.embedding": [6.0, 7.0, 8.0, 9.0, 10.0, 11.0],
    }
    assert table.schema.field("tensor.image").metadata == {b"shape": b"2,2"}
    schema.check_predictions(table)


def test_moments_and_bytes_are_kept_as_texts() -> None:
    columns = {
        "at": np.array(["2026-11-25T12:00:00.5"], dtype="datetime64[ns]"),
        "raw": np.array([b"\x00\xff"], dtype=object),
    }
    [table] = record_tables([msgspec.structs.replace(a_batch("a"), columns=columns)])
    assert table.column("feature.at").to_pylist() == ["2026-11-25T12:00:00.500000Z"]
    assert table.column("feature.raw").to_pylist() == ["AP8="]
    schema.check_predictions(table)


def test_a_matrix_is_captured_column_by_column() -> None:
    matrix = Matrix(("price", "hour"), np.array([[1.0, 2.0], [3.0, 4.0]]))
    [table] = record_tables([msgspec.structs.replace(a_batch("a", "b"), columns=matrix)])
    assert table.column("feature.hour").to_pylist() == [2.0, 4.0]


def test_what_was_predicted_together_is_written_as_if_it_had_been_alone() -> None:
    columns = {"price": np.linspace(0, 1, 6), "hour": np.arange(6)}
    prediction = Prediction(labels=np.arange(6), scores=np.linspace(0, 1, 6))
    together = [
        msgspec.structs.replace(a_batch(*names), columns=columns, prediction=prediction, first=first)
        for first, names in [(0, "ab"), (2, "c"), (4, "ef")]  # the fourth row is not captured here
    ]
    alone = [
        msgspec.structs.replace(
            each,
            columns={name: values[each.first : each.first + each.rows] for name, values in columns.items()},
            prediction=Prediction(
                labels=prediction.labels[each.first : each.first + each.rows],
                scores=prediction.scores[each.first : each.first + each.rows],  # type: ignore[index]
            ),
            first=0,
        )
        for each in together
    ]
    [table] = record_tables(together)
    assert [table] == record_tables(alone)
    assert table.column("feature.hour").to_pylist() == [0, 1, 2, 4, 5]
    assert table.column("prediction").to_pylist() == [0, 1, 2, 4, 5]


def test_a_number_that_the_log_cannot_hold_is_no_other_number() -> None:
    outputs = {"count": np.array([2**63], dtype=np.uint64)}
    batch = msgspec.structs.replace(
        a_batch("a"), prediction=Prediction(labels=np.array([1]), scores=None, outputs=outputs)
    )
    with pytest.raises(OverflowError, match="9223372036854775808"):
        record_tables([batch])


def test_texts_that_are_not_ascii_are_cut_where_they_end() -> None:
    batches = [
        msgspec.structs.replace(a_batch("ä", "b"), caller="Zoë"),
        msgspec.structs.replace(a_batch("c"), caller=""),
    ]
    [table] = record_tables(batches)
    assert table.column("prediction_id").to_pylist() == ["ä", "b", "c"]
    assert table.column("caller").to_pylist() == ["Zoë", "Zoë", ""]
    assert table.validate(full=True) is None


def test_rows_that_are_written_need_no_pandas() -> None:
    code = """
import sys
from tests.unit.serving.batches import a_batch
from flyball.serving.capture import record_tables
from flyball.serving.capture_rules import KEEP_ALL
from flyball.serving.redaction import Redaction
[table] = record_tables([a_batch("a", "b"), a_batch("c")])
assert Redaction(b"").apply(table, KEEP_ALL).num_rows == 3
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
