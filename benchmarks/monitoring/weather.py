"""Daily weather of fifty years, as rows of a history (see `data/README.md`)."""

from __future__ import annotations

import gzip
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

DAY_MS = 86_400_000
YEAR_DAYS = 365.25
DATA = Path(__file__).parent / "data" / "weather_noaa.csv.gz"


def load_weather(*, years: int) -> pa.Table:
    """Return the first `years` of it: `time_ms` (the first day is the beginning of 1970, for want of dates) and eight features."""
    table = csv.read_csv(BytesIO(gzip.decompress(DATA.read_bytes()))).drop_columns(["target"])
    times = pa.array(np.arange(table.num_rows, dtype=np.int64) * DAY_MS)
    return table.add_column(0, "time_ms", times).slice(0, day_of(years))


def day_of(year: int) -> int:
    """Return the row with which a year begins."""
    return round(year * YEAR_DAYS)
