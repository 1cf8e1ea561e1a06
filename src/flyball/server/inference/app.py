"""The model server as an ASGI application: find the route, ask who is calling, let the verb answer, tell what went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from flyball.server.inference.answering import Answering
from flyball.server.inference.authorisation import Anyone, Authorisation, Authorise
from flyball.server.inference.failures import failure_answer
from flyball.server.inference.http import Answer, Call, ClientGone, Receive, Scope, Send
from flyball.server.inference.limits import RequestLimits
from flyball.server.inference.metrics import CLIENT_GONE, RequestCounts
from flyball.server.inference.quick import QuickCalls
from flyball.server.inference.routes import Match, Route, RouteTable
from flyball.server.inference.verbs import all_routes
from flyball.server.routing import PUBLIC
from flyball.serving.host import FixedHost, ModelHost
from flyball.serving.plane import DataPlane

if TYPE_CHECKING:
    from flyball.server.http_protocol import Reply

# How requests are counted whose path leads nowhere.
NO_ROUTE = "none"

Routes: TypeAlias = Callable[[Answering, RequestCounts], list[Route]]
"""Makes the table of what is answered."""


class InferenceApp:
    """Answer the requests of one event loop. Nothing here blocks; what may is done in other threads.

    `authorise` tells who holds a token; None lets everybody call everything.
    """

    def __init__(self, answering: Answering, *, authorise: Authorise | None, routes: Routes = all_routes) -> None:
        self.answering = answering
        self.authorisation = Anyone() if authorise is None else Authorisation(authorise)
        self.counts = RequestCounts()
        self.table = RouteTable(routes(answering, self.counts))
        self.calls = QuickCalls(answering, self.table, authorisation=self.authorisation, counts=self.counts)

    def quick(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """Take a plain request at once, as `http_protocol` wants it; False where it has to be called."""
        return self.calls.take(scope, body, reply)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI wants it."""
        if scope["type"] != "http":
            raise RuntimeError(f"the model server speaks HTTP; this is {scope['type']}")
        began_s, route = time.perf_counter(), NO_ROUTE
        try:
            match = self.table.find(scope["method"], scope["path"])
            route = match.route.path
            answer = await self._answer(match, scope, receive)
        except ClientGone:
            self.counts.count(route, CLIENT_GONE, time.perf_counter() - began_s)
            return
        except Exception as error:  # noqa: BLE001 -- told to the client by the table of errors, and logged where nobody foresaw it
            answer = failure_answer(error)
        self.counts.count(route, answer.status, time.perf_counter() - began_s)
        await answer.send(send)

    async def _answer(self, match: Match, scope: Scope, receive: Receive) -> Answer:
        call = Call(scope, receive, match.path)
        if match.route.permission != PUBLIC:
            call.caller = await self.authorisation.caller(
                call.headers.get(b"authorization", b""), match.route.permission
            )
        return await match.route.handler(call)


def build_app(
    host: ModelHost | DataPlane,
    *,
    authorise: Authorise | None,
    max_request_bytes: int,
    limits: RequestLimits | None = None,
    routes: Routes = all_routes,
) -> InferenceApp:
    """Build the application over many models, or over one.

    Health and version answer without a token: they say nothing about the model, and probes carry none.
    """
    models = FixedHost([host]) if isinstance(host, DataPlane) else host
    answering = Answering(models, max_request_bytes=max_request_bytes, limits=limits)
    return InferenceApp(answering, authorise=authorise, routes=routes)
