"""Every prediction as a row: the one schema that all serving targets write and monitoring reads.

`prediction_id`, `request_id`, `time_ms` (event time), `served_ms`, `version`, `version_digest`, `role`, `latency_ms`, `caller`,
then `feature.<name>` for each column as the model saw it, then `prediction` and `score`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from flyball.serving.entities import Array, Columns, Prediction

FEATURE_PREFIX = "feature."


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionBatch:
    """The rows that one version answered in one request. `times_ms` are the rows' event times."""

    request_id: str
    prediction_ids: tuple[str, ...]
    times_ms: tuple[int, ...]
    served_ms: int
    version: int
    version_digest: str
    role: str
    latency_ms: float
    caller: str
    columns: Columns
    prediction: Prediction

    @property
    def rows(self) -> int:
        """The number of predictions."""
        return len(self.prediction_ids)


def record_tables(batches: Sequence[PredictionBatch]) -> list[pa.Table]:
    """Return the batches as few tables as their columns allow: two versions of a model may see different features."""
    groups: dict[tuple[object, ...], list[PredictionBatch]] = {}
    for batch in batches:
        groups.setdefault(_shape(batch), []).append(batch)
    return [_table(group) for group in groups.values()]


def _shape(batch: PredictionBatch) -> tuple[object, ...]:
    features = tuple((name, _arrow_type(values)) for name, values in batch.columns.items())
    return (*features, _arrow_type(batch.prediction.labels))


def _table(batches: Sequence[PredictionBatch]) -> pa.Table:
    counts = [batch.rows for batch in batches]

    def repeated(values: Sequence[object], kind: pa.DataType) -> pa.Array:
        return pa.array(np.repeat(np.asarray(values, dtype=object), counts), type=kind)

    columns: dict[str, pa.Array] = {
        "prediction_id": pa.array([name for batch in batches for name in batch.prediction_ids], type=pa.string()),
        "request_id": repeated([batch.request_id for batch in batches], pa.string()),
        "time_ms": pa.array([time_ms for batch in batches for time_ms in batch.times_ms], type=pa.int64()),
        "served_ms": repeated([batch.served_ms for batch in batches], pa.int64()),
        "version": repeated([batch.version for batch in batches], pa.int32()),
        "version_digest": repeated([batch.version_digest for batch in batches], pa.string()),
        "role": repeated([batch.role for batch in batches], pa.string()),
        "latency_ms": repeated([batch.latency_ms for batch in batches], pa.float64()),
        "caller": repeated([batch.caller for batch in batches], pa.string()),
    }
    for name in batches[0].columns:
        columns[FEATURE_PREFIX + name] = _joined([batch.columns[name] for batch in batches])
    columns["prediction"] = _joined([batch.prediction.labels for batch in batches])
    columns["score"] = pa.concat_arrays([_scores(batch) for batch in batches])
    return pa.table(columns)


def _joined(arrays: Sequence[Array]) -> pa.Array:
    return pa.array(np.concatenate(arrays), type=_arrow_type(arrays[0]))


def _scores(batch: PredictionBatch) -> pa.Array:
    scores = batch.prediction.scores
    return pa.nulls(batch.rows, pa.float64()) if scores is None else pa.array(scores, type=pa.float64())


def _arrow_type(values: Array) -> pa.DataType:
    if values.dtype.kind == "b":
        return pa.bool_()
    if values.dtype.kind in "iu":
        return pa.int64()
    return pa.float64() if values.dtype.kind == "f" else pa.string()
