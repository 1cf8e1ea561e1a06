"""OpenTelemetry traces of inference, sent by OTLP over HTTP: a request, its wait in the queue, its batch, the model's prediction.

A request that comes with a W3C `traceparent` continues that trace, and is traced if its caller's part is; of the others a share
is. Spans are made when a request has been answered, from moments noted on the way, and sent by a thread of their own: a
receiver that is slow or away delays nobody. Where no receiver is set, nothing of this is imported.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import flyball
from flyball.kernel.errors import MissingExtra
from flyball.kernel.settings import Settings
from flyball.server.inference.app import InferenceApp
from flyball.server.inference.http import Message, Receive, Refused, Scope, Send
from flyball.server.inference.routes import Route
from flyball.server.routing import PUBLIC
from flyball.serving.timing import TIMING, Timing

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

    from flyball.server.http_protocol import Reply

TRACES_PATH = "/v1/traces"
SERVICE = "flyball"
CARRIED = ("traceparent", "tracestate")
PERCENT = 100
# What a request is said to have been answered with whose client went away before its answer.
CLIENT_GONE = 499
SERVER_ERROR = 500
# Spans that wait to be sent; beyond it they are dropped, and the library says so.
WAITING_SPANS = 8_192


class TracedApp(InferenceApp):
    """The model server, traced: stands before the application where a receiver is set, and nowhere else.

    What answers without a token (health, version) is not traced; probes would be most of it.
    """

    def __init__(self, app: InferenceApp, tracer: Tracer) -> None:
        self.__dict__.update(app.__dict__)  # everything that the application has, and a tracer
        self.tracer = tracer

    def quick(self, scope: Scope, body: bytes, reply: Reply) -> bool:  # noqa: ARG002 -- the application's names
        """Take nothing at once: every request may be traced."""
        return False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI wants it."""
        route = self._route(scope)
        span = None if route is None else self.tracer.begin(route.method, route.path, dict(scope["headers"]))
        if span is None:
            await super().__call__(scope, receive, send)
            return
        timing, status = Timing(), CLIENT_GONE
        token = TIMING.set(timing)

        async def sending(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await super().__call__(scope, receive, sending)
        finally:
            TIMING.reset(token)
            self.tracer.end(span, timing, status)

    def _route(self, scope: Scope) -> Route | None:
        try:
            route = self.table.find(scope["method"], scope["path"]).route
        except Refused:
            return None
        return None if route.permission == PUBLIC else route


class Tracer:
    """Decides what is traced, and makes the spans. One a process; any thread may use it.

    Args:
        exporter: sends spans; `otlp_exporter` makes the usual one.
        share: how many of the requests without a trace of their own are traced, 0..1.
        service: the name under which the spans appear.
    """

    def __init__(self, exporter: SpanExporter, *, share: float, service: str = SERVICE) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.name": service, "service.version": flyball.__version__})
        self._provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(share), resource=resource, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=WAITING_SPANS))
        self._tracer = self._provider.get_tracer("flyball.serving", flyball.__version__)
        self._propagator = TraceContextTextMapPropagator()
        # Spans are dated by the clock of the world, moments are taken from the one that never jumps.
        self._offset_ns = time.time_ns() - time.perf_counter_ns()

    def begin(self, method: str, route: str, headers: Mapping[bytes, bytes]) -> Span | None:
        """Begin the span of a request over HTTP; None when this one is not traced."""
        carried = {name: headers[name.encode()].decode("latin-1") for name in CARRIED if name.encode() in headers}
        return self._begin(f"{method} {route}", carried, {"http.request.method": method, "http.route": route})

    def begin_call(self, service: str, verb: str, metadata: Mapping[str, str | bytes]) -> Span | None:
        """Begin the span of a call over gRPC; None when this one is not traced."""
        carried = {name: said for name, said in metadata.items() if name in CARRIED and isinstance(said, str)}
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": verb}
        return self._begin(f"{service}/{verb}", carried, attributes)

    def end(self, span: Span, timing: Timing, status: int) -> None:
        """End the span of a request, after those of what it went through."""
        self._end(span, timing, "http.response.status_code", status, is_fault=status >= SERVER_ERROR)

    def end_call(self, span: Span, timing: Timing, code: int, *, status: int) -> None:
        """End the span of a call; `status` is what HTTP would have called its code."""
        self._end(span, timing, "rpc.grpc.status_code", code, is_fault=status >= SERVER_ERROR)

    def close(self) -> None:
        """Send what waits, and end."""
        self._provider.shutdown()

    def _begin(self, name: str, carried: Mapping[str, str], attributes: Mapping[str, str]) -> Span | None:
        """Begin a span in the trace that the request comes with, and never in one that this thread happens to be in."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind

        span = self._tracer.start_span(
            name,
            context=self._propagator.extract(carried, context=Context()),
            kind=SpanKind.SERVER,
            attributes=attributes,
        )
        return span if span.is_recording() else None

    def _end(self, span: Span, timing: Timing, outcome: str, code: int, *, is_fault: bool) -> None:
        from opentelemetry.trace import StatusCode, set_span_in_context

        inside = set_span_in_context(span)
        self._part("queue", inside, timing.queued_ns, timing.taken_ns)
        batch = self._part("batch", inside, timing.taken_ns, timing.answered_ns, requests=timing.batch_requests)
        if batch is not None:
            self._part("predict", set_span_in_context(batch), timing.taken_ns, timing.predicted_ns)
        span.set_attribute(outcome, code)
        if is_fault:
            span.set_status(StatusCode.ERROR)
        span.end()

    def _part(self, name: str, inside: Context, began_ns: int, ended_ns: int, *, requests: int = 0) -> Span | None:
        """Make a span of two moments; none where the request did not come so far."""
        if not began_ns or not ended_ns:
            return None
        attributes = {"flyball.batch.requests": requests} if requests else None
        span = self._tracer.start_span(
            name, context=inside, start_time=began_ns + self._offset_ns, attributes=attributes
        )
        span.end(ended_ns + self._offset_ns)
        return span


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Return what sends spans to a receiver of OTLP over HTTP (`http://127.0.0.1:4318`).

    Raises:
        MissingExtra: the library is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as error:
        raise MissingExtra.named("opentelemetry-exporter-otlp-proto-http", "otel") from error
    return OTLPSpanExporter(endpoint=endpoint.rstrip("/") + TRACES_PATH)


@contextlib.contextmanager
def traced(app: InferenceApp, settings: Settings) -> Iterator[InferenceApp]:
    """Yield the application as the settings want it: traced, with what waits sent at the end, or as it is.

    Raises:
        MissingExtra: traces are asked for, and the library is not installed.
    """
    if not settings.otlp_endpoint:
        yield app
        return
    tracer = Tracer(otlp_exporter(settings.otlp_endpoint), share=settings.trace_percent / PERCENT)
    try:
        yield TracedApp(app, tracer)
    finally:
        tracer.close()
