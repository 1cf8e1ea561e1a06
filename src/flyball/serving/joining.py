"""Many requests as one call of the model: join their rows, predict once, split again; one that fails does not fail its neighbours."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import msgspec
import numpy as np

from flyball.kernel.errors import FlyballError
from flyball.serving.entities import Columns, Matrix, Prediction, join_columns
from flyball.serving.served_model import ServedModel
from flyball.serving.signature import MatrixRows, NamedRows, PositionalRows, Rows


class Predicted(msgspec.Struct, frozen=True):
    """What the model said of a request's rows, and what they were predicted with.

    Both are of all rows of the call, as the model saw them; those of the request begin at `first`.
    """

    columns: Columns
    together: Prediction
    first: int
    rows: int

    @property
    def prediction(self) -> Prediction:
        """What the model said of the request's own rows."""
        return self.together.rows(self.first, self.first + self.rows)


def predict_together(model: ServedModel, requests: Sequence[Rows]) -> list[Predicted | Exception]:
    """Predict the rows of each request, with one call of the model for all whose columns have the same names and types.

    A call that fails is made again for each half of its requests, and so on: what fails alone gets its own error, and the
    others their predictions. A passing fault is not the fault of a row, and everybody gets it at once.
    """
    if len(requests) == 1:
        return _attempt(model, requests)
    kinds: dict[object, list[int]] = {}
    for at, rows in enumerate(requests):
        kinds.setdefault(_kind(rows), []).append(at)
    outcomes: dict[int, Predicted | Exception] = {}
    for places in kinds.values():
        outcomes |= zip(places, _attempt(model, [requests[at] for at in places]), strict=True)
    return [outcomes[at] for at in range(len(requests))]


def row_count_of(rows: Rows) -> int:
    """Return how many rows there seem to be: as many as the first column has, 0 without columns."""
    if isinstance(rows, MatrixRows):
        return len(rows.values)
    if isinstance(rows, NamedRows) and isinstance(rows.columns, Matrix):
        return len(rows.columns.values_by_row)
    columns = rows.columns.values() if isinstance(rows, NamedRows) else rows.columns
    return len(next(iter(columns), ()))


def _attempt(model: ServedModel, requests: Sequence[Rows]) -> list[Predicted | Exception]:
    try:
        return list(_predict(model, requests))
    except Exception as error:  # noqa: BLE001 -- models fail in any way; who asked for it is told
        if len(requests) == 1 or (isinstance(error, FlyballError) and error.retryable):
            return [copy.copy(error) for _ in requests]  # threads write into an exception: to each its own
    middle = len(requests) // 2
    return _attempt(model, requests[:middle]) + _attempt(model, requests[middle:])


def _predict(model: ServedModel, requests: Sequence[Rows]) -> list[Predicted]:
    columns = model.columns_of(_joined(requests))
    prediction = model.predict_rows(columns)
    if len(requests) == 1:
        return [Predicted(columns, prediction, 0, len(prediction.labels))]
    parts, first = [], 0
    for rows in requests:
        count = row_count_of(rows)
        parts.append(Predicted(columns, prediction, first, count))
        first += count
    return parts


def _kind(rows: Rows) -> object:
    """Return what two requests have in common that can be joined without changing a value of either."""
    if isinstance(rows, MatrixRows):
        return rows.values.shape[1:], rows.values.dtype
    if isinstance(rows, NamedRows) and isinstance(rows.columns, Matrix):
        return rows.columns.names, rows.columns.values_by_row.dtype
    if isinstance(rows, PositionalRows):
        columns = rows.columns
        names: tuple[str, ...] = ()
    else:
        names, columns = tuple(rows.columns), tuple(rows.columns.values())
    if len({len(values) for values in columns}) != 1:
        return object()  # equal to nothing: it will fail, and alone
    return names, tuple((values.dtype, values.shape[1:]) for values in columns)


def _joined(requests: Sequence[Rows]) -> Rows:
    """Return requests of one kind as one."""
    first = requests[0]
    if len(requests) == 1:
        return first
    if isinstance(first, MatrixRows):
        return MatrixRows(values=np.concatenate([cast("MatrixRows", rows).values for rows in requests]))
    if isinstance(first, PositionalRows):
        parts = zip(*(cast("PositionalRows", rows).columns for rows in requests), strict=True)
        return PositionalRows(columns=tuple(map(np.concatenate, parts)))
    every = [cast("NamedRows", rows).columns for rows in requests]
    if isinstance(first.columns, Matrix):
        return NamedRows(columns=join_columns(every))
    return NamedRows(columns={name: np.concatenate([columns[name] for columns in every]) for name in first.columns})
