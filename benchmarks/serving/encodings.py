"""How each server wants rows, and how it answers: a request is bytes, an answer is an array."""

from __future__ import annotations

import base64
import io
import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]
Headers: TypeAlias = Mapping[str, str]

JSON = "application/json"
_DATATYPES = {"float64": "FP64", "float32": "FP32"}
_TYPES = {"INT64": "<i8", "INT32": "<i4", "FP64": "<f8", "FP32": "<f4", "BOOL": "?"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """One way to ask one server: over HTTP, or (`grpc`) by a body that its own client has to make."""

    name: str
    path: str
    body: Callable[[Array], bytes]
    answer: Callable[[bytes, Headers], Array]
    content_type: str = JSON
    grpc: bool = False
    headers: Callable[[Array], dict[str, str]] = field(default=lambda _rows: {})


def open_inference(model: str) -> Encoding:
    """Make tensors as JSON, of the Open Inference Protocol."""
    return Encoding(name="JSON", path=f"/v2/models/{model}/infer", body=_tensor, answer=_tensor_answer)


def open_inference_binary(model: str) -> Encoding:
    """Make tensors as their bytes behind a JSON header, by the protocol's extension."""

    def header(rows: Array) -> bytes:
        described = {"name": "input", "shape": list(rows.shape), "datatype": _DATATYPES[str(rows.dtype)]}
        tensor = {**described, "parameters": {"binary_data_size": rows.nbytes}}
        return json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()

    return Encoding(
        name="binary",
        path=f"/v2/models/{model}/infer",
        content_type="application/octet-stream",
        headers=lambda rows: {"Inference-Header-Content-Length": str(len(header(rows)))},
        body=lambda rows: header(rows) + rows.tobytes(),
        answer=_binary_answer,
    )


def open_inference_grpc() -> Encoding:
    """Stand for tensors as their bytes over gRPC; the message is made by the official library (`peers/grpc_client.py`)."""
    return Encoding(name="gRPC", path="", body=lambda rows: rows.tobytes(), answer=_bare, grpc=True)


def invocations(path: str = "/invocations") -> Encoding:
    """Make MLflow's `inputs`."""
    return Encoding(name="JSON", path=path, body=_nested("inputs"), answer=_named("predictions"))


def invocations_csv(path: str = "/invocations") -> Encoding:
    """Make a table as CSV."""

    def body(rows: Array) -> bytes:
        text = io.StringIO()
        text.write(",".join(f"x{at}" for at in range(rows.shape[1])) + "\n")
        np.savetxt(text, rows, delimiter=",", fmt="%r")
        return text.getvalue().encode()

    return Encoding(name="CSV", path=path, content_type="text/csv", body=body, answer=_named("predictions"))


def invocations_parquet(path: str = "/invocations") -> Encoding:
    """Make a table as Parquet."""

    def body(rows: Array) -> bytes:
        import pyarrow.parquet

        buffer = io.BytesIO()
        pyarrow.parquet.write_table(_table(rows), buffer)
        return buffer.getvalue()

    return Encoding(
        name="Parquet",
        path=path,
        content_type="application/vnd.apache.parquet",
        body=body,
        answer=_named("predictions"),
    )


def invocations_arrow(path: str = "/invocations") -> Encoding:
    """Make a table as an Arrow stream, answered by one."""

    def body(rows: Array) -> bytes:
        import pyarrow as pa

        buffer, table = io.BytesIO(), _table(rows)
        with pa.ipc.new_stream(buffer, table.schema) as writer:
            writer.write_table(table)
        return buffer.getvalue()

    def answer(data: bytes, _headers: Headers) -> Array:
        import pyarrow as pa

        column = pa.ipc.open_stream(data).read_all().column("prediction")
        return np.array(column.to_pylist())

    kind = "application/vnd.apache.arrow.stream"
    return Encoding(
        name="Arrow", path=path, content_type=kind, headers=lambda _rows: {"Accept": kind}, body=body, answer=answer
    )


def rows_as_json() -> Encoding:
    """Make what our BentoML service takes."""
    return Encoding(name="JSON", path="/predict", body=_nested("rows"), answer=_bare)


def rows_as_file() -> Encoding:
    """Make a form with an `.npy` file, which our BentoML service takes too."""
    boundary = "----flyball-benchmark"

    def body(rows: Array) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, rows)
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="rows.npy"\r\n\r\n'
        return head.encode() + buffer.getvalue() + f"\r\n--{boundary}--\r\n".encode()

    return Encoding(
        name="npy file",
        path="/predict_file",
        content_type=f"multipart/form-data; boundary={boundary}",
        body=body,
        answer=_bare,
    )


def answers_to_json() -> Encoding:
    """Make what our LitServe API takes."""
    return Encoding(name="JSON", path="/predict", body=_nested("rows"), answer=_named("answers"))


def answers_to_form() -> Encoding:
    """Make a form with the bytes of an array, as text, because LitServe hands the form to another process."""

    def body(rows: Array) -> bytes:
        coded = base64.b64encode(rows.tobytes()).decode()
        return urllib.parse.urlencode({"array": coded, "dtype": str(rows.dtype), "width": rows.shape[1]}).encode()

    return Encoding(
        name="form",
        path="/predict",
        content_type="application/x-www-form-urlencoded",
        body=body,
        answer=_named("answers"),
    )


def _nested(name: str) -> Callable[[Array], bytes]:
    return lambda rows: json.dumps({name: rows.tolist()}).encode()


def _named(name: str) -> Callable[[bytes, Headers], Array]:
    return lambda data, _headers: np.array(json.loads(data)[name])


def _bare(data: bytes, _headers: Headers) -> Array:
    return np.array(json.loads(data))


def _tensor(rows: Array) -> bytes:
    tensor = {"name": "input", "shape": list(rows.shape), "datatype": _DATATYPES[str(rows.dtype)]}
    return json.dumps({"inputs": [{**tensor, "data": rows.ravel().tolist()}]}).encode()


def _tensor_answer(data: bytes, _headers: Headers) -> Array:
    output = json.loads(data)["outputs"][0]
    return np.array(output["data"]).reshape(output["shape"])


def _binary_answer(data: bytes, headers: Headers) -> Array:
    length = headers.get("inference-header-content-length")
    if length is None:
        return _tensor_answer(data, headers)
    output = json.loads(data[: int(length)])["outputs"][0]
    size = output["parameters"]["binary_data_size"]
    return np.frombuffer(data[int(length) :][:size], dtype=_TYPES[output["datatype"]]).reshape(output["shape"])


def _table(rows: Array) -> Any:
    import pyarrow as pa

    return pa.table({f"x{at}": np.ascontiguousarray(rows[:, at]) for at in range(rows.shape[1])})
