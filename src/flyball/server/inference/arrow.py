"""Rows and predictions as an Arrow IPC stream, and rows as a Parquet file: columns as they lie in memory."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flyball.kernel.errors import InvalidInput, LimitExceeded, Unsupported
from flyball.server.inference.exchange import Asker
from flyball.server.inference.ipc_messages import check_message
from flyball.server.inference.tensors import outputs_of
from flyball.serving.arrow_columns import row_ids
from flyball.serving.entities import Array, Matrix
from flyball.serving.requests import InferAnswer, InferRequest
from flyball.serving.signature import NamedRows
from flyball.wire.inference import RowParameters, decode

# What the caller says about its rows, as JSON in the schema's metadata.
PARAMETERS: Final = b"flyball.parameters"
PREDICTION_ID: Final = "prediction_id"
# A file of a few kilobytes can hold columns of gigabytes; a body as it is sent can hold twenty times itself and no more.
_MOST_TIMES: Final = 20
# Names of columns are decoded when they are asked for, and values when they are taken out: a broken body shows then.
_UNREADABLE: Final = (pa.ArrowException, OSError, UnicodeDecodeError)
_PLAIN: Final = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
_TEXTS: Final = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)


def read_arrow(body: bytes, asker: Asker) -> InferRequest:
    """Read a stream.

    Raises:
        InvalidInput: no Arrow stream, or a column that has a missing value where there can be none.
        Unsupported: a compressed stream, or a type of column that no model here takes.
    """
    try:
        with pa.ipc.open_stream(body) as stream:
            _check(body)
            batches = [batch for batch in stream if batch.num_rows]
            for batch in batches:
                batch.validate(full=True)
            return _request(pa.Table.from_batches(batches, schema=stream.schema), asker)
    except _UNREADABLE as error:
        raise InvalidInput(f"the body is no Arrow stream: {error}", field="body") from error


def read_parquet(body: bytes, asker: Asker, *, rows_at_most: int) -> InferRequest:
    """Read a Parquet file.

    Raises:
        InvalidInput: no Parquet file, or a column that has a missing value where there can be none.
        LimitExceeded: more rows than one request may have, or columns that are much larger than the file.
        Unsupported: a type of column that no model here takes.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(body))
        if file.metadata.num_rows > rows_at_most:
            raise LimitExceeded(f"{file.metadata.num_rows} rows in one request; the limit is {rows_at_most}")
        size = sum(file.metadata.row_group(at).total_byte_size for at in range(file.metadata.num_row_groups))
        if size > _MOST_TIMES * len(body):
            raise LimitExceeded(f"the file unfolds to {size} bytes, more than {_MOST_TIMES} times its own size")
        table = file.read()
        table.validate(full=True)
        return _request(table, asker)
    except _UNREADABLE as error:
        raise InvalidInput(f"the body is no Parquet file: {error}", field="body") from error


def write_arrow(answer: InferAnswer) -> bytes:
    """Write predictions with their ids; request, version and role are in the schema's metadata."""
    columns = {PREDICTION_ID: row_ids([answer.prediction_ids])}
    columns |= {name: _to_arrow(values) for name, values in outputs_of(answer.prediction, ()).items()}
    metadata = {"request_id": answer.request_id, "model_version": str(answer.version), "role": answer.role}
    table = pa.table(columns).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _check(body: bytes) -> None:
    """Look at each message before its columns are made."""
    for message in pa.ipc.MessageReader.open_stream(body):
        check_message(message.metadata.to_pybytes())


def _request(table: pa.Table, asker: Asker) -> InferRequest:
    said = _parameters(table.schema)
    return InferRequest(
        rows=NamedRows(columns=_columns(table)),
        event_time_ms=said.event_time_ms,
        prediction_ids=said.prediction_ids,
        sticky_key=said.sticky_key,
        caller=asker.caller,
        size_bytes=table.nbytes,
    )


def _parameters(schema: pa.Schema) -> RowParameters:
    said = (schema.metadata or {}).get(PARAMETERS)
    return RowParameters() if said is None else decode(said, RowParameters, what="the stream's parameters")


def _columns(table: pa.Table) -> Matrix | dict[str, Array]:
    """Return columns by name; as one matrix where all are floats of one size."""
    names: Sequence[str] = table.column_names
    if len(set(names)) != len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"column '{name}' is sent twice", field=name)
    columns = {name: _from_arrow(name, table.column(name)) for name in names}
    kinds = {(column.dtype, column.ndim) for column in columns.values()}
    if len(kinds) != 1 or next(iter(kinds))[0].kind != "f" or next(iter(kinds))[1] != 1:
        return columns
    return Matrix(tuple(columns), np.column_stack(list(columns.values())))


def _from_arrow(name: str, column: pa.ChunkedArray) -> Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _from_arrow(name, column.cast(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return _tensor(name, column)
    if any(is_kind(kind) for is_kind in _TEXTS):
        texts = np.empty(len(column), dtype=object)
        texts[:] = column.to_pylist()
        return texts
    if pa.types.is_timestamp(kind):
        _refuse_missing(name, column)
        return np.asarray(column.cast(pa.timestamp("ns")).to_numpy())
    if not any(is_kind(kind) for is_kind in _PLAIN):
        raise Unsupported(f"column '{name}' is {kind}; no model here takes that", field=name)
    if not pa.types.is_floating(kind):
        _refuse_missing(name, column)
    return np.asarray(column.to_numpy())


def _tensor(name: str, column: pa.ChunkedArray) -> Array:
    """Return lists of one size as a tensor, inner ones as its further dimensions."""
    shape, values = [len(column)], column.combine_chunks()
    while pa.types.is_fixed_size_list(values.type):
        _refuse_missing(name, values)
        shape.append(values.type.list_size)
        values = values.flatten()
    return _from_arrow(name, pa.chunked_array([values])).reshape(shape)


def _refuse_missing(name: str, column: pa.ChunkedArray | pa.Array) -> None:
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InvalidInput(f"column '{name}' has no value in row {row}, and {column.type} cannot say so", field=name)


def _to_arrow(values: Array) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values.tolist() if values.dtype == object else values)
    flat = values.reshape(len(values), -1)
    return pa.FixedSizeListArray.from_arrays(_to_arrow(flat.ravel()), flat.shape[1])
