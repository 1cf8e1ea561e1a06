"""Rows to compare models on: those that were stored with the model, and others made of them.

Stored are MLflow's input example and, where somebody put it there, `reference_sample.parquet` in the model folder or among its
`extra_files`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flyball.kernel.errors import FlyballError, InvalidInput
from flyball.serving.entities import Array, ColumnKind, Columns, ColumnSpec, Signature, join_columns
from flyball.serving.signature import NamedRows, PositionalRows, Rows, enforce

PARQUET = "reference_sample.parquet"
PLACES = (PARQUET, f"extra_files/{PARQUET}")
EXAMPLE = "input_example.json"
# An example is a page or two of JSON; a larger one is not worth its time at the start of an endpoint.
MAX_EXAMPLE_BYTES = 20_000_000
# Enough that a split or a threshold that went wrong is met, few enough for seconds of work.
RECOMBINED_ROWS = 1_000
MISSING_SHARE = 0.1


def has_sample(folder: Path) -> bool:
    """Tell whether anything was stored that a sample could be read from."""
    return any((folder / place).is_file() for place in (*PLACES, EXAMPLE))


def read_sample(folder: Path, signature: Signature) -> Columns | None:
    """Return the stored rows as the model would see them, None where there are none.

    Raises:
        InvalidInput: they do not fit the model's signature, or cannot be read.
    """
    parts = [enforce(signature, rows) for rows in (_example(folder, signature), _parquet(folder, signature)) if rows]
    return join_columns([dict(part) for part in parts]) if parts else None


def recombine(columns: Columns, *, rows: int, seed: int) -> dict[str, Array]:
    """Return new rows: each column drawn from its own values, half of the numbers moved to between two of them.

    So every value is one that its column could have, and combinations are met that the sample does not have.
    """
    draw = np.random.default_rng(seed)
    return {name: _redrawn(values, rows, draw) for name, values in columns.items()}


def with_holes(columns: Columns, *, seed: int) -> dict[str, Array] | None:
    """Return rows with a tenth of their decimal numbers missing, None where no column can say "missing"."""
    draw = np.random.default_rng(seed)
    decimal = [name for name, values in columns.items() if values.ndim == 1 and values.dtype.kind == "f"]
    if not decimal:
        return None
    holed = dict(columns)
    for name in decimal:
        values = columns[name].copy()
        values[draw.random(len(values)) < MISSING_SHARE] = np.nan
        holed[name] = values
    return holed


def _redrawn(values: Array, rows: int, draw: np.random.Generator) -> Array:
    first, second = (values[draw.integers(len(values), size=rows)] for _ in range(2))
    if values.ndim > 1 or values.dtype.kind not in "iuf":
        return first
    between = first + (second.astype(np.float64) - first) * draw.random(rows)
    moved = between if values.dtype.kind == "f" else np.rint(between)
    return np.where(draw.random(rows) < 0.5, moved.astype(values.dtype), first)  # noqa: PLR2004 -- half of them


def _parquet(folder: Path, signature: Signature) -> Rows | None:
    path = next((folder / place for place in PLACES if (folder / place).is_file()), None)
    if path is None:
        return None
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=list(signature.names), partitioning=None)
    except Exception as error:  # Arrow raises errors of several kinds for files that are none
        raise InvalidInput(f"{PARQUET} cannot be read: {error}", field=PARQUET) from error
    specs = {spec.name: spec for spec in signature.inputs}
    return NamedRows(columns={name: _array(specs[name], table.column(name).to_pylist()) for name in table.column_names})


def _example(folder: Path, signature: Signature) -> Rows | None:
    path = folder / EXAMPLE
    if not path.is_file() or path.stat().st_size > MAX_EXAMPLE_BYTES:
        return None
    try:
        return _rows(json.loads(path.read_text(encoding="utf-8")), signature)
    except FlyballError:
        raise
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise InvalidInput(f"the input example cannot be read: {error}", field=EXAMPLE) from error


def _rows(document: Any, signature: Signature) -> Rows:  # noqa: ANN401 -- JSON of anyone's making
    """Read the forms in which MLflow writes examples: a frame as `split`, arrays by name, one array."""
    specs = {spec.name: spec for spec in signature.inputs}
    if isinstance(document, Mapping) and {"columns", "data"} <= set(document):
        by_column = dict(zip(map(str, document["columns"]), zip(*document["data"], strict=True), strict=True))
        return NamedRows(columns={name: _array(specs.get(name), list(values)) for name, values in by_column.items()})
    if isinstance(document, Mapping) and "inputs" in document and "inputs" not in specs:
        document = document["inputs"]
    if isinstance(document, Mapping):
        return NamedRows(columns={name: _array(specs.get(name), values) for name, values in document.items()})
    if signature.inputs[0].tensor is not None:
        return PositionalRows(columns=(_array(signature.inputs[0], document),))
    turned = zip(*document, strict=True)
    return PositionalRows(
        columns=tuple(_array(spec, list(values)) for spec, values in zip(signature.inputs, turned, strict=True))
    )


def _array(spec: ColumnSpec | None, values: list[Any]) -> Array:
    if spec is None or spec.kind in {ColumnKind.STRING, ColumnKind.BINARY, ColumnKind.DATETIME}:
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        return texts
    if spec.kind in {ColumnKind.FLOAT, ColumnKind.DOUBLE}:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return np.array(values)
