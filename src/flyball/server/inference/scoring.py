"""MLflow's scoring protocol and SageMaker's container contract over HTTP: both ask `/ping` and `/invocations`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import flyball
from flyball.governance.permissions import Permission
from flyball.server.inference.answering import Answering, asker_of
from flyball.server.inference.exchange import Exchange
from flyball.server.inference.http import OK, TEXT, UNREADY, Answer, Call, json_answer
from flyball.server.inference.invocations import read_invocation
from flyball.server.inference.routes import Route, get, post
from flyball.server.routing import PUBLIC
from flyball.serving.host import only_name
from flyball.serving.plane import DataPlane
from flyball.wire import inference as shapes


class Scoring:
    """The verbs of the two protocols."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    def routes(self) -> list[Route]:
        """Return the table."""
        return [
            post("/invocations", Permission.ENDPOINTS_INFER, self.invocations, "Predict a table", prepare=self.prepare),
            get("/ping", PUBLIC, self.ready, "Tell whether requests can be sent"),
            get("/health", PUBLIC, self.ready, "Tell whether requests can be sent"),
            get("/version", PUBLIC, self.version, "Say the version of Flyball"),
        ]

    async def invocations(self, call: Call) -> Answer:
        """Predict a table."""
        plane = await self._answering.plane(only_name(self._answering.host))
        return await self._answering.exchange(call, plane, _reader(call, plane))

    def prepare(self, call: Call) -> tuple[DataPlane, Callable[[bytes], Exchange]] | None:
        """Say who is asked, and how; None for a model that has to be brought back first."""
        plane = self._answering.host.plane(only_name(self._answering.host))
        return None if plane is None else (plane, _reader(call, plane))

    async def ready(self, _call: Call) -> Answer:
        """Tell whether requests can be sent."""
        ready = self._answering.host.ready
        return json_answer(shapes.Readiness(ready=ready), status=OK if ready else UNREADY)

    async def version(self, _call: Call) -> Answer:
        """Say the version of Flyball."""
        return Answer(flyball.__version__.encode(), content_type=TEXT)


def _reader(call: Call, plane: DataPlane) -> Callable[[bytes], Exchange]:
    asker = asker_of(plane, caller=call.caller, model=plane.endpoint)
    kind, accept = call.header(b"content-type"), call.header(b"accept")
    return partial(read_invocation, asker=asker, content_type=kind, accept=accept)
