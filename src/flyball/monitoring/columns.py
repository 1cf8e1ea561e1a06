"""A window's column as numbers or as categories, with what is missing and what cannot be read counted apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The finite numbers of a column, shape (n,), in the order of the rows.

    `missing` counts nulls, NaN and infinities; `unreadable` counts values that are no numbers; with the numbers they make
    up all `rows`.
    """

    values: NDArray[np.float64]
    rows: int
    missing: int
    unreadable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Categories:
    """How often each value of a column occurs, as text; `missing` counts nulls."""

    counts: Mapping[str, int]
    rows: int
    missing: int


def read_numbers(column: pa.ChunkedArray) -> Numbers:
    """Read a column as numbers. A truth value is no number; text is one when it spells one."""
    rows, nulls = len(column), column.null_count
    if pa.types.is_boolean(column.type):
        return Numbers(values=np.empty(0), rows=rows, missing=nulls, unreadable=rows - nulls)
    if pa.types.is_string(column.type):
        return _parse_text(column)
    values = column.drop_null().cast(pa.float64(), safe=False).to_numpy()
    finite = values[np.isfinite(values)]
    return Numbers(values=finite, rows=rows, missing=rows - len(finite), unreadable=0)


def read_categories(column: pa.ChunkedArray) -> Categories:
    """Count a column's values as text; a NaN counts as missing."""
    present = column.drop_null()
    if pa.types.is_floating(column.type):
        present = present.filter(pc.is_finite(present))
    counted = pc.value_counts(present.combine_chunks())
    counts = {category_text(entry["values"]): entry["counts"] for entry in counted.to_pylist()}
    return Categories(counts=counts, rows=len(column), missing=len(column) - len(present))


def category_text(value: object) -> str:
    """Return the text under which a category is known: whole numbers without a point, truth values in lower case.

    >>> category_text(2.0), category_text(True), category_text("a")
    ('2', 'true', 'a')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _parse_text(column: pa.ChunkedArray) -> Numbers:
    parsed = [_number(text) for text in column.drop_null().to_pylist()]
    finite = np.array([value for value in parsed if value is not None and math.isfinite(value)], dtype=np.float64)
    unreadable = sum(value is None for value in parsed)
    missing = len(column) - len(finite) - unreadable
    return Numbers(values=finite, rows=len(column), missing=missing, unreadable=unreadable)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
