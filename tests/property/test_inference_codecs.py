"""Laws of the model server's codecs: what is written is read again, and the same rows are the same rows over every protocol."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.server.inference.datatypes import DATATYPES, from_bytes, name_of, to_bytes
from flyball.server.inference.exchange import ARROW, CSV, JSON, PARQUET, Asker
from flyball.server.inference.grpc_codec import read_message
from flyball.server.inference.grpc_messages import MESSAGES
from flyball.server.inference.infer import read_infer
from flyball.server.inference.invocations import read_invocation
from flyball.serving.entities import ColumnKind, Columns, ColumnSpec, Prediction, Signature
from flyball.serving.requests import InferAnswer
from flyball.serving.signature import enforce

SIGNATURE = Signature(
    inputs=tuple(
        ColumnSpec(name=name, kind=kind)
        for name, kind in (
            ("price", ColumnKind.DOUBLE),
            ("count", ColumnKind.LONG),
            ("kind", ColumnKind.STRING),
            ("open", ColumnKind.BOOLEAN),
        )
    ),
    output=ColumnKind.LONG,
)
NUMBERS = Signature(inputs=tuple(ColumnSpec(name=name, kind=ColumnKind.DOUBLE) for name in "abc"))
DTYPES = {"price": "FP64", "count": "INT64", "kind": "BYTES", "open": "BOOL"}

Table = Mapping[str, list[Any]]
doubles = st.floats(allow_infinity=False)
# What CSV, JSON and protobuf can all say: text without the half of a pair, and without the byte that ends a text in C.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\n"), min_size=1)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(1, 6))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=rows, max_size=rows))

    return {
        "price": column(doubles),
        "count": column(st.integers(-(2**63), 2**63 - 1)),
        "kind": column(texts),
        "open": column(st.booleans()),
    }


@st.composite
def matrices(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(1, 6))
    return {name: draw(st.lists(doubles, min_size=rows, max_size=rows)) for name in "abc"}


def asker(signature: Signature) -> Asker:
    return Asker(caller="user:owner", model="m", signature=signature)


def plain(values: list[Any]) -> list[Any]:
    return [None if isinstance(value, float) and math.isnan(value) else value for value in values]


def datatype(values: list[Any]) -> str:
    return {float: "FP64", int: "INT64", str: "BYTES", bool: "BOOL"}[type(values[0])]


def records(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table, row, strict=True)) for row in zip(*map(plain, table.values()), strict=True)]


def encoded(page: object) -> bytes:
    return json.dumps(page, ensure_ascii=False).encode()


def arrays(table: Table) -> dict[str, Any]:
    dtypes: dict[str, Any] = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": object}
    return {name: np.array(values, dtype=dtypes[datatype(values)]) for name, values in table.items()}


def by_infer(table: Table, signature: Signature) -> Columns:
    inputs = [
        {"name": name, "shape": [len(values)], "datatype": datatype(values), "data": plain(values)}
        for name, values in table.items()
    ]
    return enforce(signature, read_infer(encoded({"inputs": inputs}), asker(signature)).request.rows)


def by_bytes(table: Table, signature: Signature) -> Columns:
    tail = {name: to_bytes(values) for name, values in arrays(table).items()}
    inputs = [
        {
            "name": name,
            "shape": [len(values), 1],
            "datatype": datatype(values),
            "parameters": {"binary_data_size": len(tail[name])},
        }
        for name, values in table.items()
    ]
    head = encoded({"inputs": inputs})
    body = b"".join([head, *tail.values()])
    return enforce(signature, read_infer(body, asker(signature), header_length=len(head)).request.rows)


def message(table: Table, *, raw: bool) -> Any:
    asked = MESSAGES["ModelInferRequest"](model_name="m")
    fields = {"FP64": "fp64_contents", "INT64": "int64_contents", "BOOL": "bool_contents", "BYTES": "bytes_contents"}
    for name, values in arrays(table).items():
        kind = datatype(table[name])
        tensor = asked.inputs.add(name=name, datatype=kind, shape=[len(values)])
        if raw:
            asked.raw_input_contents.append(to_bytes(values))
        else:
            written = [value.encode() for value in values] if kind == "BYTES" else values.tolist()
            getattr(tensor.contents, fields[kind]).extend(written)
    return MESSAGES["ModelInferRequest"].FromString(asked.SerializeToString())


def by_grpc(table: Table, signature: Signature) -> Columns:
    return enforce(signature, read_message(message(table, raw=False), asker(signature)).request.rows)


def by_grpc_raw(table: Table, signature: Signature) -> Columns:
    return enforce(signature, read_message(message(table, raw=True), asker(signature)).request.rows)


def invoked(body: bytes, signature: Signature, content_type: str) -> Columns:
    return enforce(signature, read_invocation(body, asker(signature), content_type=content_type).request.rows)


def by_records(table: Table, signature: Signature) -> Columns:
    return invoked(encoded({"dataframe_records": records(table)}), signature, JSON)


def by_split(table: Table, signature: Signature) -> Columns:
    data = [list(row) for row in zip(*map(plain, table.values()), strict=True)]
    return invoked(encoded({"dataframe_split": {"columns": list(table), "data": data}}), signature, JSON)


def by_inputs(table: Table, signature: Signature) -> Columns:
    return invoked(encoded({"inputs": {name: plain(values) for name, values in table.items()}}), signature, JSON)


def by_instances(table: Table, signature: Signature) -> Columns:
    return invoked(encoded({"instances": records(table)}), signature, JSON)


def by_csv(table: Table, signature: Signature) -> Columns:
    page = pd.DataFrame(arrays(table)).to_csv(index=False)
    return invoked(page.encode(), signature, "text/csv; charset=utf-8; header=present")


def by_nameless_csv(table: Table, signature: Signature) -> Columns:
    page = pd.DataFrame(arrays(table)).to_csv(index=False, header=False)
    return invoked(page.encode(), signature, f"{CSV}; header=absent")


def by_arrow(table: Table, signature: Signature) -> Columns:
    sink = pa.BufferOutputStream()
    columns = pa.table({name: pa.array(values) for name, values in arrays(table).items()})
    with pa.ipc.new_stream(sink, columns.schema) as stream:
        stream.write_table(columns)
    return invoked(sink.getvalue().to_pybytes(), signature, ARROW)


def by_parquet(table: Table, signature: Signature) -> Columns:
    file = io.BytesIO()
    pq.write_table(pa.table({name: pa.array(values) for name, values in arrays(table).items()}), file)
    return invoked(file.getvalue(), signature, PARQUET)


PROTOCOLS: list[Callable[[Table, Signature], Columns]] = [
    by_infer,
    by_bytes,
    by_grpc,
    by_grpc_raw,
    by_records,
    by_split,
    by_inputs,
    by_instances,
    by_csv,
    by_nameless_csv,
    by_arrow,
    by_parquet,
]


def same(found: Columns, table: Table) -> None:
    assert list(found) == list(table)
    for name, values in arrays(table).items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=25, deadline=None)
@given(table=tables())
def test_rows_of_every_kind_arrive_as_they_were_sent(
    protocol: Callable[[Table, Signature], Columns], table: Table
) -> None:
    same(protocol(table, SIGNATURE), table)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=25, deadline=None)
@given(table=matrices())
def test_numbers_arrive_bit_for_bit(protocol: Callable[[Table, Signature], Columns], table: Table) -> None:
    same(protocol(table, NUMBERS), table)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "BOOL": st.booleans(),
    "BYTES": st.binary(),
    "FP16": st.floats(width=16),
    "FP32": st.floats(width=32),
    "FP64": st.floats(width=64),
    **{f"INT{bits}": st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}


@settings(max_examples=25, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", DATATYPES)
def test_bytes_of_a_datatype_are_read_as_they_were_written(name: str, data: st.DataObject) -> None:
    given_values = data.draw(st.lists(VALUES[name], max_size=5))
    values = np.empty(len(given_values), dtype=DATATYPES[name].dtype)
    values[:] = given_values
    assert name_of(values.dtype) == name
    np.testing.assert_array_equal(from_bytes(to_bytes(values), DATATYPES[name], count=len(values), tensor="t"), values)


LABELS = st.one_of(
    st.lists(st.booleans(), min_size=1).map(np.array),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1).map(lambda values: np.array(values, dtype=np.int64)),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1).map(np.array),
    st.lists(texts, min_size=1).map(lambda values: np.array(values, dtype=object)),
)


def answer_of(labels: Any) -> InferAnswer:
    names = tuple(f"row-{number}" for number in range(len(labels)))
    prediction = Prediction(labels=labels, scores=np.linspace(0.5, 1.0, len(labels)))
    return InferAnswer(request_id="r", version=3, role="champion", prediction_ids=names, together=prediction)


@settings(max_examples=25, deadline=None)
@given(labels=LABELS)
def test_every_way_to_answer_says_the_same_labels(labels: Any) -> None:
    answer, said = answer_of(labels), asker(NUMBERS)
    row = {"instances": [[0.0, 0.0, 0.0]]}
    infer = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [0.0, 0.0, 0.0]}]}

    def written(accept: str) -> bytes:
        return read_invocation(encoded(row), said, accept=accept).write(answer).body

    assert json.loads(written(JSON))["predictions"] == labels.tolist()
    with pa.ipc.open_stream(written(ARROW)) as stream:
        assert stream.read_all().column("prediction").to_pylist() == labels.tolist()
    assert json.loads(read_infer(encoded(infer), said).write(answer).body)["outputs"][0]["data"] == labels.tolist()
    in_bytes = read_infer(encoded(infer | {"parameters": {"binary_data_output": True}}), said).write(answer)
    length = int(dict(in_bytes.headers)["Inference-Header-Content-Length"])
    first = json.loads(in_bytes.body[:length])["outputs"][0]
    tail = in_bytes.body[length : length + first["parameters"]["binary_data_size"]]
    found = from_bytes(tail, DATATYPES[first["datatype"]], count=len(labels), tensor="t").tolist()
    assert [value.decode() if isinstance(value, bytes) else value for value in found] == labels.tolist()


@settings(max_examples=30, deadline=None)
@given(labels=LABELS, raw=st.booleans())
def test_grpc_answers_in_the_way_it_was_asked(labels: Any, *, raw: bool) -> None:
    said = read_message(message({"a": [0.5], "b": [0.5], "c": [0.5]}, raw=raw), asker(NUMBERS)).write(answer_of(labels))
    said = MESSAGES["ModelInferResponse"].FromString(said.SerializeToString())
    kind = DATATYPES[said.outputs[0].datatype]
    if raw:
        found = from_bytes(said.raw_output_contents[0], kind, count=len(labels), tensor="t").tolist()
    else:
        [(_, contents)] = said.outputs[0].contents.ListFields()
        found = list(contents)
    assert [value.decode() if isinstance(value, bytes) else value for value in found] == labels.tolist()
    assert json.loads(said.parameters["prediction_ids"].string_param) == [f"row-{at}" for at in range(len(labels))]
