"""The tables that can be compared: pandas, Polars, Arrow, DuckDB relations and Parquet files, read column by column."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import pyarrow as pa
import pyarrow.parquet as pq

from flyball.datasets.profile import ColumnKind
from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.monitoring.multivariate.samples import draw_places, draw_rows
from flyball.monitoring.multivariate.tables import is_list_of_numbers

_WANTED = "pass a pandas or Polars frame, an Arrow table, a DuckDB relation, or the path of a Parquet file or folder"

# Of a large file, rows are drawn from so many row groups, evenly from first to last: to read them all would be to read it twice.
MOST_GROUPS = 16
_TEXTS = {pa.string(), pa.large_string(), pa.string_view(), pa.null()}


class Source(Protocol):
    """A table of which one column at a time is read, in pieces. Any number of threads may read."""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        ...

    @property
    def kinds(self) -> Mapping[str, ColumnKind]:
        """Each column's kind, in the order of the table; all text counts as categorical here."""
        ...

    def pieces(self, name: str) -> Iterator[pa.Array]:
        """Yield a column from first row to last; a piece fits into memory."""
        ...

    def sample(self, names: Sequence[str], count: int) -> pa.Table:
        """Return `count` rows of some columns, always the same ones; all where there are no more."""
        ...


def open_source(data: object, *, what: str, columns: Sequence[str] | None = None) -> Source:
    """Open whatever can be compared; `what` names it in errors, and only `columns` are looked at where they are given.

    Raises:
        InvalidInput: nothing there, no rows or no columns, or a column named twice.
        Unsupported: something else, or a type of column that cannot be compared.
    """
    known = _Kinds(what=what, columns=None if columns is None else frozenset(columns))
    source = _parquet(data, known) if isinstance(data, (str, Path, list, tuple)) else _in_memory(data, known)
    if source.rows == 0 or not source.kinds:
        wanted = "" if columns is None else f" of those wanted ({', '.join(columns)})"
        raise InvalidInput(f"the {what} has {source.rows} rows and {len(source.kinds)} columns{wanted}", field=what)
    return source


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrowSource:
    """A table in memory."""

    table: pa.Table
    rows: int
    kinds: Mapping[str, ColumnKind]

    def pieces(self, name: str) -> Iterator[pa.Array]:
        yield from self.table.column(name).chunks

    def sample(self, names: Sequence[str], count: int) -> pa.Table:
        return draw_rows(self.table.select(list(names)), count)


@dataclass(frozen=True, slots=True, kw_only=True)
class PandasSource:
    """A pandas frame; a column is taken over only when it is read, and a column of numbers without a copy."""

    frame: Any
    rows: int
    kinds: Mapping[str, ColumnKind]

    def pieces(self, name: str) -> Iterator[pa.Array]:
        column = self.frame[name]
        numbers = column.dtype.kind in "fiu" and hasattr(column.dtype, "char")
        # NaN stays NaN in numbers: whoever reads them looks for it anyway, and a mask would be a pass over all rows.
        found = pa.array(column.to_numpy()) if numbers else pa.array(column, from_pandas=True)
        yield from found.chunks if isinstance(found, pa.ChunkedArray) else [found]

    def sample(self, names: Sequence[str], count: int) -> pa.Table:
        drawn = self.frame[list(names)].iloc[draw_places(self.rows, count)]
        return pa.Table.from_pandas(drawn, preserve_index=False)


class _Opened(threading.local):
    """The file that a thread read last: to open one of two thousand columns takes longer than to read one of them."""

    path: Path | None = None
    file: pq.ParquetFile | None = None

    def get(self, path: Path, metadata: pq.FileMetaData) -> pq.ParquetFile:
        """Return the file, opened."""
        if self.file is None or self.path != path:
            # Texts stay numbered as they are in the file, which costs a fifth of writing each of them out.
            texts = [field.name for field in metadata.schema.to_arrow_schema() if field.type in _TEXTS]
            self.path, self.file = path, pq.ParquetFile(path, metadata=metadata, read_dictionary=texts)
        return self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetSource:
    """Parquet files of one schema. Only the column that is asked for is read, one row group at a time."""

    files: tuple[tuple[Path, pq.FileMetaData], ...]
    rows: int
    kinds: Mapping[str, ColumnKind]
    opened: _Opened = field(default_factory=_Opened)

    def pieces(self, name: str) -> Iterator[pa.Array]:
        for path, metadata in self.files:
            file = self.opened.get(path, metadata)
            for group in range(metadata.num_row_groups):
                yield from file.read_row_group(group, columns=[name], use_threads=False).column(name).chunks

    def sample(self, names: Sequence[str], count: int) -> pa.Table:
        groups = [(path, metadata, place) for path, metadata in self.files for place in range(metadata.num_row_groups)]
        step = max(1, -(-len(groups) // MOST_GROUPS))
        read = groups[step // 2 :: step] or groups
        share = count / max(1, sum(metadata.row_group(place).num_rows for _path, metadata, place in read))
        parts = []
        for path, metadata, place in read:
            part = self.opened.get(path, metadata).read_row_group(place, columns=list(names), use_threads=False)
            parts.append(draw_rows(part, max(1, round(part.num_rows * share))))
        return pa.concat_tables(parts)


def _in_memory(data: object, known: _Kinds) -> Source:
    library = type(data).__module__.partition(".")[0]
    if isinstance(data, pa.Table):
        return _arrow(data, known)
    if isinstance(data, pa.RecordBatch):
        return _arrow(pa.Table.from_batches([data]), known)
    if library == "pandas" and hasattr(data, "columns"):
        return _pandas(data, known)
    if library == "polars" and hasattr(data, "to_arrow"):
        return _arrow(cast("Any", data).to_arrow(), known)
    if library in {"duckdb", "_duckdb"} and hasattr(data, "to_arrow_table"):
        return _arrow(cast("Any", data).to_arrow_table(), known)
    raise Unsupported(f"the {known.what} is a {type(data).__name__}; {_WANTED}", field=known.what)


def _arrow(table: pa.Table, known: _Kinds) -> ArrowSource:
    return ArrowSource(table=table, rows=table.num_rows, kinds=known.of(table.schema))


def _pandas(data: object, known: _Kinds) -> PandasSource:
    frame = cast("Any", data)
    names = [str(name) for name in frame.columns]
    if names != list(frame.columns):
        raise InvalidInput(f"the {known.what} has columns whose names are no texts: rename them", field=known.what)
    # The types of a hundred rows tell all but what a column of mixed objects hides; that shows when it is read.
    schema = pa.Schema.from_pandas(frame.head(100), preserve_index=False)
    return PandasSource(frame=frame, rows=len(frame), kinds=known.of(schema))


def _parquet(data: str | Path | Sequence[object], known: _Kinds) -> ParquetSource:
    what = known.what
    given = [data] if isinstance(data, (str, Path)) else list(data)
    paths = [path for one in given for path in _files(one, what)]
    files = tuple((path, _metadata(path, what)) for path in paths)
    if not files:
        raise InvalidInput(f"the {what} names no Parquet file", field=what)
    first, schema = paths[0], files[0][1].schema.to_arrow_schema()
    for path, metadata in files[1:]:
        if not metadata.schema.to_arrow_schema().equals(schema):
            raise InvalidInput(f"{path} has other columns than {first}", field=what)
    rows = sum(metadata.num_rows for _path, metadata in files)
    return ParquetSource(files=files, rows=rows, kinds=known.of(schema))


def _files(given: object, what: str) -> list[Path]:
    if not isinstance(given, (str, Path)):
        raise Unsupported(f"the {what} lists a {type(given).__name__}; {_WANTED}", field=what)
    path = Path(given)
    if not path.exists():
        raise InvalidInput(f"{path} does not exist", field=what)
    return sorted(path.rglob("*.parquet")) if path.is_dir() else [path]


def _metadata(path: Path, what: str) -> pq.FileMetaData:
    try:
        return pq.read_metadata(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidInput(f"{path} is no Parquet file: {error}", field=what) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kinds:
    """The kinds of a table's columns, of those that are wanted."""

    what: str
    columns: frozenset[str] | None

    def of(self, schema: pa.Schema) -> dict[str, ColumnKind]:
        twice = sorted(name for name, times in Counter(schema.names).items() if times > 1)
        if twice:
            raise InvalidInput(f"the {self.what} has column '{twice[0]}' twice", field=twice[0])
        wanted = schema.names if self.columns is None else self.columns
        return {field.name: self._kind(field) for field in schema if field.name in wanted}

    def _kind(self, field: pa.Field) -> ColumnKind:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_boolean(kind):
            return ColumnKind.BOOLEAN
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return ColumnKind.NUMERIC
        if pa.types.is_temporal(kind):
            return ColumnKind.TIME
        if kind in _TEXTS:
            return ColumnKind.CATEGORICAL
        if is_list_of_numbers(kind):
            return ColumnKind.LIST
        message = f"column '{field.name}' of the {self.what} is {kind}; name the others with columns=[...]"
        raise Unsupported(message, field=field.name)
