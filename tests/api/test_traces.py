"""Traces of inference, as a receiver of OTLP over HTTP gets them: real spans on a real socket, from the real application."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
import urllib3
import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from tests.ports import free_port

from flyball.kernel.clock import SystemClock
from flyball.kernel.errors import InvalidInput
from flyball.kernel.settings import Settings
from flyball.server.inference.app import InferenceApp, build_app
from flyball.server.inference.grpc_messages import MESSAGES, SERVICE
from flyball.server.inference.listening import load_grpc
from flyball.server.inference.metrics import served_figures
from flyball.server.inference.tracing import TracedApp, traced
from flyball.server.reporting import reported
from flyball.serving.capture import PredictionBatch
from flyball.serving.entities import ColumnKind, Columns, ColumnSpec, Prediction, Signature
from flyball.serving.plane import DataPlane, LoadedVersion, Routing
from flyball.serving.ports import Choice, Pick
from flyball.serving.served_model import ServedModel

WAIT_S = 60
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
BODY = {"inputs": [{"name": "x", "shape": [2], "datatype": "FP64", "data": [1.0, 2.0]}]}


class Doubling:
    """A model that says what it is given, twice; below zero it fails."""

    def predict(self, columns: Columns) -> Prediction:
        if columns["x"].min() < 0:
            raise RuntimeError("below zero")
        return Prediction(labels=columns["x"] * 2, scores=None)


class Kept:
    """A capture that keeps nothing."""

    def offer(self, *_batches: PredictionBatch) -> bool:
        return True


class Collector:
    """What a receiver got."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.services: set[str] = set()
        self.spans: list[Span] = []
        self.paths: set[str] = set()

    def take(self, path: str, body: bytes) -> None:
        message = ExportTraceServiceRequest.FromString(body)
        for group in message.resource_spans:
            self.services |= {a.value.string_value for a in group.resource.attributes if a.key == "service.name"}
            self.spans += [span for scope in group.scope_spans for span in scope.spans]
        self.paths.add(path)

    def named(self) -> dict[str, Span]:
        return {span.name: span for span in self.spans}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.path, self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def doubling(settings: Settings) -> Iterator[InferenceApp]:
    """Yield the application over the doubling model; what waits to be sent is sent when this ends."""
    signature = Signature(inputs=(ColumnSpec(name="x", kind=ColumnKind.DOUBLE),))
    loaded = LoadedVersion(version=1, digest="1" * 64, model=ServedModel(Doubling(), signature))
    plane = DataPlane("double", "double", capture=Kept(), clock=SystemClock())
    pick = Choice(answer=Pick(version=1, role="champion"))
    plane.switch(Routing(generation=1, champion=1, router=lambda _key: pick, versions={1: loaded}))
    built = build_app(plane, authorise=lambda _token, _permission: "user:ann", max_request_bytes=1_000_000)
    figures = partial(served_figures, built.answering, built.counts)
    with reported(figures, settings, instance="double"), traced(built, settings) as app:
        yield app
    plane.close()


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Serve the doubling model as a model server does."""
    with doubling(settings) as app:
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run)
        thread.start()
        until = time.monotonic() + WAIT_S
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < until
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def called(settings: Settings) -> Iterator[tuple[grpc.Channel, InferenceApp]]:
    """Serve the doubling model over gRPC, as a model server starts it."""
    port = free_port()
    started: Future[Callable[[], object]] = Future()

    async def serve(app: InferenceApp) -> None:
        stop = await load_grpc(f"127.0.0.1:{port}")(app)
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        started.set_result(lambda: loop.call_soon_threadsafe(ended.set))
        await ended.wait()
        await stop()

    with doubling(settings) as app:
        thread = threading.Thread(target=lambda: asyncio.run(serve(app)))
        thread.start()
        end = started.result(WAIT_S)
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield channel, app
        finally:
            end()
            thread.join()


def ask(url: str, body: object = BODY, **headers: str) -> int:
    answer = urllib3.request(
        "POST",
        f"{url}/v2/models/double/infer",
        body=json.dumps(body),
        headers={"content-type": "application/json", "authorization": "Bearer key", **headers},
        retries=False,
        timeout=WAIT_S,
    )
    return answer.status


def test_a_request_is_a_trace_of_its_wait_its_batch_and_its_prediction() -> None:
    with collecting() as collector:
        with serving(Settings(otlp_endpoint=collector.url, otlp_metrics_s=0, trace_percent=100)) as url:
            assert ask(url) == 200
        spans = collector.named()
    assert collector.paths == {"/v1/traces"}
    assert collector.services == {"flyball"}
    assert sorted(spans) == ["POST /v2/models/{name}/infer", "batch", "predict", "queue"]
    request, queue, batch, predict = (
        spans[name] for name in ("POST /v2/models/{name}/infer", "queue", "batch", "predict")
    )
    assert request.kind == Span.SPAN_KIND_SERVER
    assert {span.trace_id for span in spans.values()} == {request.trace_id}
    assert request.parent_span_id == b""
    assert queue.parent_span_id == batch.parent_span_id == request.span_id
    assert predict.parent_span_id == batch.span_id
    assert request.start_time_unix_nano <= queue.start_time_unix_nano <= queue.end_time_unix_nano
    assert queue.end_time_unix_nano == batch.start_time_unix_nano == predict.start_time_unix_nano
    assert predict.end_time_unix_nano <= batch.end_time_unix_nano <= request.end_time_unix_nano
    assert {a.key: a.value.int_value for a in batch.attributes} == {"flyball.batch.requests": 1}
    said = {a.key: a.value.string_value or a.value.int_value for a in request.attributes}
    assert said == {
        "http.request.method": "POST",
        "http.route": "/v2/models/{name}/infer",
        "http.response.status_code": 200,
    }


@pytest.mark.parametrize(("flags", "spans"), [("01", 4), ("00", 0)])
def test_a_request_that_brings_a_trace_continues_it_as_its_caller_decided(flags: str, spans: int) -> None:
    percent = 0 if flags == "01" else 100
    with collecting() as collector:
        with serving(Settings(otlp_endpoint=collector.url, otlp_metrics_s=0, trace_percent=percent)) as url:
            assert ask(url, traceparent=f"00-{TRACE}-{PARENT}-{flags}") == 200
        assert len(collector.spans) == spans
    assert {span.trace_id.hex() for span in collector.spans} <= {TRACE}
    assert [span.parent_span_id.hex() for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER] == [PARENT] * (
        spans // 4
    )


def test_what_fails_says_so_and_shows_how_far_it_came() -> None:
    failing = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [-1.0]}]}
    wrong = {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}
    with collecting() as collector:
        with serving(Settings(otlp_endpoint=collector.url, otlp_metrics_s=0, trace_percent=100)) as url:
            assert (ask(url, failing), ask(url, wrong), ask(url, {})) == (500, 400, 400)
        requests = [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]
    codes = [
        (a.value.int_value, span.status.code)
        for span in requests
        for a in span.attributes
        if a.key == "http.response.status_code"
    ]
    assert sorted(codes) == [
        (400, Status.STATUS_CODE_UNSET),
        (400, Status.STATUS_CODE_UNSET),
        (500, Status.STATUS_CODE_ERROR),
    ]
    queued = {span.parent_span_id for span in collector.spans if span.name == "queue"}
    assert len(queued) == 2  # the body that is no request never came to the queue


def test_health_is_not_traced() -> None:
    with collecting() as collector:
        with serving(Settings(otlp_endpoint=collector.url, otlp_metrics_s=0, trace_percent=100)) as url:
            assert urllib3.request("GET", f"{url}/v2/health/ready", timeout=WAIT_S).status == 200
            assert urllib3.request("GET", f"{url}/nothing", timeout=WAIT_S).status == 404
        assert collector.spans == []


def test_without_a_receiver_the_application_stands_as_it_is() -> None:
    plane = DataPlane("double", "double", capture=Kept(), clock=SystemClock())
    built = build_app(plane, authorise=lambda _token, _permission: "user:ann", max_request_bytes=1_000)
    with traced(built, Settings()) as app:
        assert app is built
    with traced(built, Settings(otlp_endpoint="http://127.0.0.1:9", otlp_metrics_s=0)) as app:
        assert isinstance(app, TracedApp)


def test_a_receiver_that_is_away_costs_no_request() -> None:
    with serving(Settings(otlp_endpoint="http://127.0.0.1:9", otlp_metrics_s=0, trace_percent=100)) as url:
        assert {ask(url) for _ in range(20)} == {200}


def test_a_share_beyond_all_requests_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from flyball.kernel.settings import load_settings

    monkeypatch.setenv("FLYBALL_TRACE_PERCENT", "101")
    with pytest.raises(InvalidInput, match="use 0 to 100"):
        load_settings()


def call(channel: grpc.Channel, *values: float, verb: str = "ModelInfer", **metadata: str) -> grpc.StatusCode:
    tensor = MESSAGES["InferInputTensor"](name="x", datatype="FP64", shape=[len(values)])
    tensor.contents.fp64_contents.extend(values)
    fields = {"model_name": "double", "inputs": [tensor]} if verb == "ModelInfer" else {}
    ask = channel.unary_unary(
        f"/{SERVICE}/{verb}", MESSAGES[f"{verb}Request"].SerializeToString, MESSAGES[f"{verb}Response"].FromString
    )
    said = (("authorization", "Bearer key"), *metadata.items())
    try:
        ask(MESSAGES[f"{verb}Request"](**fields), timeout=WAIT_S, metadata=said)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_a_call_over_grpc_is_traced_and_counted_as_a_request_is() -> None:
    with collecting() as collector:
        with called(Settings(otlp_endpoint=collector.url, trace_percent=0)) as (channel, app):
            sampled = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            assert call(channel, 1.0, 2.0, **sampled) is grpc.StatusCode.OK
            assert call(channel, -1.0, **sampled) is grpc.StatusCode.INTERNAL
            assert call(channel, 1.0) is grpc.StatusCode.OK  # and not traced: none in a hundred is
            assert call(channel, verb="ServerReady", **sampled) is grpc.StatusCode.OK
        route = f"/{SERVICE}/ModelInfer"
        assert app.counts.statuses == {(route, 200): 2, (route, 500): 1, (f"/{SERVICE}/ServerReady", 200): 1}
        requests = [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]
    assert {span.name for span in requests} == {f"{SERVICE}/ModelInfer"}
    assert {(span.trace_id.hex(), span.parent_span_id.hex()) for span in collector.spans if span in requests} == {
        (TRACE, PARENT)
    }
    said = [({a.key: a.value.string_value or a.value.int_value for a in span.attributes}, span) for span in requests]
    common = {"rpc.system": "grpc", "rpc.service": SERVICE, "rpc.method": "ModelInfer"}
    assert sorted((attributes["rpc.grpc.status_code"], span.status.code) for attributes, span in said) == [
        (grpc.StatusCode.OK.value[0], Status.STATUS_CODE_UNSET),
        (grpc.StatusCode.INTERNAL.value[0], Status.STATUS_CODE_ERROR),
    ]
    assert all(common.items() <= attributes.items() for attributes, _ in said)
    parents = {
        span.span_id: {one.name for one in collector.spans if one.parent_span_id == span.span_id} for span in requests
    }
    assert set(map(frozenset, parents.values())) == {frozenset({"queue", "batch"})}
    assert sum(span.name == "predict" for span in collector.spans) == 2
