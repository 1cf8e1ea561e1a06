"""What the model server's protocols say besides JSON: bytes, versions, CSV, Arrow, folded bodies, the repository."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import urllib3
from tests.api.test_inference import LIMIT, ListCapture, Server, error_of, running

from flyball.kernel.clock import ManualClock
from flyball.serving.entities import ColumnKind, Columns, ColumnSpec, Prediction, Signature
from flyball.serving.plane import DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick
from flyball.serving.served_model import ServedModel

OCTETS, CSV, ARROW = "application/octet-stream", "text/csv", "application/vnd.apache.arrow.stream"
COLUMNS = Signature(
    inputs=(
        ColumnSpec(name="price", kind=ColumnKind.DOUBLE),
        ColumnSpec(name="hour", kind=ColumnKind.LONG),
        ColumnSpec(name="zip", kind=ColumnKind.STRING),
    ),
    output=ColumnKind.STRING,
)


class Echo:
    """Answers each row with what it holds, so that a test sees what the model saw."""

    def predict(self, columns: Columns) -> Prediction:
        rows = zip(*(columns[name].tolist() for name in columns), strict=True)
        labels = np.empty(len(columns["price"]), dtype=object)
        labels[:] = ["|".join(map(str, row)) for row in rows]
        return Prediction(labels=labels, scores=columns["price"].astype(np.float64))


class Second(Echo):
    """The other version."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    capture = ListCapture()
    plane = DataPlane("shop", "prices", capture=capture, clock=ManualClock())
    versions = {
        number: LoadedVersion(version=number, digest=str(number) * 64, model=ServedModel(runtime, COLUMNS))
        for number, runtime in ((1, Echo()), (2, Second()))
    }
    plane.switch(
        Routing(
            generation=1,
            champion=1,
            router=lambda _key: Choice(answer=Pick(version=1, role="champion")),
            versions=versions,
        )
    )
    with running(plane, capture) as server:
        yield server


def invoke(server: Server, body: bytes | str, kind: str = CSV, **headers: str) -> urllib3.BaseHTTPResponse:
    sent = body.encode() if isinstance(body, str) else body
    return server.post("/invocations", sent, content_type=kind, **headers)


def ask(**changes: Any) -> dict[str, Any]:
    inputs = [
        {"name": "price", "shape": [2], "datatype": "FP64", "data": [0.5, 1.5]},
        {"name": "hour", "shape": [2], "datatype": "INT64", "data": [3, 4.0]},
        {"name": "zip", "shape": [2], "datatype": "BYTES", "data": ["001", "é"]},
    ]
    return {"inputs": inputs} | changes


SAID = ["0.5|3|001", "1.5|4|é"]


def test_whole_floats_are_integers_and_texts_of_digits_stay_texts(server: Server) -> None:
    answer = server.post("/v2/models/shop/infer", ask(model_name="shop")).json()
    assert answer["outputs"][0] == {"name": "prediction", "shape": [2], "datatype": "BYTES", "data": SAID}


def bytes_of(price: list[float], hour: list[int], zips: list[bytes]) -> list[bytes]:
    texts = b"".join(len(text).to_bytes(4, "little") + text for text in zips)
    return [np.array(price, "<f8").tobytes(), np.array(hour, "<i8").tobytes(), texts]


def binary(parts: list[bytes], **changes: Any) -> tuple[bytes, int]:
    inputs = [
        {"name": name, "shape": [2], "datatype": datatype, "parameters": {"binary_data_size": len(part)}}
        for name, datatype, part in zip(("price", "hour", "zip"), ("FP64", "INT64", "BYTES"), parts, strict=True)
    ]
    head = json.dumps({"inputs": inputs} | changes).encode()
    return b"".join([head, *parts]), len(head)


def test_tensors_come_and_go_as_bytes_behind_the_json(server: Server) -> None:
    body, length = binary(
        bytes_of([0.5, 1.5], [3, 4], [b"001", "é".encode()]),
        outputs=[{"name": "score", "parameters": {"binary_data": True}}, {"name": "prediction"}],
    )
    response = server.post(
        "/v2/models/shop/infer", body, content_type=OCTETS, inference_header_content_length=str(length)
    )
    assert response.status == 200, response.data
    assert response.headers["content-type"] == OCTETS
    head = int(response.headers["inference-header-content-length"])
    answer = json.loads(response.data[:head])
    assert answer["outputs"][0] == {
        "name": "score",
        "shape": [2],
        "datatype": "FP64",
        "parameters": {"binary_data_size": 16},
    }
    assert np.frombuffer(response.data[head:], "<f8").tolist() == [0.5, 1.5]
    assert answer["outputs"][1]["data"] == SAID


@pytest.mark.parametrize(
    ("parts", "length", "match"),
    [
        ([b"\0" * 15, b"\0" * 16, b"\0" * 8], None, "'price' has 15 bytes, its shape wants 16"),
        ([b"\0" * 16, b"\0" * 16, b"\0" * 7], None, "'zip': its 7 bytes are not the 2 texts"),
        ([b"\0" * 16, b"\0" * 16, b"\xff\0\0\0abc\0\0\0\0"], None, "'zip': its 11 bytes"),
        ([b"\0" * 16, b"\0" * 16, b"\1\0\0\0\xff\0\0\0\0"], None, "'zip': text 0 is no UTF-8"),
        ([b"\0" * 16, b"\0" * 16, b"\0" * 8, b"more"], None, "4 bytes behind the JSON belong to no tensor"),
        ([b"\0" * 16, b"\0" * 16], None, "'zip' says 8 bytes, 0 are left"),
        ([b"\0" * 16, b"\0" * 16, b"\0" * 8], "3", "no JSON|truncated"),
        ([b"\0" * 16, b"\0" * 16, b"\0" * 8], "9999", "the body has"),
        ([b"\0" * 16, b"\0" * 16, b"\0" * 8], "-1", "whole number"),
        ([b"\0" * 16, b"\0" * 16, b"\0" * 8], "x", "whole number"),
    ],
)
def test_bytes_that_do_not_fit_are_refused_by_name(
    parts: list[bytes], length: str | None, match: str, server: Server
) -> None:
    stated = [len(part) for part in parts[:3]] + [8] * (3 - len(parts))
    inputs = [
        {"name": name, "shape": [2], "datatype": datatype, "parameters": {"binary_data_size": size}}
        for name, datatype, size in zip(("price", "hour", "zip"), ("FP64", "INT64", "BYTES"), stated, strict=True)
    ]
    head = json.dumps({"inputs": inputs}).encode()
    response = server.post(
        "/v2/models/shop/infer", b"".join([head, *parts]), inference_header_content_length=length or str(len(head))
    )
    assert response.status == 400
    assert re.search(match, error_of(response)), error_of(response)


def test_a_shape_of_billions_costs_nothing(server: Server) -> None:
    for datatype in ("BYTES", "FP64", "BOOL"):
        huge = {"name": "zip", "shape": [10**9, 10**9], "datatype": datatype, "parameters": {"binary_data_size": 4}}
        head = json.dumps({"inputs": [huge]}).encode()
        response = server.post(
            "/v2/models/shop/infer", head + b"\0\0\0\0", inference_header_content_length=str(len(head))
        )
        assert response.status == 400, error_of(response)
    plain = {"name": "zip", "shape": [10**9, 10**9], "datatype": "FP64", "data": [1.0]}
    assert server.post("/v2/models/shop/infer", {"inputs": [plain]}).status == 400


def test_a_version_can_be_asked_by_its_number(server: Server) -> None:
    answers = [server.post(f"/v2/models/prices/versions/{number}/infer", ask()).json() for number in (1, 2)]
    said = [(answer["model_name"], answer["model_version"], answer["parameters"]["role"]) for answer in answers]
    assert said == [("prices", "1", "champion"), ("prices", "2", "pinned")]
    assert server.get("/v2/models/prices/versions/2").json()["versions"] == ["1", "2"]
    ready = server.get("/v2/models/prices/versions/2/ready", token=None)
    assert ready.json() == {"name": "prices", "ready": True}


@pytest.mark.parametrize(("version", "status"), [("3", 404), ("one", 400), ("0", 400), ("-1", 400)])
def test_a_version_that_is_not_served_is_an_error(version: str, status: int, server: Server) -> None:
    path = f"/v2/models/shop/versions/{version}"
    assert [server.get(path).status, server.get(f"{path}/ready").status] == [status, status]
    response = server.post(f"{path}/infer", ask())
    assert (response.status, "version" in error_of(response)) == (status, True)
    assert server.post("/v2/models/shop/versions/1/infer", ask(model_version="2")).status == 400


def test_the_repository_is_listed_and_not_changed(server: Server) -> None:
    index = server.post("/v2/repository/index", b"").json()
    assert index == [
        {"name": name, "version": version, "state": "READY", "reason": ""}
        for name in ("shop", "prices")
        for version in ("1", "2")
    ]
    assert server.post("/v2/repository/index", {"ready": True}).json() == index
    for verb in ("load", "unload"):
        response = server.post(f"/v2/repository/models/shop/{verb}", {})
        assert (response.status, "routing" in error_of(response)) == (409, True)
        assert server.post(f"/v2/repository/models/other/{verb}", b"").status == 404
        assert server.post(f"/v2/repository/models/shop/{verb}", {}, token="reader").status == 403
    assert server.post("/v2/repository/index", {"redy": True}).status == 400


@pytest.mark.parametrize(
    "body",
    [
        "price,hour,zip\n0.5,3,001\n1.5,4,é\n",
        "zip,price,hour\r\n001, 0.5,3.0\r\né,1.5 ,4\r\n\r\n",
        '0.5,3,001\n1.5,4,"é"',
        "\ufeffprice,hour,zip\n0.5,3,001\n1.5,4,é\n",
    ],
)
def test_csv_is_read_with_and_without_names(body: str, server: Server) -> None:
    assert invoke(server, body).json()["predictions"] == SAID


def test_what_the_first_line_is_can_be_said(server: Server) -> None:
    assert invoke(server, "0.5,3,price\n", "text/csv; header=absent").json()["predictions"] == ["0.5|3|price"]
    assert invoke(server, "0.5,3,price\n").status == 400  # `price` is the name of a column
    response = invoke(server, "a,b,c\n0.5,3,x\n", "text/csv; header=present")
    assert (response.status, "missing column 'price', 'hour', 'zip'" in error_of(response)) == (400, True)


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ("", "no rows"),
        ("price,hour,zip\n", "no rows"),
        ("price,hour,zip\n0.5,3\n", "row 0 has 2 cells, 3 are expected"),
        ("price,hour\n0.5,3\n", "missing column 'zip'"),
        ("price,hour,zip,more\n0.5,3,a,b\n", "unknown column 'more'"),
        ("price,price,zip\n0.5,3,a\n", "column 'price' is sent twice"),
        ("price,hour,zip\n0.5,3,a\nx,3,a\n", "column 'price': row 1 .'x'. is no number"),
        ("price,hour,zip\n0x1F,3,a\n", "column 'price': row 0"),
        ("price,hour,zip\n0.5,3.5,a\n", "column 'hour': row 0 .3.5. is no whole number"),
        ("price,hour,zip\n0.5,,a\n", "column 'hour': row 0 .*NaN"),
        ("price,hour,zip\n0.5,0x1F,a\n", "column 'hour': row 0"),
        ("price,hour,zip\n0.5,99999999999999999999,a\n", "column 'hour'"),
        ("price,hour,zip\ninf,3,a\n", "column 'price': row 0 .*infinite"),
        ('price,hour,zip\n0.5,3,"a\n', "no CSV"),
        (b"price,hour,zip\n0.5,3,\xff\n", "no CSV"),
        ("0.5,3\n", "2 columns were sent"),
    ],
)
def test_csv_that_makes_no_table_is_refused_by_name(body: str | bytes, match: str, server: Server) -> None:
    response = invoke(server, body)
    assert response.status == 400
    assert re.search(match, error_of(response)), error_of(response)


def test_an_empty_cell_is_a_missing_number_and_an_empty_text(server: Server) -> None:
    assert invoke(server, "price,hour,zip\n,3,\n").json()["predictions"] == ["nan|3|"]


def stream_of(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def columns(**changes: Any) -> pa.Table:
    return pa.table({"price": [0.5, 1.5], "hour": [3, 4], "zip": ["001", "é"]} | changes)


@pytest.mark.parametrize(
    "table",
    [
        columns(),
        columns(zip=pa.array(["001", "é"]).dictionary_encode()),
        columns(price=pa.array([0.5, 1.5], pa.float32()), hour=pa.array([3, 4], pa.uint8())),
        columns(zip=pa.array(["001", "é"], pa.large_string()), hour=[3.0, 4.0]),
        pa.concat_tables([columns().slice(0, 1), columns().slice(1)]),
        columns().select(["zip", "hour", "price"]),
    ],
)
def test_arrow_is_read_and_answered_as_arrow(table: pa.Table, server: Server) -> None:
    response = invoke(server, stream_of(table), ARROW)
    assert (response.status, response.headers["content-type"]) == (200, ARROW), response.data
    with pa.ipc.open_stream(response.data) as stream:
        answer = stream.read_all()
    assert answer.column_names == ["prediction_id", "prediction", "score"]
    assert answer.column("prediction").to_pylist() == SAID
    assert answer.schema.metadata[b"model_version"] == b"1"


def test_an_arrow_stream_says_what_its_rows_are_called(server: Server) -> None:
    said = json.dumps({"prediction_ids": ["a", "b"], "event_time_ms": 7}).encode()
    table = columns().replace_schema_metadata({"flyball.parameters": said})
    response = invoke(server, stream_of(table), ARROW, accept="application/json")
    assert response.json()["prediction_ids"] == ["a", "b"]
    assert server.capture.batches[-1].times_ms == 7
    wrong = columns().replace_schema_metadata({"flyball.parameters": b'{"ids": []}'})
    assert invoke(server, stream_of(wrong), ARROW).status == 400


@pytest.mark.parametrize(
    ("body", "status", "match"),
    [
        (b"", 400, "no Arrow stream"),
        (b"price,hour", 400, "no Arrow stream"),
        (stream_of(columns())[:-200], 400, "no Arrow stream"),
        (stream_of(columns(hour=[3, None])), 400, "'hour' has no value in row 1"),
        (stream_of(columns(zip=["001", None])), 400, "'zip' has no value in row 1"),
        (stream_of(columns(hour=[3.5, 4.0])), 400, "'hour': row 0 .3.5."),
        (stream_of(columns(zip=[1, 2])), 400, "'zip' wants string, and integers"),
        (stream_of(columns().drop_columns("zip")), 400, "missing column 'zip'"),
        (stream_of(columns(more=[1, 2])), 400, "unknown column 'more'"),
        (stream_of(columns(hour=[[3], [4]])), 501, "'hour' is list"),
        (stream_of(columns().slice(0, 0)), 400, "no rows"),
        (stream_of(columns(), compression="zstd"), 501, "compressed"),
    ],
)
def test_an_arrow_stream_that_makes_no_table_is_refused(body: bytes, status: int, match: str, server: Server) -> None:
    response = invoke(server, body, ARROW)
    assert re.search(match, error_of(response)), error_of(response)
    assert response.status == status


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/csv", CSV),
        ("text/html, text/*;q=0.5", CSV),
        ("application/json;q=0.2, text/csv;q=0.9", CSV),
        (ARROW, ARROW),
        ("text/html", None),
        ("text/csv;q=0", None),
    ],
)
def test_what_is_accepted_is_answered(accept: str, kind: str | None, server: Server) -> None:
    headers = {"accept": accept} if accept else {}
    response = invoke(server, "0.5,3,001\n1.5,4,é", **headers)
    assert response.status == (200 if kind else 406), response.data
    if kind == CSV:
        assert response.data.decode() == "0.5|3|001\n1.5|4|é\n"
    if kind:
        assert response.headers["content-type"] == kind


@pytest.mark.parametrize(
    "kind", ["text/html", "application/json; charset=latin-1", "application/json; version=2", "text/csv; sep=x", "x"]
)
def test_what_is_not_read_is_named(kind: str, server: Server) -> None:
    response = invoke(server, "{}", kind)
    assert response.status == 415
    assert error_of(response)


@pytest.mark.parametrize(("name", "fold"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_folded_bodies_are_unfolded_within_the_limit(name: str, fold: Any, server: Server) -> None:
    body = fold(json.dumps(ask()).encode())
    response = server.post("/v2/models/shop/infer", body, content_encoding=name)
    assert response.json()["outputs"][0]["data"] == SAID
    for broken in (body[:-1], body + b"x", b"{}"):
        assert server.post("/v2/models/shop/infer", broken, content_encoding=name).status == 400
    bomb = server.post("/v2/models/shop/infer", fold(b" " * (LIMIT + 1)), content_encoding=name)
    assert (bomb.status, str(LIMIT) in error_of(bomb)) == (413, True)


@pytest.mark.parametrize(
    "body", [{"instances": [[float("nan"), 3, "a"]]}, {"inputs": {"price": [float("nan")], "hour": [3], "zip": ["a"]}}]
)
def test_a_bare_nan_is_a_missing_number_and_infinity_is_refused(body: Any, server: Server) -> None:
    text = json.dumps(body)
    assert "NaN" in text
    assert server.post("/invocations", text.encode()).json()["predictions"] == ["nan|3|a"]
    for infinite in ("Infinity", "-Infinity"):
        response = server.post("/invocations", text.replace("NaN", infinite).encode())
        assert (response.status, "Infinity" in error_of(response)) == (400, True)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_what_is_nested_too_deeply_is_refused(opening: str, server: Server) -> None:
    for depth in (20, 500, 5_000, 100_000):
        deep = opening * depth + "1" + ("]" if opening == "[" else "}") * depth
        for path, page in (
            ("/invocations", f'{{"inputs": {deep}}}'),
            ("/invocations", f'{{"instances": [{deep}]}}'),
            ("/invocations", f'{{"dataframe_split": {{"columns": ["price"], "data": [{deep}]}}}}'),
            (
                "/v2/models/shop/infer",
                f'{{"inputs": [{{"name": "price", "shape": [1], "datatype": "FP64", "data": [1, {deep}]}}]}}',
            ),
        ):
            response = server.post(path, page.encode())
            assert response.status == 400, (depth, path)


@pytest.mark.parametrize(
    ("numbers", "match"),
    [
        ([9007199254740993, 1], None),
        ([9007199254740993, None], "'hour': row 0 .*exact"),
        ([9007199254740993, 1.0], "'hour': row 0 .*exact"),
        ([9007199254740992.0, 1], "'hour': row 0 .*exact"),
        ([9223372036854775808, 1], "'hour' holds a number beyond 64 bits"),
    ],
)
def test_large_integers_arrive_whole_or_not_at_all(numbers: list[Any], match: str | None, server: Server) -> None:
    response = server.post("/invocations", {"inputs": {"price": [1, 2], "hour": numbers, "zip": ["a", "b"]}})
    if match is None:
        assert response.json()["predictions"][0] == f"1.0|{numbers[0]}|a"
    else:
        assert (response.status, bool(re.search(match, error_of(response)))) == (400, True), error_of(response)


def test_a_request_that_gives_itself_no_time_is_given_up(server: Server) -> None:
    response = server.post("/v2/models/shop/infer", ask(parameters={"timeout": 1}))
    assert (response.status, "time" in error_of(response)) == (504, True)


def test_a_frame_of_pandas_is_read_as_it_writes_itself(server: Server) -> None:
    frame = pd.DataFrame({"price": [0.5, 1.5], "hour": [3, 4], "zip": ["001", "é"]})
    for orient in ("split", "records"):
        page = f'{{"dataframe_{orient}": {frame.to_json(orient=orient)}}}'
        assert server.post("/invocations", page.encode()).json()["predictions"] == SAID
    assert invoke(server, frame.to_csv(index=False)).json()["predictions"] == SAID
