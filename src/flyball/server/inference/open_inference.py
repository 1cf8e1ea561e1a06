"""The Open Inference Protocol, version 2, over HTTP: a few lines a verb."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

import flyball
from flyball.governance.permissions import Permission
from flyball.kernel.errors import Unavailable
from flyball.server.inference import tensors
from flyball.server.inference.answering import Answering, asker_of, version_of
from flyball.server.inference.exchange import JSON, OCTETS, Exchange
from flyball.server.inference.http import OK, UNREAD_TYPE, UNREADY, Answer, Call, Refused, json_answer, whole_number
from flyball.server.inference.infer import HEADER_LENGTH, read_infer
from flyball.server.inference.invocations import parse_media_type
from flyball.server.inference.routes import Route, get, post
from flyball.server.routing import PUBLIC
from flyball.serving.host import ModelHost, Presence
from flyball.serving.plane import DataPlane
from flyball.wire import inference as shapes

EXTENSIONS = ("binary_tensor_data", "model_repository")
STATES = {
    Presence.READY: "READY",
    Presence.LOADING: "LOADING",
    Presence.UNLOADED: "UNAVAILABLE",
    Presence.EVICTED: "UNAVAILABLE",
}
# A body that says which model is meant is a line of JSON.
SMALL_BYTES = 65_536
_HEADER_LENGTH = HEADER_LENGTH.lower().encode()
_MODEL, _VERSION = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"


class OpenInference:
    """The verbs of the protocol."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    def routes(self) -> list[Route]:
        """Return the table."""
        infer, change = Permission.ENDPOINTS_INFER, Permission.ENDPOINTS_WRITE
        return [
            get("/v2", PUBLIC, self.server, "Say what this server is"),
            get("/v2/health/live", PUBLIC, self.live, "Tell whether the process answers"),
            get("/v2/health/ready", PUBLIC, self.ready, "Tell whether requests can be sent"),
            get(_MODEL, infer, self.model, "Describe a model"),
            get(_VERSION, infer, self.model, "Describe a version of a model"),
            get(f"{_MODEL}/ready", PUBLIC, self.model_ready, "Tell whether a model can be asked"),
            get(f"{_VERSION}/ready", PUBLIC, self.model_ready, "Tell whether a version can be asked"),
            post(f"{_MODEL}/infer", infer, self.infer, "Predict tensors", prepare=self.prepare),
            post(f"{_VERSION}/infer", infer, self.infer, "Predict tensors with one version", prepare=self.prepare),
            post("/v2/repository/index", infer, self.index, "List the versions that are served"),
            post("/v2/repository/models/{name}/load", change, self.load, "Load a model"),
            post("/v2/repository/models/{name}/unload", change, self.unload, "Unload a model"),
        ]

    async def infer(self, call: Call) -> Answer:
        """Predict tensors."""
        plane = await self._answering.plane(call.path["name"])
        return await self._answering.exchange(call, plane, _reader(call, plane))

    def prepare(self, call: Call) -> tuple[DataPlane, Callable[[bytes], Exchange]] | None:
        """Say who is asked, and how; None for a model that has to be brought back first."""
        plane = self._answering.host.plane(call.path["name"])
        return None if plane is None else (plane, _reader(call, plane))

    async def model(self, call: Call) -> Answer:
        """Describe a model."""
        plane = await self._answering.plane(call.path["name"])
        described = describe(plane, call.path["name"], version=call.path.get("version", ""))
        return json_answer(described)

    async def model_ready(self, call: Call) -> Answer:
        """Tell whether a model, or a version of it, can be asked."""
        ready = is_ready(self._answering.host, call.path["name"], version=call.path.get("version", ""))
        return json_answer(shapes.ModelReadiness(name=call.path["name"], ready=ready), status=OK if ready else UNREADY)

    async def ready(self, _call: Call) -> Answer:
        """Tell whether requests can be sent."""
        ready = self._answering.host.ready
        return json_answer(shapes.Readiness(ready=ready), status=OK if ready else UNREADY)

    async def server(self, _call: Call) -> Answer:
        """Say what this server is."""
        return json_answer(server_metadata())

    async def live(self, _call: Call) -> Answer:
        """Tell whether the process answers."""
        return json_answer(shapes.Liveness(live=True))

    async def index(self, call: Call) -> Answer:
        """List the versions that are served."""
        asked = await _small_body(call, shapes.IndexBody)
        return Answer(msgspec.json.encode(index_of(self._answering, only_ready=asked.ready)))

    async def load(self, call: Call) -> Answer:
        """Load a model."""
        await _small_body(call, shapes.RepositoryBody)
        await self._answering.elsewhere(partial(self._answering.host.load, call.path["name"]))
        return Answer(b"{}")

    async def unload(self, call: Call) -> Answer:
        """Unload a model."""
        await _small_body(call, shapes.RepositoryBody)
        await self._answering.elsewhere(partial(self._answering.host.unload, call.path["name"]))
        return Answer(b"{}")


def server_metadata() -> shapes.ServerMetadata:
    """Say what this server is."""
    return shapes.ServerMetadata(name="flyball", version=flyball.__version__, extensions=list(EXTENSIONS))


def describe(plane: DataPlane, name: str, *, version: str = "") -> shapes.ModelMetadata:
    """Describe a model, or a version of it: its tensors, and how it is served.

    Raises:
        InvalidInput: the version is no number.
        NotFound: it is not served here.
        Unavailable: no version is loaded yet.
    """
    number = version_of(version) if version else plane.routing.champion
    signature, routing = plane.signature_of(number), plane.routing
    about = routing.versions[number].model.about
    return tensors.to_metadata(name, signature, versions=sorted(routing.versions), properties=about)


def index_of(answering: Answering, *, only_ready: bool = False) -> list[shapes.IndexedModel]:
    """List the versions that this server knows, under each name that they answer to."""
    return [
        shapes.IndexedModel(
            name=state.name, version=str(state.version), state=STATES[state.presence], reason=state.reason
        )
        for state in answering.host.index()
        if state.presence is Presence.READY or not only_ready
    ]


def is_ready(host: ModelHost, name: str, *, version: str = "") -> bool:
    """Tell whether a model, or a version of it, can be asked; one that was evicted can, it comes back when it is.

    Raises:
        NotFound: there is no such model, or no such version of it.
        InvalidInput: the version is no number.
    """
    try:
        plane = host.plane(name)
    except Unavailable:
        return False
    if version and plane is not None and plane.ready:
        plane.signature_of(version_of(version))
    return plane is None or plane.ready


def _reader(call: Call, plane: DataPlane) -> Callable[[bytes], Exchange]:
    asker = asker_of(plane, caller=call.caller, model=call.path["name"], version=call.path.get("version", ""))
    return partial(read_infer, asker=asker, header_length=_header_length(call))


def _header_length(call: Call) -> int | None:
    """Return how much of the body is JSON, where bytes follow.

    Raises:
        Refused: the body is something else.
    """
    given = call.headers.get(_HEADER_LENGTH)
    kind = call.headers.get(b"content-type")
    if kind is not None:
        name, _ = parse_media_type(kind.decode("latin-1"))
        if name != JSON and (name != OCTETS or given is None):
            raise Refused(
                f"content type '{name}' is not read here; send {JSON}, or {OCTETS} with {HEADER_LENGTH}",
                status=UNREAD_TYPE,
            )
    if given is None:
        return None
    return whole_number(given.decode("latin-1"), what=HEADER_LENGTH, least=0, most=2**62)


async def _small_body(call: Call, shape: type[shapes.ShapeT]) -> shapes.ShapeT:
    """Read a body that may be left out, and refuse what it should not hold."""
    body = await call.body(limit_bytes=SMALL_BYTES)
    return shapes.decode(body if body.strip() else b"{}", shape, what="the request")
