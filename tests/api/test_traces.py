"""Traces of inference, as a receiver of OTLP over HTTP gets them: real spans on a real socket, from the real application."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3
import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from flyball.kernel.clock import SystemClock
from flyball.kernel.errors import InvalidInput
from flyball.kernel.settings import Settings
from flyball.server.inference.app import build_app
from flyball.server.inference.tracing import TracedApp, traced
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
def serving(settings: Settings) -> Iterator[str]:
    """Serve the doubling model as a model server does; what waits to be sent is sent when this ends."""
    signature = Signature(inputs=(ColumnSpec(name="x", kind=ColumnKind.DOUBLE),))
    loaded = LoadedVersion(version=1, digest="1" * 64, model=ServedModel(Doubling(), signature))
    plane = DataPlane("double", "double", capture=Kept(), clock=SystemClock())
    pick = Choice(answer=Pick(version=1, role="champion"))
    plane.switch(Routing(generation=1, champion=1, router=lambda _key: pick, versions={1: loaded}))
    with traced(
        build_app(plane, authorise=lambda _token, _permission: "user:ann", max_request_bytes=1_000_000), settings
    ) as app:
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
            plane.close()


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
