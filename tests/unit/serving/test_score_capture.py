"""The rows of a batch job in the record of the prediction log."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flyball.kernel.errors import InvalidInput
from flyball.monitoring.schema import check_predictions
from flyball.serving import score_capture
from flyball.serving.entities import Prediction
from flyball.serving.score_capture import CaptureOrder, captured_file, captured_files, record_of, slices

COLUMNS = {"price": np.array([1.5, 2.5])}
SAID = Prediction(labels=np.array([1, 0]), scores=np.array([0.9, 0.8]))


def record(table: dict[str, Any], **named: str) -> pa.Table:
    order = CaptureOrder(endpoint="live", job="ab" * 32, version=3, version_digest="c" * 64, **named)
    return record_of(order, pa.table(table), COLUMNS, SAID, part=7, latency_ms=2.0)


def test_a_record_is_that_of_an_endpoint() -> None:
    found = record({"price": [1.5, 2.5]})
    check_predictions(found)
    assert found.column("prediction_id").to_pylist() == [f"{'ab' * 16}-7-0", f"{'ab' * 16}-7-1"]
    assert found.column("feature.price").to_pylist() == [1.5, 2.5]
    assert (found.column("prediction").to_pylist(), found.column("version").to_pylist()) == ([1, 0], [3, 3])


@pytest.mark.parametrize(
    "times",
    [
        [1_000, 2_000],
        ["1000", "2000"],
        ["1970-01-01T00:00:01Z", "1970-01-01T01:00:02+01:00"],
        [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)],
        [datetime(1970, 1, 1, 0, 0, 1), datetime(1970, 1, 1, 0, 0, 2)],  # noqa: DTZ001 -- a moment without a zone is UTC
        pa.array([1_000_000_999, 2_000_000_000], type=pa.timestamp("ns")),
    ],
)
def test_a_time_is_milliseconds_or_a_moment(times: Any) -> None:
    assert record({"seen": times}, time_column="seen").column("time_ms").to_pylist() == [1_000, 2_000]


@pytest.mark.parametrize("times", [["x", "y"], [1_000, None], [0.5, 1.5], [True, False], ["1000", ""]])
def test_what_is_no_time_is_refused(times: Any) -> None:
    with pytest.raises(InvalidInput, match=r"'seen' .* holds something that is no time"):
        record({"seen": times}, time_column="seen")


def test_an_id_is_a_text_or_a_whole_number() -> None:
    assert record({"id": [5, 6]}, id_column="id").column("prediction_id").to_pylist() == ["5", "6"]
    for ids in (["a", None], ["a", ""], [True, False], [1.5, 2.0]):
        with pytest.raises(InvalidInput, match="is no id"):
            record({"id": ids}, id_column="id")


def test_a_file_is_shipped_in_pieces_that_a_server_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_capture, "SHIPPED_ROWS", 2)
    pq.write_table(pa.table({"a": [1, 2, 3]}), captured_file(tmp_path, 4))
    (tmp_path / "part-000004.parquet").touch()
    assert captured_files(tmp_path) == [captured_file(tmp_path, 4)]
    found = [pq.read_table(pa.BufferReader(piece)) for piece in slices(captured_file(tmp_path, 4))]
    assert [one.column("a").to_pylist() for one in found] == [[1, 2], [3]]
