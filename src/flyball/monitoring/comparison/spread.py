"""Summarise the Parquet files of a table in many processes, on this machine or on a cluster: parts to sketches, sketches merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from flyball.kernel.errors import Unsupported
from flyball.kernel.runners import PartRunner, Piece, Work
from flyball.monitoring.comparison.columns import POINTS
from flyball.monitoring.comparison.sources import ParquetSource, Source
from flyball.monitoring.summaries import TableSummary, merge_summaries, points_for
from flyball.monitoring.summarising import summarise
from flyball.monitoring.summary_codec import pack, unpack

# What a worker holds at once: row groups of this many values, 128 MB of numbers, or one where it is larger.
MOST_CELLS = 1 << 24
PARTS_AT_ONCE = 32


class SummaryOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is the same for every part: the columns, and the points kept of each."""

    columns: tuple[str, ...]
    points: int


class SummaryPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Some row groups of a file."""

    path: str
    groups: tuple[int, ...]


def summarise_spread(
    source: Source, names: Sequence[str], *, runner: PartRunner, workers: int, what: str
) -> TableSummary:
    """Summarise columns of a table in Parquet files; shares are off by what the sketches' rank error says.

    Raises:
        Unsupported: the table is none of Parquet files.
        Unavailable: a part lost every worker that it was given to.
    """
    if not isinstance(source, ParquetSource):
        raise Unsupported(f"the {what} lies in memory; a runner takes Parquet files", field=what)
    order = SummaryOrder(columns=tuple(names), points=points_for(len(names), most=POINTS))
    work = Work(opens=f"{__name__}:open_summarising", given=msgspec.json.encode(order))
    pieces = (Piece(name=part.path, content=msgspec.json.encode(part)) for part in _parts(source, len(names)))
    kept: list[TableSummary] = []
    for content in runner.run(work, pieces, workers=workers):
        kept.append(unpack(content))
        if len(kept) == PARTS_AT_ONCE:
            kept = [merge_summaries(kept).limited(order.points)]
    return merge_summaries(kept).limited(order.points)


def open_summarising(given: bytes) -> Callable[[bytes], bytes]:
    """Return what summarises a part."""
    order = msgspec.json.decode(given, type=SummaryOrder)

    def summarise_part(content: bytes) -> bytes:
        part = msgspec.json.decode(content, type=SummaryPart)
        columns = list(order.columns)
        with pq.ParquetFile(part.path) as file:
            tables = (file.read_row_group(group, columns=columns, use_threads=False) for group in part.groups)
            found = [summarise(table, names=columns, points=order.points) for table in tables if table.num_rows]
        return pack(merge_summaries(found).limited(order.points))

    return summarise_part


def _parts(source: ParquetSource, columns: int) -> Iterator[SummaryPart]:
    for path, metadata in source.files:
        groups: list[int] = []
        cells = 0
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            if groups and cells + rows * columns > MOST_CELLS:
                yield _part(path, groups)
                groups, cells = [], 0
            if rows:
                groups.append(group)
                cells += rows * columns
        if groups:
            yield _part(path, groups)


def _part(path: Path, groups: Sequence[int]) -> SummaryPart:
    return SummaryPart(path=str(path.resolve()), groups=tuple(groups))
