"""The Open Inference Protocol over gRPC: a few lines a verb over the same models, in the event loop of the HTTP server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

import grpc

from flyball.governance.permissions import Permission
from flyball.kernel.errors import ErrorCode, FlyballError, InvalidInput, NotFound
from flyball.kernel.logs import get_logger
from flyball.server.errors import TABLE
from flyball.server.inference.answering import Answering, asker_of, shorter
from flyball.server.inference.authorisation import Anyone, Authorisation
from flyball.server.inference.failures import INTERNAL_MESSAGE
from flyball.server.inference.grpc_codec import ProtoMessage, read_message
from flyball.server.inference.grpc_messages import MESSAGES, SERVICE
from flyball.server.inference.http import OK
from flyball.server.inference.metrics import RequestCounts
from flyball.server.inference.open_inference import describe, index_of, is_ready, server_metadata
from flyball.server.inference.tracing import CLIENT_GONE, Tracer
from flyball.server.routing import PUBLIC, Public
from flyball.serving.timing import TIMING, Timing

Context: TypeAlias = Any
Handler: TypeAlias = Callable[[ProtoMessage, str, Context], Awaitable[ProtoMessage]]

STATUSES: Final[Mapping[int, grpc.StatusCode]] = {
    200: grpc.StatusCode.OK,
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    499: grpc.StatusCode.CANCELLED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
    507: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""The table of errors gives statuses of HTTP; this is what each is called over gRPC."""
# A message holds the same rows as a body, and a little around them.
_AROUND_BYTES = 65_536

_log = get_logger("inference")


class GrpcInference:
    """The verbs of the service."""

    def __init__(
        self,
        answering: Answering,
        authorisation: Authorisation | Anyone,
        *,
        counts: RequestCounts | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._answering = answering
        self._authorisation = authorisation
        self._counts = counts or RequestCounts()
        self._tracer = tracer

    def server(self, address: str) -> tuple[grpc.aio.Server, int]:
        """Return a server that is not started yet, and the port it will listen on. Belongs to the running event loop."""
        limit = self._answering.max_request_bytes + _AROUND_BYTES
        options = [
            ("grpc.max_receive_message_length", limit),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ]
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, self._handlers()),))
        return server, server.add_insecure_port(address)

    def _handlers(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        infer, change = Permission.ENDPOINTS_INFER, Permission.ENDPOINTS_WRITE
        table: dict[str, tuple[Permission | Public, Handler]] = {
            "ServerLive": (PUBLIC, self.live),
            "ServerReady": (PUBLIC, self.ready),
            "ModelReady": (PUBLIC, self.model_ready),
            "ServerMetadata": (PUBLIC, self.server_metadata),
            "ModelMetadata": (infer, self.model_metadata),
            "ModelInfer": (infer, self.infer),
            "RepositoryIndex": (infer, self.index),
            "RepositoryModelLoad": (change, self.load),
            "RepositoryModelUnload": (change, self.unload),
        }
        return {
            name: grpc.unary_unary_rpc_method_handler(
                partial(self._answer, name, permission, handler),
                request_deserializer=MESSAGES[f"{name}Request"].FromString,
                response_serializer=MESSAGES[f"{name}Response"].SerializeToString,
            )
            for name, (permission, handler) in table.items()
        }

    async def _answer(
        self, verb: str, permission: Permission | Public, handler: Handler, message: ProtoMessage, context: Context
    ) -> ProtoMessage:
        """Answer a call; it is counted, and where that is wanted traced, as a request over HTTP is."""
        began_s, status, said, reply = time.perf_counter(), CLIENT_GONE, "", None
        with self._traced(verb, permission, context) as ended:
            try:
                caller = (
                    "" if permission == PUBLIC else await self._authorisation.caller(_presented(context), permission)
                )
                reply = await handler(message, caller, context)
                status = OK
            except Exception as error:  # noqa: BLE001 -- told to the client by the table of errors, and logged where nobody foresaw it
                status, said = _failure(error)
            finally:  # also when the client went away, which ends this task
                self._counts.count(f"/{SERVICE}/{verb}", status, time.perf_counter() - began_s)
                ended(status)
        return reply if status == OK else await context.abort(STATUSES[status], said)

    @contextlib.contextmanager
    def _traced(self, verb: str, permission: Permission | Public, context: Context) -> Iterator[Callable[[int], None]]:
        """Yield what is told the status in which a call ends."""
        tracer = None if permission == PUBLIC else self._tracer
        span = None if tracer is None else tracer.begin_call(SERVICE, verb, dict(context.invocation_metadata() or ()))
        if tracer is None or span is None:
            yield _untraced
            return
        timing = Timing()
        token = TIMING.set(timing)
        try:
            yield lambda status: tracer.end_call(span, timing, STATUSES[status].value[0], status=status)
        finally:
            TIMING.reset(token)

    async def infer(self, message: ProtoMessage, caller: str, context: Context) -> ProtoMessage:
        """Predict tensors."""
        answering, name = self._answering, message.model_name
        plane = await answering.plane(name)
        asker = asker_of(plane, caller=caller, model=name, version=message.model_version)
        taken = answering.bodies.take(message.ByteSize())
        try:
            asked = read_message(message, asker)
            timeout_s = shorter(context.time_remaining(), asked.timeout_s)
            answer = await answering.predict(plane, asked.request, timeout_s=timeout_s, receive=None)
            return await answering.written(lambda: asked.write(answer), answer)
        finally:
            answering.bodies.give_back(taken)

    async def live(self, _message: ProtoMessage, _caller: str, _context: Context) -> ProtoMessage:
        """Tell whether the process answers."""
        return MESSAGES["ServerLiveResponse"](live=True)

    async def ready(self, _message: ProtoMessage, _caller: str, _context: Context) -> ProtoMessage:
        """Tell whether requests can be sent."""
        return MESSAGES["ServerReadyResponse"](ready=self._answering.host.ready)

    async def model_ready(self, message: ProtoMessage, _caller: str, _context: Context) -> ProtoMessage:
        """Tell whether a model, or a version of it, can be asked."""
        ready = is_ready(self._answering.host, message.name, version=message.version)
        return MESSAGES["ModelReadyResponse"](ready=ready)

    async def server_metadata(self, _message: ProtoMessage, _caller: str, _context: Context) -> ProtoMessage:
        """Say what this server is."""
        said = server_metadata()
        return MESSAGES["ServerMetadataResponse"](name=said.name, version=said.version, extensions=said.extensions)

    async def model_metadata(self, message: ProtoMessage, _caller: str, _context: Context) -> ProtoMessage:
        """Describe a model."""
        plane = await self._answering.plane(message.name)
        said = describe(plane, message.name, version=message.version)
        tensor, parameter = MESSAGES["TensorMetadata"], MESSAGES["InferParameter"]
        return MESSAGES["ModelMetadataResponse"](
            name=said.name,
            versions=said.versions,
            platform=said.platform,
            inputs=[tensor(name=each.name, datatype=each.datatype, shape=each.shape) for each in said.inputs],
            outputs=[tensor(name=each.name, datatype=each.datatype, shape=each.shape) for each in said.outputs],
            parameters={each: parameter(string_param=text) for each, text in said.properties.items()},
        )

    async def index(self, message: ProtoMessage, _caller: str, _context: Context) -> ProtoMessage:
        """List the versions that are served."""
        if message.repository_name:
            raise NotFound(f"there is no repository '{message.repository_name}' here", field="repository_name")
        one = MESSAGES["ModelIndex"]
        return MESSAGES["RepositoryIndexResponse"](
            models=[
                one(name=each.name, version=each.version, state=each.state, reason=each.reason)
                for each in index_of(self._answering, only_ready=message.ready)
            ]
        )

    async def load(self, message: ProtoMessage, _caller: str, _context: Context) -> ProtoMessage:
        """Load a model."""
        name = _model_of(message)
        await self._answering.elsewhere(partial(self._answering.host.load, name))
        return MESSAGES["RepositoryModelLoadResponse"](model_name=name, isLoaded=True)

    async def unload(self, message: ProtoMessage, _caller: str, _context: Context) -> ProtoMessage:
        """Unload a model."""
        name = _model_of(message)
        await self._answering.elsewhere(partial(self._answering.host.unload, name))
        return MESSAGES["RepositoryModelUnloadResponse"](model_name=name, isUnloaded=True)


def _model_of(message: ProtoMessage) -> str:
    """Return the model that is meant: field 2 of a message from Triton's clients, field 1 of one from KServe's."""
    name = message.model_name or message.repository_name
    if not name:
        raise InvalidInput("the request names no model", field="model_name")
    return str(name)


def _presented(context: Context) -> bytes:
    for name, value in context.invocation_metadata() or ():
        if name == "authorization":
            return value if isinstance(value, bytes) else str(value).encode()
    return b""


def _failure(error: Exception) -> tuple[int, str]:
    """Return the status of HTTP that an error has in the table of errors, and what the client is told."""
    if not isinstance(error, FlyballError) or error.code is ErrorCode.INTERNAL:
        _log.error("request_failed", exc_info=error)
        return TABLE[ErrorCode.INTERNAL][0], INTERNAL_MESSAGE
    return TABLE[error.code][0], error.message


def _untraced(_status: int) -> None:
    """Note nothing."""
