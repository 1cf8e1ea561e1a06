"""Values of numpy as columns of the record: numbers, truths and texts; several values a row are a flat list."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from flyball.serving.entities import Array
from flyball.serving.row_ids import RowIds

# From so many rows on, the ids of a request are copied as they lie.
_MANY = 16


def id_column(parts: Sequence[Sequence[str]]) -> pa.Array:
    """Return the ids of several requests as one column."""
    pieces: list[pa.Array] = []
    single: list[str] = []
    for ids in parts:
        if isinstance(ids, RowIds) and len(ids) >= _MANY:
            if single:
                pieces.append(pa.array(single, type=pa.string()))
                single = []
            text, ends = ids.joined()
            pieces.append(pa.StringArray.from_buffers(len(ids), pa.py_buffer(ends), pa.py_buffer(text)))
        else:
            single.extend(ids)
    if single or not pieces:
        pieces.append(pa.array(single, type=pa.string()))
    return pa.concat_arrays(pieces)


def flat_columns(block: Array) -> Array:
    """Return the columns of a matrix (n, k) as rows (k, n), each in one piece, which Arrow takes as it lies."""
    if block.dtype.kind == "f":
        return np.ascontiguousarray(block.T, dtype=np.float64)
    return np.ascontiguousarray(block.T)


def label_values(labels: Array) -> pa.Array:
    """Return labels as the column `prediction`: one value a row, several as JSON."""
    if labels.ndim == 1:
        return pa.array(_plain(labels), type=_arrow_type(labels))
    return pa.array([msgspec.json.encode(row).decode() for row in labels.tolist()], type=pa.string())


def list_column(name: str, values: Array) -> tuple[pa.Field, pa.Array]:
    """Return values (n, ...) as one flat list a row."""
    shape, width = values.shape[1:], math.prod(values.shape[1:])
    offsets = pa.array(np.arange(len(values) + 1, dtype=np.int32) * width, type=pa.int32())
    column = pa.ListArray.from_arrays(offsets, pa.array(_plain(values.ravel()), type=_arrow_type(values)))
    return pa.field(name, column.type, metadata={"shape": ",".join(map(str, shape))}), column


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
