"""The model server over gRPC: every verb, every kind of bad input, its status codes, deadlines and limits."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import grpc
import numpy as np
import pytest
from tests.api.test_inference import LIMIT, ListCapture, authorise
from tests.api.test_inference_protocols import COLUMNS, SAID, Echo, bytes_of

import flyball
from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import ErrorCode
from flyball.server.errors import TABLE
from flyball.server.inference.app import build_app
from flyball.server.inference.grpc_messages import MESSAGES, SERVICE
from flyball.server.inference.grpc_server import STATUSES, GrpcInference
from flyball.serving.entities import Columns, Prediction
from flyball.serving.plane import DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick
from flyball.serving.served_model import ServedModel

SLOW_PRICE, BROKEN_PRICE = 99.0, 13.0
WAIT_S = 60.0
Code = grpc.StatusCode


class Moody(Echo):
    """Echo, slow for one price until it is let go, and broken for another."""

    def __init__(self) -> None:
        self.slow, self.go = threading.Event(), threading.Event()
        self.rows = 0

    def predict(self, columns: Columns) -> Prediction:
        self.rows += len(columns["price"])
        if SLOW_PRICE in columns["price"]:
            self.slow.set()
            assert self.go.wait(WAIT_S)
        if BROKEN_PRICE in columns["price"]:
            raise RuntimeError("the password is 12345")
        return super().predict(columns)


class Client:
    """Calls a verb by its name, as whoever holds a token."""

    def __init__(self, channel: grpc.Channel, model: Moody, capture: ListCapture) -> None:
        self.channel, self.model, self.capture = channel, model, capture

    def future(self, verb: str, *, token: str | None = "owner", timeout: float = WAIT_S, **fields: Any) -> Any:
        call = self.channel.unary_unary(
            f"/{SERVICE}/{verb}", MESSAGES[f"{verb}Request"].SerializeToString, MESSAGES[f"{verb}Response"].FromString
        )
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        return call.future(MESSAGES[f"{verb}Request"](**fields), timeout=timeout, metadata=metadata)

    def ask(self, verb: str, **options: Any) -> Any:
        return self.future(verb, **options).result()

    def refusal(self, verb: str, **options: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as refused:
            self.ask(verb, **options)
        return refused.value.code(), str(refused.value.details())


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    capture, model = ListCapture(), Moody()
    plane = DataPlane("shop", "prices", capture=capture, clock=ManualClock())
    version = LoadedVersion(version=1, digest="1" * 64, model=ServedModel(model, COLUMNS))
    always = Choice(answer=Pick(version=1, role="champion"))
    plane.switch(Routing(generation=1, champion=1, router=lambda _key: always, versions={1: version}))
    port: Future[int] = Future()
    stop: Future[Callable[[], Any]] = Future()

    async def serve() -> None:
        app = build_app(plane, authorise=authorise, max_request_bytes=LIMIT)
        server, number = GrpcInference(app.answering, app.authorisation).server("127.0.0.1:0")
        await server.start()
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        stop.set_result(lambda: loop.call_soon_threadsafe(ended.set))
        port.set_result(number)
        await ended.wait()
        await server.stop(WAIT_S)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    with grpc.insecure_channel(f"127.0.0.1:{port.result(WAIT_S)}") as channel:
        yield Client(channel, model, capture)
    stop.result()()
    thread.join()
    plane.close()


def tensor(name: str, datatype: str, shape: list[int], **contents: Any) -> Any:
    one = MESSAGES["InferInputTensor"](name=name, datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(one.contents, field).extend(values)
    return one


def typed(price: float = 0.5) -> list[Any]:
    return [
        tensor("price", "FP64", [2], fp64_contents=[price, 1.5]),
        tensor("hour", "INT64", [2, 1], int64_contents=[3, 4]),
        tensor("zip", "BYTES", [2], bytes_contents=[b"001", "é".encode()]),
    ]


def parameters(**said: Any) -> dict[str, Any]:
    fields = {str: "string_param", bool: "bool_param", int: "int64_param", float: "double_param"}
    return {name: MESSAGES["InferParameter"](**{fields[type(value)]: value}) for name, value in said.items()}


def test_typed_tensors_are_answered_typed(client: Client) -> None:
    answer = client.ask("ModelInfer", model_name="shop", id="r-1", inputs=typed())
    assert (answer.model_name, answer.model_version, answer.id) == ("shop", "1", "r-1")
    assert [(output.name, output.datatype, list(output.shape)) for output in answer.outputs] == [
        ("prediction", "BYTES", [2]),
        ("score", "FP64", [2]),
    ]
    assert [text.decode() for text in answer.outputs[0].contents.bytes_contents] == SAID
    assert list(answer.outputs[1].contents.fp64_contents) == [0.5, 1.5]
    assert list(answer.raw_output_contents) == []


def test_raw_tensors_are_answered_raw_and_only_those_that_were_asked_for(client: Client) -> None:
    inputs = [tensor("price", "FP64", [2]), tensor("hour", "INT64", [2]), tensor("zip", "BYTES", [2])]
    raw = bytes_of([0.5, 1.5], [3, 4], [b"001", "é".encode()])
    outputs = [MESSAGES["InferRequestedOutputTensor"](name="score")]
    answer = client.ask("ModelInfer", model_name="prices", inputs=inputs, raw_input_contents=raw, outputs=outputs)
    assert [output.name for output in answer.outputs] == ["score"]
    assert np.frombuffer(answer.raw_output_contents[0]).tolist() == [0.5, 1.5]


def test_what_the_caller_says_about_its_rows_is_captured(client: Client) -> None:
    said = parameters(prediction_ids=json.dumps(["a", "b"]), event_time_ms=7, sticky_key="k")
    answer = client.ask("ModelInfer", model_name="shop", inputs=typed(), parameters=said)
    assert json.loads(answer.parameters["prediction_ids"].string_param) == ["a", "b"]
    assert answer.parameters["role"].string_param == "champion"
    batch = client.capture.batches[-1]
    assert (batch.prediction_ids, batch.times_ms, batch.caller) == (("a", "b"), 7, "user:owner")


@pytest.mark.parametrize(
    ("change", "code", "match"),
    [
        ({"inputs": []}, Code.INVALID_ARGUMENT, "'inputs' is empty"),
        ({"inputs": typed()[:2]}, Code.INVALID_ARGUMENT, "missing column 'zip'"),
        ({"inputs": [*typed(), tensor("x", "FP64", [2], fp64_contents=[1, 2])]}, Code.INVALID_ARGUMENT, "'x'"),
        ({"inputs": [*typed(), typed()[0]]}, Code.INVALID_ARGUMENT, "'price' is sent twice"),
        ({"inputs": [*typed()[:2], tensor("zip", "BF16", [2])]}, Code.UNIMPLEMENTED, "'zip' is BF16"),
        (
            {"inputs": [tensor("price", "FP64", [2], fp32_contents=[1, 2]), *typed()[1:]]},
            Code.INVALID_ARGUMENT,
            "'price' is FP64 and has its data in fp32_contents; they belong into fp64_contents",
        ),
        (
            {"inputs": [tensor("price", "FP64", [3], fp64_contents=[1, 2]), *typed()[1:]]},
            Code.INVALID_ARGUMENT,
            "'price' has 2 values, its shape .3. wants 3",
        ),
        (
            {"inputs": [tensor("price", "FP16", [2]), *typed()[1:]]},
            Code.INVALID_ARGUMENT,
            "'price' has 0 values",
        ),
        (
            {"inputs": [tensor("price", "INT8", [2], int_contents=[1, 300]), *typed()[1:]]},
            Code.INVALID_ARGUMENT,
            "'price' holds a number beyond INT8",
        ),
        ({"raw_input_contents": [b""]}, Code.INVALID_ARGUMENT, "1 raw contents for 3 tensors"),
        ({"raw_input_contents": [b"", b"", b""]}, Code.INVALID_ARGUMENT, "'price' has its data twice"),
        ({"parameters": parameters(priority=1)}, Code.INVALID_ARGUMENT, "unknown key 'priority'"),
        ({"parameters": parameters(timeout="soon")}, Code.INVALID_ARGUMENT, "timeout"),
        ({"parameters": parameters(prediction_ids="[1")}, Code.INVALID_ARGUMENT, "prediction_ids is no JSON"),
        ({"parameters": parameters(prediction_ids='["a"]')}, Code.INVALID_ARGUMENT, "1 prediction ids for 2 rows"),
        (
            {"outputs": [MESSAGES["InferRequestedOutputTensor"](name="scores")]},
            Code.INVALID_ARGUMENT,
            "there is no output 'scores'",
        ),
        ({"model_name": "other"}, Code.NOT_FOUND, "no model 'other' here"),
        ({"model_version": "7"}, Code.NOT_FOUND, "version 7 is not served"),
        ({"model_version": "one"}, Code.INVALID_ARGUMENT, "version"),
        ({"token": None}, Code.UNAUTHENTICATED, "Bearer"),
        ({"token": "wrong"}, Code.UNAUTHENTICATED, "wrong, expired or revoked"),
        ({"token": "reader"}, Code.PERMISSION_DENIED, "lacks"),
    ],
)
def test_what_is_wrong_has_a_status_and_a_name(
    change: dict[str, Any], code: grpc.StatusCode, match: str, client: Client
) -> None:
    found, said = client.refusal("ModelInfer", **{"model_name": "shop", "inputs": typed()} | change)
    assert (found, bool(re.search(match, said))) == (code, True), said


def test_a_fault_of_the_model_tells_nothing_of_itself(client: Client) -> None:
    code, said = client.refusal("ModelInfer", model_name="shop", inputs=typed(price=BROKEN_PRICE))
    assert (code, "12345" in said) == (Code.INTERNAL, False)


def test_a_request_whose_deadline_is_over_is_not_run(client: Client) -> None:
    client.model.go.clear()
    client.model.slow.clear()
    slow = client.future("ModelInfer", model_name="shop", inputs=typed(price=SLOW_PRICE))
    assert client.model.slow.wait(WAIT_S)
    busy = client.model.rows
    code, _ = client.refusal("ModelInfer", model_name="shop", inputs=typed(), timeout=0.3)
    assert code is Code.DEADLINE_EXCEEDED
    said = parameters(timeout=200_000)  # microseconds, which the server counts
    code, text = client.refusal("ModelInfer", model_name="shop", inputs=typed(), parameters=said)
    assert (code, "time" in text) == (Code.DEADLINE_EXCEEDED, True)
    client.model.go.set()
    assert [text.decode() for text in slow.result().outputs[0].contents.bytes_contents][1] == SAID[1]
    client.ask("ModelInfer", model_name="shop", inputs=typed())
    assert client.model.rows == busy + 2  # of the three that came after the slow one, only the last


def test_a_message_beyond_the_limit_is_refused(client: Client) -> None:
    raw = [b"\0" * (LIMIT + 100_000), b"", b""]
    code, _ = client.refusal("ModelInfer", model_name="shop", inputs=typed(), raw_input_contents=raw)
    assert code is Code.RESOURCE_EXHAUSTED


def test_health_and_server_need_no_token(client: Client) -> None:
    assert client.ask("ServerLive", token=None).live
    assert client.ask("ServerReady", token=None).ready
    assert client.ask("ModelReady", token=None, name="shop").ready
    assert client.ask("ModelReady", token=None, name="prices", version="1").ready
    assert client.refusal("ModelReady", token=None, name="shop", version="2")[0] is Code.NOT_FOUND
    said = client.ask("ServerMetadata", token=None)
    assert (said.name, said.version) == ("flyball", flyball.__version__)
    assert list(said.extensions) == ["binary_tensor_data", "model_repository"]


def test_the_metadata_describes_the_tensors(client: Client) -> None:
    said = client.ask("ModelMetadata", name="shop", version="1")
    assert (said.name, list(said.versions), said.platform) == ("shop", ["1"], "flyball")
    assert [(one.name, one.datatype, list(one.shape)) for one in said.inputs] == [
        ("price", "FP64", [-1]),
        ("hour", "INT64", [-1]),
        ("zip", "BYTES", [-1]),
    ]
    assert [(one.name, one.datatype) for one in said.outputs] == [("prediction", "BYTES")]
    told = {name: one.string_param for name, one in said.parameters.items()}
    assert told == {"place": "in_process", "environment": "in the model server"}
    assert client.refusal("ModelMetadata", name="shop", version="2")[0] is Code.NOT_FOUND
    assert client.refusal("ModelMetadata", token=None, name="shop")[0] is Code.UNAUTHENTICATED


def test_the_repository_is_listed_and_not_changed(client: Client) -> None:
    models = client.ask("RepositoryIndex").models
    assert [(one.name, one.version, one.state) for one in models] == [("shop", "1", "READY"), ("prices", "1", "READY")]
    for verb in ("RepositoryModelLoad", "RepositoryModelUnload"):
        code, said = client.refusal(verb, model_name="shop")
        assert (code, "routing" in said) == (Code.FAILED_PRECONDITION, True)
        assert client.refusal(verb, repository_name="other")[0] is Code.NOT_FOUND
        assert client.refusal(verb)[0] is Code.INVALID_ARGUMENT
        assert client.refusal(verb, model_name="shop", token="reader")[0] is Code.PERMISSION_DENIED


def test_every_status_of_the_table_of_errors_has_a_name_over_grpc() -> None:
    assert {TABLE[code][0] for code in ErrorCode} <= STATUSES.keys()
