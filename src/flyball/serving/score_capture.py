"""The rows of a batch job as the prediction log has them: the record of an endpoint, kept beside the answers until it is shipped."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flyball.kernel.errors import InvalidInput
from flyball.serving.capture import PredictionBatch, record_tables
from flyball.serving.entities import Columns, Prediction

# The server sets role and caller, by what its endpoint and its token say; these only hold their place.
_ROLE, _CALLER = "champion", ""
_CAPTURED = "captured-"
# Of thirty features about ten megabytes: a request that a server takes, and one transaction of its index.
SHIPPED_ROWS = 20_000


class CaptureOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose log the rows are for, by which version; from which columns their ids and times come (empty: made here)."""

    endpoint: str
    job: str
    version: int
    version_digest: str
    id_column: str = ""
    time_column: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the input that it needs beside the model's."""
        return tuple(name for name in (self.id_column, self.time_column) if name)


def captured_file(folder: Path, number: int) -> Path:
    """Return where the captured rows of a part lie."""
    return folder / f"{_CAPTURED}{number:06d}.parquet"


def captured_files(folder: Path) -> list[Path]:
    """Return what is captured and not shipped, in the order of parts."""
    return sorted(folder.glob(f"{_CAPTURED}*.parquet"))


def record_of(
    order: CaptureOrder, table: pa.Table, columns: Columns, prediction: Prediction, *, part: int, latency_ms: float
) -> pa.Table:
    """Return the rows of a part as the log has them.

    Raises:
        InvalidInput: an id or a time is missing, or is none.
    """
    now_ms = int(time.time() * 1_000)
    batch = PredictionBatch(
        request_id=f"score-{order.job[:32]}",
        prediction_ids=tuple(_ids(order, table, part)),
        times_ms=tuple(_times(order, table)) if order.time_column else (now_ms,) * table.num_rows,
        served_ms=now_ms,
        version=order.version,
        version_digest=order.version_digest,
        role=_ROLE,
        latency_ms=latency_ms,
        caller=_CALLER,
        columns=columns,
        prediction=prediction,
    )
    (found,) = record_tables([batch])
    return found


def slices(path: Path) -> Iterator[bytes]:
    """Yield a captured file in pieces that a server takes, each a Parquet file."""
    table = pq.read_table(path, partitioning=None)
    for start in range(0, table.num_rows, SHIPPED_ROWS):
        sink = pa.BufferOutputStream()
        pq.write_table(table.slice(start, SHIPPED_ROWS), sink, compression="zstd")
        yield sink.getvalue().to_pybytes()


def _ids(order: CaptureOrder, table: pa.Table, part: int) -> Sequence[str]:
    """Return ids that are the same when the part is scored again, so that nothing stands in the log twice."""
    if not order.id_column:
        return [f"{order.job[:32]}-{part}-{row}" for row in range(table.num_rows)]
    ids = table.column(order.id_column).to_pylist()
    for row, name in enumerate(ids):
        if not isinstance(name, str | int) or isinstance(name, bool) or name == "":
            raise InvalidInput(
                f"column '{order.id_column}': row {row} ({name!r}) is no id: a text or a whole number",
                field="capture_id",
            )
    return [str(name) for name in ids]


def _times(order: CaptureOrder, table: pa.Table) -> Sequence[int]:
    column = table.column(order.time_column)
    try:
        if pa.types.is_string(column.type):
            column = _from_text(column)
        if pa.types.is_timestamp(column.type):
            column = pc.cast(pc.cast(column, pa.timestamp("ms", tz=column.type.tz), safe=False), pa.int64())
        times = pc.cast(column, pa.int64())
    except pa.ArrowInvalid as error:
        raise _no_time(order, column.type) from error
    if times.null_count or pa.types.is_boolean(column.type):
        raise _no_time(order, column.type)
    found: list[int] = times.to_pylist()
    return found


def _from_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read texts, as those of CSV: whole numbers are milliseconds, anything else a moment in ISO 8601."""
    try:
        return pc.cast(column, pa.int64())
    except pa.ArrowInvalid:
        return pc.cast(column, pa.timestamp("ms", tz="UTC"))


def _no_time(order: CaptureOrder, kind: pa.DataType) -> InvalidInput:
    return InvalidInput(
        f"column '{order.time_column}' ({kind}) holds something that is no time: milliseconds since 1970, or a moment, in every row",
        field="capture_time",
    )
