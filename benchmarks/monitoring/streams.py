"""Streams in which nothing changes, with all that makes monitors cry wolf: rows that depend on each other, days and weeks.

And the same streams with a change planted from some moment on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.signal import lfilter

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
SEGMENT, OTHER_SEGMENTS = "new", ("old", "large", "small")


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


def slice_stream(seed: int, *, days: int, rows_a_day: int, share: float, lost: float, from_ms: int) -> pa.Table:
    """Return rows of two numbers and a segment; from a moment on one segment, a share of the rows, loses so many right answers."""
    generator = np.random.default_rng(seed)
    rows = days * rows_a_day
    times = np.arange(rows, dtype=np.int64) * DAY_MS // rows_a_day
    mine = generator.random(rows) < share
    prediction = generator.integers(0, 2, rows)
    right = generator.random(rows) < np.where(mine & (times >= from_ms), RIGHT_SHARE - lost, RIGHT_SHARE)
    return pa.table(
        {
            "time_ms": times,
            "load": generator.normal(size=rows),
            "price": generator.exponential(size=rows),
            "segment": np.where(mine, SEGMENT, generator.choice(OTHER_SEGMENTS, rows)),
            "prediction": prediction,
            "label": np.where(right, prediction, 1 - prediction),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change to plant: how much of it, and which feature is its cause (empty: none is)."""

    size: float
    cause: str


# Standard deviations; times; times; shares of the rows; a share of right answers (in one colour of four, and everywhere).
CHANGES = {
    "mean": Change(size=1.5, cause="load"),
    "scale": Change(size=3.0, cause="load"),
    "unit": Change(size=1_000.0, cause="load"),
    "fahrenheit": Change(size=1.8, cause="load"),
    "missingness": Change(size=0.4, cause="load"),
    "category": Change(size=0.5, cause="colour"),
    "slice": Change(size=0.6, cause=""),
    "concept": Change(size=0.3, cause=""),
}


def planted(table: pa.Table, change: str, *, from_ms: int, seed: int, size: float | None = None) -> pa.Table:
    """Return a stream with a change from a moment on; its size is that of `CHANGES` when not given."""
    after = table.column("time_ms").to_numpy() >= from_ms
    drawn = np.random.default_rng(seed).random(table.num_rows)
    much = CHANGES[change].size if size is None else size
    if change in {"slice", "concept"}:
        return _with_errors(table, change, after, drawn < much / RIGHT_SHARE)
    if change == "category":
        colour = table.column("colour").to_numpy(zero_copy_only=False)
        return _with(table, "colour", np.where(after & (drawn < much), "pink", colour).astype(str))
    load = table.column("load").to_numpy()
    if change == "missingness":
        return _with(table, "load", pa.array(load, mask=after & (drawn < much)))
    changed = {
        "mean": load + much * load.std(),
        "scale": load.mean() + much * (load - load.mean()),
        "unit": load * much,
        "fahrenheit": load * much + 32.0,
    }
    return _with(table, "load", np.where(after, changed[change], load))


def _with_errors(table: pa.Table, change: str, after: NDArray[np.bool_], drawn: NDArray[np.bool_]) -> pa.Table:
    """Return the stream with wrong answers where they were drawn: in one colour of four ("slice"), or everywhere."""
    colour = table.column("colour").to_numpy(zero_copy_only=False)
    struck = after & drawn & ((colour == COLOURS[0]) | (change != "slice"))
    prediction, label = table.column("prediction").to_numpy(), table.column("label").to_numpy()
    return _with(table, "label", np.where(struck, 1 - prediction, label))


def _with(table: pa.Table, name: str, values: object) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))


def _remembering(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an autoregression of order one, from its stationary distribution on."""
    start = noise.copy()
    start[0] /= np.sqrt(1.0 - MEMORY**2)
    values: NDArray[np.float64] = lfilter([1.0], [1.0, -MEMORY], start)
    return values
