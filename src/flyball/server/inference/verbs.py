"""The verbs of the model server, a few lines each over the data plane, and the table of their routes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import flyball
from flyball.governance.permissions import Permission
from flyball.server.inference import tables, tensors
from flyball.server.inference.http import (
    OK,
    TEXT,
    UNREAD_TYPE,
    UNREADY,
    Answer,
    Call,
    Refused,
    json_answer,
    whole_number,
)
from flyball.server.inference.routes import Handler, Route
from flyball.server.inference.waiting import WaitingRoom
from flyball.server.routing import PUBLIC, Public
from flyball.serving.host import ModelHost
from flyball.serving.plane import DataPlane
from flyball.serving.requests import InferAnswer, InferRequest
from flyball.wire import inference as shapes

TIMEOUT_HEADER = b"x-request-timeout-ms"
LONGEST_TIMEOUT_MS = 3_600_000
# Reading a body of this size takes about as long as handing it to another thread; a larger one must not hold up the others.
READ_HERE_BYTES = 65_536
WRITTEN_HERE_ROWS = 1_024
THREADS = 2

ResultT = TypeVar("ResultT")


class Verbs:
    """What the routes share: the models, the room where requests wait, and threads for what is large."""

    def __init__(self, host: ModelHost, *, max_request_bytes: int) -> None:
        self._host = host
        self._max_request_bytes = max_request_bytes
        self._room = WaitingRoom()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="bodies")

    def routes(self) -> list[Route]:
        """Return the table."""
        infer, read = Permission.ENDPOINTS_INFER, Permission.ENDPOINTS_INFER
        return [
            _get("/v2", PUBLIC, self.server, "Say what this server is"),
            _get("/v2/health/live", PUBLIC, self.live, "Tell whether the process answers"),
            _get("/v2/health/ready", PUBLIC, self.ready, "Tell whether requests can be sent"),
            _get("/v2/models/{name}", read, self.model, "Describe a model"),
            _get("/v2/models/{name}/ready", PUBLIC, self.model_ready, "Tell whether a model can be asked"),
            _post("/v2/models/{name}/infer", infer, self.infer, "Predict tensors"),
            _post("/invocations", infer, self.invocations, "Predict a table as MLflow's own server does"),
            _get("/ping", PUBLIC, self.ready, "Tell whether requests can be sent"),
            _get("/health", PUBLIC, self.ready, "Tell whether requests can be sent"),
            _get("/version", PUBLIC, self.version, "Say the version of Flyball"),
        ]

    async def infer(self, call: Call) -> Answer:
        """Predict tensors."""
        plane = self._host.plane(call.path["name"])
        if b"inference-header-content-length" in call.headers:
            raise Refused("the binary tensor extension is not offered; send the tensors as JSON", status=UNREAD_TYPE)
        body = await self._json_body(call)

        def read() -> tuple[shapes.InferBody, InferRequest]:
            asked = shapes.decode(body, shapes.InferBody, what="the infer request")
            return asked, tensors.to_request(asked, plane.signature, caller=call.caller, size_bytes=len(body))

        asked, request = await self._reading(read, size_bytes=len(body))
        answer = await self._predict(plane, request, call)
        return await self._writing(
            lambda: json_answer(tensors.to_answer(answer, asked, model=call.path["name"])), answer
        )

    async def invocations(self, call: Call) -> Answer:
        """Predict a table as MLflow's own server does."""
        plane = self._host.only()
        body = await self._json_body(call)

        def read() -> InferRequest:
            asked = shapes.decode(body, shapes.InvocationsBody, what="the invocation")
            return tables.to_request(asked, caller=call.caller, size_bytes=len(body))

        request = await self._reading(read, size_bytes=len(body))
        answer = await self._predict(plane, request, call)
        return await self._writing(lambda: json_answer(tables.to_answer(answer)), answer)

    async def model(self, call: Call) -> Answer:
        """Describe a model."""
        name = call.path["name"]
        plane = self._host.plane(name)
        return json_answer(tensors.to_metadata(name, plane.signature, versions=sorted(plane.routing.versions)))

    async def model_ready(self, call: Call) -> Answer:
        """Tell whether a model can be asked."""
        name = call.path["name"]
        ready = self._host.plane(name).ready
        return json_answer(shapes.ModelReadiness(name=name, ready=ready), status=OK if ready else UNREADY)

    async def ready(self, _call: Call) -> Answer:
        """Tell whether requests can be sent."""
        ready = self._host.ready
        return json_answer(shapes.Readiness(ready=ready), status=OK if ready else UNREADY)

    async def server(self, _call: Call) -> Answer:
        """Say what this server is."""
        return json_answer(shapes.ServerMetadata(name="flyball", version=flyball.__version__, extensions=[]))

    async def live(self, _call: Call) -> Answer:
        """Tell whether the process answers."""
        return json_answer(shapes.Liveness(live=True))

    async def version(self, _call: Call) -> Answer:
        """Say the version of Flyball."""
        return Answer(flyball.__version__.encode(), content_type=TEXT)

    async def _predict(self, plane: DataPlane, request: InferRequest, call: Call) -> InferAnswer:
        given = call.header(TIMEOUT_HEADER)
        timeout_ms = (
            whole_number(given, what=TIMEOUT_HEADER.decode(), least=1, most=LONGEST_TIMEOUT_MS) if given else None
        )
        timeout_s = None if timeout_ms is None else timeout_ms / 1_000
        return await self._room.answer(plane, request, timeout_s=timeout_s, receive=call.receive)

    async def _json_body(self, call: Call) -> bytes:
        kind = call.header(b"content-type", "application/json").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(f"content type '{kind}' is not read here; send application/json", status=UNREAD_TYPE)
        if call.header(b"content-encoding", "identity").lower() != "identity":
            raise Refused("compressed bodies are not read here; send the JSON as it is", status=UNREAD_TYPE)
        return await call.body(limit_bytes=self._max_request_bytes)

    async def _reading(self, read: Callable[[], ResultT], *, size_bytes: int) -> ResultT:
        return read() if size_bytes <= READ_HERE_BYTES else await self._elsewhere(read)

    async def _writing(self, write: Callable[[], Answer], answer: InferAnswer) -> Answer:
        return write() if len(answer.prediction_ids) <= WRITTEN_HERE_ROWS else await self._elsewhere(write)

    async def _elsewhere(self, work: Callable[[], ResultT]) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _get(path: str, permission: Permission | Public, handler: Handler, summary: str) -> Route:
    return Route(method="GET", path=path, permission=permission, handler=handler, summary=summary)


def _post(path: str, permission: Permission | Public, handler: Handler, summary: str) -> Route:
    return Route(method="POST", path=path, permission=permission, handler=handler, summary=summary)
