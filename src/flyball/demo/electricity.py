"""The New South Wales electricity market as a table with event times (see `data/README.md` for its source)."""

from __future__ import annotations

import gzip
from importlib.resources import files
from io import BytesIO

import pyarrow as pa
from pyarrow import csv

START_MS = 831_427_200_000
"""1996-05-07 00:00, the first half hour; taken as UTC, so that days are whole."""
STEP_MS = 30 * 60 * 1000
ROWS_A_DAY = 48
WEEK = 7 * ROWS_A_DAY
"""Rows of a week."""
DAY_MS = ROWS_A_DAY * STEP_MS
JOINED_ROW = 17_424
"""The first half hour of 1997-05-05, when Victoria joined the market."""
FEATURES = ("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
LABEL = "class"
TIME = "time_ms"


def load_market() -> pa.Table:
    """Return all 45,312 rows: `time_ms`, the six features as floats, and `class` as 0 or 1."""
    packed = files("flyball.demo").joinpath("data/elec2.csv.gz").read_bytes()
    table = csv.read_csv(BytesIO(gzip.decompress(packed)))
    times = pa.array(range(START_MS, START_MS + table.num_rows * STEP_MS, STEP_MS), type=pa.int64())
    return table.select([*FEATURES, LABEL]).add_column(0, TIME, times)


def time_of(row: int) -> int:
    """Return the event time of a row in milliseconds."""
    return START_MS + row * STEP_MS


def row_of(time_ms: int) -> int:
    """Return the row whose half hour begins at an event time."""
    return (time_ms - START_MS) // STEP_MS
