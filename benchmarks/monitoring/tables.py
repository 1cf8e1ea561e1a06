"""Write the tables that are compared: numbers and categories, of which every fifth column has moved in the second table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS_AT_ONCE = 250_000
MOVED_EVERY = 5
SHIFT = 0.7
CATEGORIES = np.array(list("abcdefgh"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the tables are."""

    rows: int
    numbers: int
    categories: int
    digits: int | None = 3
    """How many digits numbers have behind the point; None leaves all of them."""

    @property
    def text(self) -> str:
        """The size as a reader says it."""
        digits = " of all digits" if self.digits is None else ""
        return f"{self.rows:,} rows × {self.numbers + self.categories}{digits}"


def write_tables(folder: Path, size: Size) -> tuple[Path, Path]:
    """Write reference and current table."""
    paths = folder / "reference.parquet", folder / "current.parquet"
    for seed, path in enumerate(paths):
        generator = np.random.default_rng(seed)
        writer: pq.ParquetWriter | None = None
        for start in range(0, size.rows, ROWS_AT_ONCE):
            part = _part(generator, size, min(ROWS_AT_ONCE, size.rows - start), moved=seed == 1)
            writer = writer or pq.ParquetWriter(path, part.schema)
            writer.write_table(part)
        assert writer is not None
        writer.close()
    return paths


def repeat(path: Path, times: int) -> Path:
    """Return a folder in which a file lies so many times, without its bytes being there more than once."""
    folder = path.with_suffix("")
    folder.mkdir()
    for number in range(times):
        (folder / f"{number}.parquet").hardlink_to(path)
    return folder


def _part(generator: np.random.Generator, size: Size, rows: int, *, moved: bool) -> pa.Table:
    columns: dict[str, object] = {}
    for place in range(size.numbers):
        shift = SHIFT if moved and place % MOVED_EVERY == 0 else 0.0
        values = generator.normal(shift, 1.0, rows)
        columns[f"n{place}"] = values if size.digits is None else values.round(size.digits)
    for place in range(size.categories):
        weights = np.arange(1, len(CATEGORIES) + 1, dtype=float)
        weights = weights[::-1] if moved and place % MOVED_EVERY == 0 else weights
        columns[f"c{place}"] = generator.choice(CATEGORIES, rows, p=weights / weights.sum())
    return pa.table(columns)
