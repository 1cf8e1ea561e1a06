"""Streams in which nothing changes, with all that makes monitors cry wolf: rows that depend on each other, days and weeks.

And the same streams with a change planted from some moment on.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
NUMBERS = ("load", "price", "heat", "wind")
COLOURS = ("red", "green", "blue", "grey")
# Of each hour's value, this share is that of the hour before.
MEMORY = 0.6
# Amplitudes of the daily and the weekly wave, in standard deviations of the noise.
WAVES = {"load": (1.0, 0.5), "price": (0.5, 1.0), "heat": (2.0, 0.0), "wind": (0.0, 0.0)}
LEVEL = 40.0
RIGHT_SHARE = 0.9
CHANGES = ("mean", "scale", "unit", "missingness", "category", "slice", "concept")


def null_stream(seed: int, *, days: int) -> pa.Table:
    """Return `days` of hourly rows: `time_ms`, four numbers, one category, `prediction` and `label`."""
    generator = np.random.default_rng(seed)
    rows = days * 24
    times = np.arange(rows, dtype=np.int64) * HOUR_MS
    columns: dict[str, object] = {"time_ms": times}
    for place, name in enumerate(NUMBERS):
        daily, weekly = WAVES[name]
        wave = daily * np.sin(2 * np.pi * times / DAY_MS + place) + weekly * np.sin(2 * np.pi * times / WEEK_MS + place)
        columns[name] = LEVEL + wave + _remembering(generator.normal(size=rows))
    columns["colour"] = pa.array(np.asarray(COLOURS)[generator.integers(0, len(COLOURS), rows)])
    prediction = generator.integers(0, 2, rows)
    right = generator.random(rows) < RIGHT_SHARE
    return pa.table({**columns, "prediction": prediction, "label": np.where(right, prediction, 1 - prediction)})


def planted(table: pa.Table, change: str, *, from_ms: int, seed: int) -> tuple[pa.Table, str]:
    """Return a stream with a change from a moment on, and which feature is the cause (empty: none is)."""
    generator = np.random.default_rng(seed)
    after = table.column("time_ms").to_numpy() >= from_ms
    drawn = generator.random(table.num_rows)
    load = table.column("load").to_numpy()
    if change == "mean":
        return _with(table, "load", np.where(after, load + 1.5 * load.std(), load)), "load"
    if change == "scale":
        wide = load.mean() + 3.0 * (load - load.mean())
        return _with(table, "load", np.where(after, wide, load)), "load"
    if change == "unit":
        return _with(table, "load", np.where(after, load * 1_000.0, load)), "load"
    if change == "missingness":
        return _with(table, "load", pa.array(load, mask=after & (drawn < 0.4))), "load"
    if change == "category":
        colour = table.column("colour").to_numpy(zero_copy_only=False)
        return _with(table, "colour", pa.array(np.where(after & (drawn < 0.5), "pink", colour).astype(str))), "colour"
    return _with_errors(table, change, after, drawn), ""


def _with_errors(table: pa.Table, change: str, after: NDArray[np.bool_], drawn: NDArray[np.float64]) -> pa.Table:
    """Return the stream with wrong answers: in one colour of four ("slice"), or everywhere ("concept")."""
    colour = table.column("colour").to_numpy(zero_copy_only=False)
    struck = after & (drawn < 0.8) & (colour == COLOURS[0]) if change == "slice" else after & (drawn < 0.3)
    prediction, label = table.column("prediction").to_numpy(), table.column("label").to_numpy()
    return _with(table, "label", np.where(struck, 1 - prediction, label))


def _with(table: pa.Table, name: str, values: object) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))


def _remembering(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an autoregression of order one, from its stationary distribution on."""
    values = np.empty_like(noise)
    values[0] = noise[0] / np.sqrt(1.0 - MEMORY**2)
    for place in range(1, len(noise)):
        values[place] = MEMORY * values[place - 1] + noise[place]
    return values
