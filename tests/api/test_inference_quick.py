"""Predictions that are answered without a task get the very answers that the usual way gives, and none that it refuses."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import urllib3
import uvicorn

from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import Unauthenticated
from flyball.server.http_protocol import OneWriteProtocol
from flyball.server.inference.answering import READ_HERE_BYTES, Answering
from flyball.server.inference.app import InferenceApp
from flyball.serving.capture import PredictionBatch
from flyball.serving.entities import ColumnKind, Columns, ColumnSpec, Prediction, Signature
from flyball.serving.host import FixedHost
from flyball.serving.plane import DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick
from flyball.serving.served_model import ServedModel

WAIT_S = 60
INFER, INVOKE = "/v2/models/shop/infer", "/invocations"
KEY = "Bearer the-key"


class Doubling:
    """A model of two columns."""

    def predict(self, columns: Columns) -> Prediction:
        return Prediction(labels=columns["x"] * 2, scores=np.full(len(columns["x"]), 0.5))


class Kept:
    def __init__(self) -> None:
        self.batches: list[PredictionBatch] = []

    def offer(self, *batches: PredictionBatch) -> bool:
        self.batches += batches
        return True


class Silent(OneWriteProtocol):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.access_log = False  # pytest hangs its handlers onto every logger, and each answer would be logged


class Watched(InferenceApp):
    """The application, and what its quick way said to each request."""

    taken: list[bool]

    def quick(self, scope: Any, body: bytes, reply: Any) -> bool:
        self.taken.append(super().quick(scope, body, reply))
        return self.taken[-1]


def authorise(token: str, _permission: object) -> str:
    if token != KEY.removeprefix("Bearer "):
        raise Unauthenticated("wrong")
    return "user:owner"


def plane_of(capture: Kept) -> DataPlane:
    signature = Signature(inputs=tuple(ColumnSpec(name=name, kind=ColumnKind.DOUBLE) for name in "xy"))
    plane = DataPlane("shop", "shop", capture=capture, clock=ManualClock())

    def router(key: str) -> Choice:
        return Choice(answer=Pick(version=1, role="champion"))

    loaded = LoadedVersion(version=1, digest="1" * 64, model=ServedModel(Doubling(), signature))
    plane.switch(Routing(generation=1, champion=1, router=router, versions={1: loaded}))
    return plane


class Ways:
    """One plane behind two servers: one that takes requests at once, and one that does not."""

    def __init__(self, app: Watched, ports: tuple[int, int]) -> None:
        self.app = app
        self.ports = ports
        self.pool = urllib3.PoolManager(retries=False)
        self.capture = Kept()

    def ask(self, way: int, path: str, body: bytes, **headers: str) -> urllib3.BaseHTTPResponse:
        given = {"authorization": KEY, "content-type": "application/json"}
        given |= {name.replace("_", "-"): text for name, text in headers.items()}
        url = f"http://127.0.0.1:{self.ports[way]}{path}"
        return self.pool.request("POST", url, body=body, headers=given, timeout=WAIT_S)

    def both(self, path: str, body: bytes, **headers: str) -> tuple[Any, bool]:
        """Return what both ways say, and whether the quick one took the request."""
        answers = [self.ask(way, path, body, **headers) for way in (0, 1)]
        said = [(one.status, _plain(one.headers), one.data) for one in answers]
        assert said[0] == said[1]
        return said[0], self.app.taken[-1]


def _plain(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower() != "date"}


@contextmanager
def listening(app: InferenceApp, http: Any) -> Iterator[int]:
    served = uvicorn.Server(uvicorn.Config(app, http=http, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=served.run)
    thread.start()
    began = threading.Event()
    while not served.started:
        assert thread.is_alive()
        began.wait(0.01)
    yield served.servers[0].sockets[0].getsockname()[1]
    served.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def ways() -> Iterator[Ways]:
    capture = Kept()
    plane = plane_of(capture)
    app = Watched(Answering(FixedHost([plane]), max_request_bytes=1_000_000), authorise=authorise)
    usual = InferenceApp(Answering(FixedHost([plane]), max_request_bytes=1_000_000), authorise=authorise)
    app.taken = []
    with listening(app, Silent) as quick_port, listening(usual, "httptools") as usual_port:
        found = Ways(app, (quick_port, usual_port))
        found.capture = capture
        for path in (INFER, INVOKE):  # what was asked once is known
            found.both(path, b"{}")
        yield found


def tensors(rows: int = 1, **more: Any) -> bytes:
    data = [float(number) for number in range(2 * rows)]
    names = [f"row-{number}" for number in range(rows)]
    parameters = {"prediction_ids": names, **more.pop("parameters", {})}
    tensor = {"name": "input", "shape": [rows, 2], "datatype": "FP64", "data": data}
    return json.dumps({"inputs": [tensor], "id": "a", "parameters": parameters, **more}).encode()


def table(**params: Any) -> bytes:
    return json.dumps({"instances": [[1.0, 2.0]], "params": {"prediction_ids": ["a"], **params}}).encode()


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (INFER, tensors(), {}),
        (INFER, tensors(5), {}),
        (INFER, tensors(outputs=[{"name": "score"}]), {}),
        (INFER, tensors(2, parameters={"binary_data_output": True}), {}),
        (INFER, tensors(outputs=[{"name": "none"}]), {}),
        (INFER, tensors(), {"x_request_timeout_ms": "60000"}),
        (INFER, tensors(parameters={"event_time_ms": -1}), {}),
        (INFER, tensors(id="x" * 201), {}),
        (INVOKE, table(), {}),
        (INVOKE, table(), {"accept": "text/csv"}),
    ],
)
def test_what_is_plain_is_taken_at_once_and_answered_alike(
    path: str, body: bytes, headers: dict[str, str], ways: Ways
) -> None:
    _, taken = ways.both(path, body, **headers)
    assert taken


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (INFER, b"{", {}),
        (INFER, tensors(inputs=[]), {}),
        (INFER, tensors(), {"authorization": "Bearer wrong"}),
        (INFER, tensors(), {"content_type": "text/plain"}),
        (INFER, tensors(), {"content_encoding": "gzip"}),
        (INFER, tensors(), {"x_request_timeout_ms": "soon"}),
        (INFER, tensors(READ_HERE_BYTES // 8), {}),
        ("/v2/models/none/infer", tensors(), {}),
        (INVOKE, table(), {"accept": "text/html"}),
    ],
)
def test_what_is_refused_or_long_goes_the_usual_way(
    path: str, body: bytes, headers: dict[str, str], ways: Ways
) -> None:
    _, taken = ways.both(path, body, **headers)
    assert not taken


def test_rows_without_names_get_names_that_are_made_of_one_id(ways: Ways) -> None:
    body = json.dumps({"inputs": [{"name": "input", "shape": [3, 2], "datatype": "FP64", "data": [0.5] * 6}]}).encode()
    answer = ways.ask(0, INFER, body).json()
    batch = ways.capture.batches[-1]
    assert answer["parameters"]["prediction_ids"] == [f"{answer['id']}-{row}" for row in range(3)]
    assert list(batch.prediction_ids) == answer["parameters"]["prediction_ids"]
    assert (batch.request_id, batch.caller) == (answer["id"], "user:owner")


def test_the_name_of_a_request_that_comes_again_names_no_rows(ways: Ways) -> None:
    body = json.dumps(
        {"id": "same", "inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [0.5] * 2}]}
    ).encode()
    answers = [ways.ask(0, INFER, body).json() for _ in range(2)]
    assert [answer["id"] for answer in answers] == ["same", "same"]
    assert len({answer["parameters"]["prediction_ids"][0] for answer in answers} - {"same"}) == 2


def test_a_head_and_a_body_that_come_apart_are_taken_at_once(ways: Ways) -> None:
    body = tensors()
    head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\nauthorization: {KEY}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    asked = len(ways.app.taken)
    with socket.create_connection(("127.0.0.1", ways.ports[0])) as client:
        client.sendall(head)
        client.sendall(body[:10])
        assert ways.ask(0, INFER, body).status == 200  # the loop has been round since
        assert len(ways.app.taken) == asked + 1
        client.sendall(body[10:])
        assert client.recv(65_536).startswith(b"HTTP/1.1 200")
    assert ways.app.taken[asked:] == [True, True]


def test_a_client_that_leaves_in_the_middle_of_a_body_leaves_nothing_behind(ways: Ways) -> None:
    asked = len(ways.app.taken)
    with socket.create_connection(("127.0.0.1", ways.ports[0])) as client:
        client.sendall(f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{".encode())
    assert ways.ask(0, INFER, tensors()).status == 200
    assert ways.app.taken[asked:] == [True]
    assert ways.app.answering.waiting_count == 0
