"""Values of numpy as columns of the record: numbers, truths and texts; several values a row are a flat list."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from flyball.serving.arrow_columns import numbers, texts, truths
from flyball.serving.entities import Array

LARGEST = 2**63 - 1
PROBABILITIES = "probabilities"
# Of two classes the score of the label says all.
TWO_CLASSES = 2


def flat_columns(blocks: Sequence[Array]) -> Array:
    """Return the columns of matrices (n, k) that lie below each other as rows (k, sum of n), which Arrow takes as they lie."""
    dtype = np.dtype(np.float64) if blocks[0].dtype.kind == "f" else blocks[0].dtype
    turned = np.empty((blocks[0].shape[1], sum(map(len, blocks))), dtype=dtype)
    stop = 0
    for block in blocks:
        start, stop = stop, stop + len(block)
        turned[:, start:stop] = block.T
    return turned


def label_values(labels: Array) -> pa.Array:
    """Return labels as the column `prediction`: one value a row, several as JSON."""
    if labels.ndim == 1:
        return _column(labels)
    return texts([msgspec.json.encode(row).decode() for row in labels.tolist()])


def list_column(name: str, values: Array) -> tuple[pa.Field, pa.Array]:
    """Return values (n, ...) as one flat list a row."""
    shape, width = values.shape[1:], math.prod(values.shape[1:])
    offsets = numbers(np.arange(len(values) + 1, dtype=np.int32) * width, "i4")
    column = pa.ListArray.from_arrays(offsets, _column(values.ravel()))
    return pa.field(name, column.type, metadata={"shape": ",".join(map(str, shape))}), column


def _column(values: Array) -> pa.Array:
    """Return values (n,) as one of the four types."""
    match values.dtype.kind:
        case "b":
            return truths(values)
        case "u" if len(values) and values.max() > LARGEST:
            raise OverflowError(f"{values.max()} does not fit a column of the log, which holds 64 bits and a sign")
        case "i" | "u":
            return numbers(values, "i8")
        case "f":
            return numbers(values, "f8")
        case "M":
            return texts(np.datetime_as_string(values, unit="us", timezone="UTC").tolist())
    found = [base64.b64encode(value).decode() if isinstance(value, bytes) else value for value in values.tolist()]
    return texts(found) if all(isinstance(value, str) for value in found) else pa.array(found, type=pa.string())
