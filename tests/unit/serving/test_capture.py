"""Captured predictions follow the one schema."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from flyball.serving.capture import record_tables
from flyball.serving.entities import Prediction

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
    from flyball.monitoring import schema

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
    [table] = record_tables([dataclasses.replace(a_batch("a"), columns={"f": values})])
    assert table.schema.field("feature.f").type == kind
    assert table.column("feature.f").to_pylist() == values.tolist()


def test_versions_with_other_columns_or_labels_make_tables_of_their_own() -> None:
    other = dataclasses.replace(a_batch("b"), columns={"price": np.array([0.5])})
    tables = record_tables([a_batch("a"), other, a_batch("c", label="up"), a_batch("d")])
    assert [table.column("prediction_id").to_pylist() for table in tables] == [["a", "d"], ["b"], ["c"]]


def test_a_model_without_probabilities_leaves_the_score_null() -> None:
    silent = dataclasses.replace(a_batch("a"), prediction=Prediction(labels=np.array([1]), scores=None))
    [table] = record_tables([silent, a_batch("b")])
    assert table.column("score").to_pylist() == [None, 0.75]
