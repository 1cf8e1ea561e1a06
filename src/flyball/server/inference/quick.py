"""Predictions that come by the thousand each second: taken without a task, and answered in one write.

Only what is plain is taken: a request that has arrived whole, is short, comes unfolded, and whose caller was asked for a moment
ago. Everything else goes the usual way (see `app`), and so does whatever is refused before it waits: this says no to nobody.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn

from flyball.server.inference.answering import (
    READ_HERE_BYTES,
    WRITTEN_HERE_ROWS,
    Answering,
    answer_of,
    seconds_given,
    shorter,
)
from flyball.server.inference.exchange import Exchange
from flyball.server.inference.failures import failure_answer
from flyball.server.inference.http import Answer, Call, ClientGone, Scope
from flyball.server.inference.metrics import CLIENT_GONE, RequestCounts
from flyball.server.inference.routes import Route, RouteTable
from flyball.server.routing import PUBLIC
from flyball.serving.joining import row_count_of
from flyball.serving.requests import InferAnswer

if TYPE_CHECKING:
    from flyball.server.http_protocol import Reply
    from flyball.server.inference.authorisation import Anyone, Authorisation
    from flyball.server.inference.waiting import WaitingRoom
    from flyball.serving.plane import InferJob

_FOLDED, _AUTHORIZATION = b"content-encoding", b"authorization"


class QuickCalls:
    """Takes the requests that need no waiting before their queue. For the event loop's thread only."""

    def __init__(
        self,
        answering: Answering,
        table: RouteTable,
        *,
        authorisation: Anyone | Authorisation,
        counts: RequestCounts,
    ) -> None:
        self._answering = answering
        self._table = table
        self._authorisation = authorisation
        self.bodies = answering.bodies
        self.counts = counts
        self._limit_bytes = min(READ_HERE_BYTES, answering.max_request_bytes)

    def take(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """Take a request, and answer it later; False where it has to go the usual way."""
        match = self._table.recalled(scope["method"], scope["path"])
        if match is None or match.route.prepare is None or len(body) > self._limit_bytes:
            return False
        call, permission = Call(scope, _nothing, match.path), match.route.permission
        if _FOLDED in call.headers or permission == PUBLIC:
            return False
        caller = self._authorisation.recalled(call.headers.get(_AUTHORIZATION, b""), permission)
        if caller is None:
            return False
        call.caller = caller
        return self._begin(call, match.route, body, reply)

    def _begin(self, call: Call, route: Route, body: bytes, reply: Reply) -> bool:
        began_s = time.perf_counter()
        try:
            prepared = None if route.prepare is None else route.prepare(call)
            asked = None if prepared is None else prepared[1](body)
            timeout_s = None if asked is None else shorter(seconds_given(call), asked.timeout_s)
        except Exception:  # noqa: BLE001 -- whatever it is, the usual way meets it again and tells it
            return False
        if prepared is None or asked is None or row_count_of(asked.request.rows) > WRITTEN_HERE_ROWS:
            return False
        if not self.bodies.has_room(asked.request.size_bytes):
            return False
        waiter = _Quick(self, reply, asked, route=route, began_s=began_s)
        self.bodies.take(asked.request.size_bytes)
        try:
            self._answering.room.enter(prepared[0], asked.request, waiter, timeout_s=timeout_s)
        except Exception as error:  # noqa: BLE001 -- told to the client by the table of errors, as the usual way does
            waiter.settle(error)
        return True


class _Quick:
    """A request that was taken: how it is answered, and counted."""

    __slots__ = ("_asked", "_began_s", "_calls", "_reply", "_route")

    def __init__(self, calls: QuickCalls, reply: Reply, asked: Exchange, *, route: Route, began_s: float) -> None:
        self._calls = calls
        self._reply = reply
        self._asked = asked
        self._route = route
        self._began_s = began_s

    def settle(self, outcome: InferAnswer | Exception) -> None:
        self._calls.bodies.give_back(self._asked.request.size_bytes)
        answer = self._answer(outcome)
        status = CLIENT_GONE if answer is None else answer.status
        self._calls.counts.count(self._route.path, status, time.perf_counter() - self._began_s)
        if answer is not None:
            self._reply.send(
                answer.status, ((b"content-type", answer.content_type), *(answer.headers or ())), answer.body
            )

    def watch(self, room: WaitingRoom, job: InferJob) -> None:
        if self._reply.is_lost:
            room.give_up(job, ClientGone())

    def _answer(self, outcome: InferAnswer | Exception) -> Answer | None:
        """Return the answer to an outcome; None where nobody is there for it."""
        if isinstance(outcome, ClientGone):
            return None
        if isinstance(outcome, Exception):
            return failure_answer(outcome)
        try:
            return answer_of(self._asked.write(outcome))
        except Exception as error:  # noqa: BLE001 -- as above
            return failure_answer(error)


async def _nothing() -> NoReturn:
    raise RuntimeError("a request that was taken at once has arrived whole")
