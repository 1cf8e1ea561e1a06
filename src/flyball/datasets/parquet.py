"""Tables as Parquet files, written so that equal rows have equal bytes."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from flyball.kernel.errors import InvalidInput

# Row groups of a fixed size, whatever chunks the rows came in; this many rows keep a reader's memory in the tens of MB.
ROW_GROUP_ROWS = 1 << 17


def write_parquet(table: pa.Table, file: BinaryIO) -> None:
    """Write a table in normal form; equal tables give equal bytes (with one version of the Parquet library)."""
    pq.write_table(table, file, version="2.6", compression="zstd", row_group_size=ROW_GROUP_ROWS)


def read_parquet(path: Path) -> pa.Table:
    """Read a whole file.

    Raises:
        InvalidInput: the file is no Parquet, or is cut short.
    """
    try:
        return pq.read_table(path, partitioning=None, memory_map=False)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(
            f"'{path.name}' is no readable Parquet file; it is damaged, cut short, or something else", field="path"
        ) from error
