"""Every prediction as a row: the one schema that all serving targets write and monitoring reads.

`prediction_id`, `request_id`, `time_ms` (event time), `served_ms`, `version`, `version_digest`, `role`, `latency_ms`, `caller`,
then `feature.<name>` for each column as the model saw it, `tensor.<name>` for each that is a tensor, then `prediction` and `score`,
and `probabilities` and `output.<name>` where the model gives more than two classes or more than labels.

Each is a number, a truth or a text: a moment is text in ISO 8601, bytes are text in base64, a prediction of several values a row is
JSON. Tensors, probabilities and outputs are lists of the values of a row, flat in the order of C, with the `shape` in the field.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa

from flyball.serving.entities import Array, Columns, Prediction

FEATURE_PREFIX = "feature."
TENSOR_PREFIX = "tensor."
OUTPUT_PREFIX = "output."
PROBABILITIES = "probabilities"
# Of two classes the score of the label says all.
_TWO_CLASSES = 2


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


def label_values(labels: Array) -> pa.Array:
    """Return labels as the column `prediction`: one value a row, several as JSON."""
    if labels.ndim == 1:
        return pa.array(_plain(labels), type=_arrow_type(labels))
    return pa.array([msgspec.json.encode(row).decode() for row in labels.tolist()], type=pa.string())


def _shape(batch: PredictionBatch) -> tuple[object, ...]:
    said = batch.prediction
    features = tuple((name, _arrow_type(values), values.shape[1:]) for name, values in batch.columns.items())
    outputs = tuple((name, _arrow_type(values), values.shape[1:]) for name, values in said.outputs.items())
    classes = 0 if said.probabilities is None else said.probabilities.shape[1]
    return (*features, _arrow_type(said.labels), said.labels.shape[1:], classes, *outputs)


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
    fields = [pa.field(name, column.type) for name, column in columns.items()]
    for field, column in (*_features(batches), *_answers(batches)):
        fields.append(field)
        columns[field.name] = column
    return pa.table(list(columns.values()), schema=pa.schema(fields))


def _features(batches: Sequence[PredictionBatch]) -> list[tuple[pa.Field, pa.Array]]:
    found = []
    for name in batches[0].columns:
        values = np.concatenate([batch.columns[name] for batch in batches])
        if values.ndim > 1:
            found.append(_lists(TENSOR_PREFIX + name, values))
        else:
            column = label_values(values)
            found.append((pa.field(FEATURE_PREFIX + name, column.type), column))
    return found


def _answers(batches: Sequence[PredictionBatch]) -> list[tuple[pa.Field, pa.Array]]:
    said = [batch.prediction for batch in batches]
    labels = label_values(np.concatenate([one.labels for one in said]))
    scores = pa.concat_arrays([_scores(batch) for batch in batches])
    found = [(pa.field("prediction", labels.type), labels), (pa.field("score", scores.type), scores)]
    chances = [one.probabilities for one in said if one.probabilities is not None]
    if chances and chances[0].shape[1] > _TWO_CLASSES:
        found.append(_lists(PROBABILITIES, np.concatenate(chances)))
    outputs = {name: np.concatenate([one.outputs[name] for one in said]) for name in said[0].outputs}
    return [*found, *(_lists(OUTPUT_PREFIX + name, values) for name, values in outputs.items())]


def _lists(name: str, values: Array) -> tuple[pa.Field, pa.Array]:
    """Return values (n, ...) as one flat list a row."""
    shape, width = values.shape[1:], math.prod(values.shape[1:])
    offsets = pa.array(np.arange(len(values) + 1, dtype=np.int32) * width, type=pa.int32())
    column = pa.ListArray.from_arrays(offsets, pa.array(_plain(values.ravel()), type=_arrow_type(values)))
    return pa.field(name, column.type, metadata={"shape": ",".join(map(str, shape))}), column


def _scores(batch: PredictionBatch) -> pa.Array:
    scores = batch.prediction.scores
    return pa.nulls(batch.rows, pa.float64()) if scores is None else pa.array(scores, type=pa.float64())


def _arrow_type(values: Array) -> pa.DataType:
    if values.dtype.kind == "b":
        return pa.bool_()
    if values.dtype.kind in "iu":
        return pa.int64()
    return pa.float64() if values.dtype.kind == "f" else pa.string()


def _plain(values: Array) -> Array:
    """Return values (n,) that Arrow takes as one of the four types."""
    if values.dtype.kind == "M":
        return np.datetime_as_string(values, unit="us", timezone="UTC").astype(object)
    if values.dtype.kind != "O":
        return values
    found = [base64.b64encode(value).decode() if isinstance(value, bytes) else value for value in values.tolist()]
    return np.array(found, dtype=object)
