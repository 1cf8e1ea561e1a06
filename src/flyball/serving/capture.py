"""Every prediction as a row: the one schema that all serving targets write and monitoring reads.

`prediction_id`, `request_id`, `time_ms` (event time), `served_ms`, `version`, `version_digest`, `role`, `latency_ms`, `caller`,
then `feature.<name>` for each column as the model saw it, `tensor.<name>` for each that is a tensor, then `prediction` and `score`,
and `probabilities` and `output.<name>` where the model gives more than two classes or more than labels. `redaction.py` adds `share`,
and may put `hashed.<name>` in a feature's place or leave it out.

Each is a number, a truth or a text: a moment is text in ISO 8601, bytes are text in base64, a prediction of several values a row is
JSON. Tensors, probabilities and outputs are lists of the values of a row, flat in the order of C, with the `shape` in the field.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa

from flyball.serving.arrow_columns import numbers, row_ids, texts
from flyball.serving.capture_values import PROBABILITIES, TWO_CLASSES, flat_columns, label_values, list_column
from flyball.serving.entities import Array, Columns, Matrix, Prediction, join_columns

FEATURE_PREFIX = "feature."
TENSOR_PREFIX = "tensor."
OUTPUT_PREFIX = "output."


class PredictionBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that one version answered in one request. `times_ms` are the rows' event times, or the one of all.

    Rows of several requests that were predicted together may share `columns` and `prediction`: a batch's own rows are then
    those from `first` on, as many as it has ids. What is shared is neither copied nor cut until it is written.
    """

    request_id: str
    prediction_ids: Sequence[str]
    times_ms: int | tuple[int, ...]
    served_ms: int
    version: int
    version_digest: str
    role: str
    latency_ms: float
    caller: str
    columns: Columns
    prediction: Prediction
    first: int = 0

    @property
    def rows(self) -> int:
        """The number of predictions."""
        return len(self.prediction_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Batches whose rows lie one behind the other in the same arrays, and just these rows of the arrays."""

    batches: list[PredictionBatch]
    columns: Columns
    prediction: Prediction


def record_tables(batches: Sequence[PredictionBatch]) -> list[pa.Table]:
    """Return the batches as few tables as their columns allow: two versions of a model may see different features."""
    groups: dict[tuple[object, ...], list[_Run]] = {}
    known: tuple[object, ...] = ()
    group: list[_Run] = []
    for run in _runs(batches):
        kinds = _kinds(run.batches[0])
        if kinds != known:  # to compare with the last one costs a fraction of what hashing thirty names does
            known, group = kinds, groups.setdefault(kinds, [])
        group.append(run)
    return [_table(group) for group in groups.values()]


def _runs(batches: Sequence[PredictionBatch]) -> Iterator[_Run]:
    """Join batches that share their arrays, so that what was predicted together is written without being taken apart."""
    held: list[PredictionBatch] = []
    columns: Columns | None = None
    end = 0
    for batch in batches:  # millions a day: no call is made for one that continues the last
        if batch.columns is not columns or batch.first != end or not _continues(held[-1], batch):
            if held:
                yield _run(held, end=end)
            held, columns, end = [], batch.columns, batch.first
        held.append(batch)
        end += len(batch.prediction_ids)
    if held:
        yield _run(held, end=end)


def _continues(before: PredictionBatch, batch: PredictionBatch) -> bool:
    return batch.prediction is before.prediction and batch.role == before.role


def _run(batches: list[PredictionBatch], *, end: int) -> _Run:
    columns, prediction, start = batches[0].columns, batches[0].prediction, batches[0].first
    if start > 0 or end < len(prediction.labels):
        columns, prediction = _cut(columns, start, end), prediction.rows(start, end)
    return _Run(batches=batches, columns=columns, prediction=prediction)


def _cut(columns: Columns, start: int, end: int) -> Columns:
    if isinstance(columns, Matrix):
        return Matrix(columns.names, columns.values_by_row[start:end])
    return {name: values[start:end] for name, values in columns.items()}


def _kinds(batch: PredictionBatch) -> tuple[object, ...]:
    """Return what the batches of one table have in common: version, role, and the types and shapes of what they hold."""
    said, columns = batch.prediction, batch.columns
    return (
        batch.version,
        batch.version_digest,
        batch.role,
        (columns.names, columns.values_by_row.dtype) if isinstance(columns, Matrix) else _types(columns),
        _type(said.labels),
        None if said.probabilities is None else said.probabilities.shape[1],
        _types(said.outputs),
    )


def _types(arrays: Columns) -> tuple[object, ...]:
    return tuple([(name, *_type(values)) for name, values in arrays.items()])


def _type(values: Array) -> tuple[object, ...]:
    return values.dtype, values.shape[1:]


def _table(runs: Sequence[_Run]) -> pa.Table:
    batches = [batch for run in runs for batch in run.batches]
    counts = [len(batch.prediction_ids) for batch in batches]
    known, total = batches[0], sum(counts)
    columns: dict[str, pa.Array] = {
        "prediction_id": row_ids([batch.prediction_ids for batch in batches]),
        "request_id": texts([batch.request_id for batch in batches], counts),
        "time_ms": _times(batches, counts),
        "served_ms": numbers(np.repeat([batch.served_ms for batch in batches], counts), "i8"),
        "version": numbers(np.full(total, known.version), "i4"),
        "version_digest": texts([known.version_digest], [total]),
        "role": texts([known.role], [total]),
        "latency_ms": numbers(np.repeat([batch.latency_ms for batch in batches], counts), "f8"),
        "caller": texts([batch.caller for batch in batches], counts),
    }
    fields = [pa.field(name, column.type) for name, column in columns.items()]
    for field, column in (*_features(runs), *_answers(runs)):
        fields.append(field)
        columns[field.name] = column
    return pa.table(list(columns.values()), schema=pa.schema(fields))


def _times(batches: Sequence[PredictionBatch], counts: list[int]) -> pa.Array:
    given = [batch.times_ms for batch in batches]
    alike = [times for times in given if isinstance(times, int)]
    if len(alike) == len(given):
        return numbers(np.repeat(alike, counts), "i8")
    parts = [(one,) * count if isinstance(one, int) else one for one, count in zip(given, counts, strict=True)]
    return numbers([time_ms for part in parts for time_ms in part], "i8")


def _features(runs: Sequence[_Run]) -> Iterator[tuple[pa.Field, pa.Array]]:
    every = [run.columns for run in runs]
    blocks = [columns.values_by_row for columns in every if isinstance(columns, Matrix)]
    alike = len(blocks) == len(every)
    columns = dict(zip(every[0], flat_columns(blocks), strict=True)) if alike else join_columns(every)
    for name, values in columns.items():
        if values.ndim > 1:
            yield list_column(TENSOR_PREFIX + name, values)
        else:
            column = label_values(values)
            yield pa.field(FEATURE_PREFIX + name, column.type), column


def _answers(runs: Sequence[_Run]) -> Iterator[tuple[pa.Field, pa.Array]]:
    said = [run.prediction for run in runs]
    labels, scores = label_values(np.concatenate([one.labels for one in said])), _scores(said)
    yield pa.field("prediction", labels.type), labels
    yield pa.field("score", scores.type), scores
    chances = [one.probabilities for one in said if one.probabilities is not None]
    if chances and chances[0].shape[1] > TWO_CLASSES:
        yield list_column(PROBABILITIES, np.concatenate(chances))
    for name in said[0].outputs:
        yield list_column(OUTPUT_PREFIX + name, np.concatenate([one.outputs[name] for one in said]))


def _scores(said: Sequence[Prediction]) -> pa.Array:
    given = [one.scores for one in said if one.scores is not None]
    if len(given) == len(said):
        return numbers(np.concatenate(given), "f8")
    nothing = pa.float64()
    return pa.concat_arrays(
        [pa.nulls(len(one.labels), nothing) if one.scores is None else numbers(one.scores, "f8") for one in said]
    )
