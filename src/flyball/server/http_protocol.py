"""HTTP as uvicorn speaks it, with less around a short request.

The head and the body of a short answer go out in one write. uvicorn writes them apart: two system calls, and two moments at
which the interpreter lock goes to another thread, for every answer. ASGI asks a server to wait with the head until it has a
part of the body, so nobody loses by it. Whatever is not short and whole (streams, HEAD, answers without a length, a client
that reads slowly) goes uvicorn's own way.

A long body may go past the loop (see `direct`).

An application with a method `quick` (see `QuickApplication`) may answer a request that has arrived whole without a task.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import httptools
import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from flyball.kernel.logs import get_logger
from flyball.server.direct import EXTENSION, BorrowedBody, Lender, write_pieces
from flyball.server.http_head import Headers, head_lines, line, prepared_head

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ASGIApp, Receive, Scope, Send
    from uvicorn._types import (
        ASGI3Application,
        ASGISendEvent,
        HTTPResponseBodyEvent,
        HTTPResponseStartEvent,
    )
    from uvicorn.config import Config
    from uvicorn.server import ServerState

# A larger body is not copied to stand behind its head: the copy would cost more than the call it saves.
LARGEST_JOINED_BYTES: Final = 64 * 1024
# uvicorn stops reading at 64 KB, which is less than one look at the network brings on a fast line.
READ_AHEAD_BYTES: Final = 1 << 20

# A shorter rest of a body is not worth the changes of hands.
SHORTEST_LENT_BYTES: Final = 1 << 20

_CYCLE_PARAMETERS: Final = (
    "scope",
    "transport",
    "flow",
    "logger",
    "access_logger",
    "access_log",
    "default_headers",
    "message_event",
    "expect_100_continue",
    "keep_alive",
    "on_response",
)
_CYCLE_STATE: Final = frozenset(
    {"disconnected", "waiting_for_100_continue", "body", "more_body", "response_started", "response_complete"}
)
_log = get_logger("server")


class QuickApplication(Protocol):
    """An application that takes some requests at once."""

    def quick(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """Take a request that has arrived whole, and use `reply` once, later and on the event loop; or return False.

        It is called between two looks at the network, so it may not wait and may not raise. What it returns False for is
        asked again as ASGI asks.
        """
        ...


class OneWriteCycle(RequestResponseCycle):
    """A request and its answer, whose head waits for the first part of its body."""

    _head: HTTPResponseStartEvent | None = None

    async def send(self, message: ASGISendEvent) -> None:
        head = self._head
        if head is None and message["type"] == "http.response.start" and not self.response_started:
            self._head = message
            return
        self._head = None
        if head is not None:
            if message["type"] != "http.response.body":
                raise RuntimeError(f"expected the ASGI message 'http.response.body', got '{message['type']}'")
            if self._write_whole(head, message):
                return
            await super().send(head)
        await super().send(message)

    async def send_500_response(self) -> None:
        self._head = None  # the answer that failed after its head: none of it was sent
        await super().send_500_response()

    def write_answer(self, status: int, headers: Headers, body: bytes) -> bool:
        """Write a whole answer whose headers are always the same; False where ASGI has to do it."""
        if not self._is_writable(body):
            return False
        self._finish([prepared_head(status, headers), b"content-length: %d\r\n" % len(body)], body)
        return True

    def _write_whole(self, head: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> bool:
        """Write an answer that is complete; False where that is left to uvicorn."""
        body = message.get("body", b"")
        if message.get("more_body", False) or not self._is_writable(body):
            return False
        lines = head_lines(head, length=len(body))
        if lines is None:
            return False
        self._finish(lines, body)
        return True

    def _is_writable(self, body: bytes) -> bool:
        if self.access_log or self.disconnected or self.flow.write_paused:
            return False
        return len(body) <= LARGEST_JOINED_BYTES and self.scope["method"] != "HEAD"

    def _finish(self, lines: list[bytes], body: bytes) -> None:
        for name, value in self.default_headers:
            lines.append(line(name, value))
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines += (b"\r\n", body)
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(b"".join(lines))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class OneWriteProtocol(HttpToolsProtocol):
    """A connection whose answers are written as above, and that reads a large body further ahead."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._quick: QuickApplication | None = config.app if hasattr(config.app, "quick") else None  # type: ignore[assignment]
        self._is_feeding = False
        self._arriving: tuple[OneWriteCycle, ASGI3Application] | None = None
        self._arrived_bytes = 0
        self._lent: BorrowedBody | None = None
        self._unread_bytes = 0

    def data_received(self, data: bytes) -> None:
        if self._unread_bytes:  # of a body that was borrowed, and not read to its end
            dropped = min(self._unread_bytes, len(data))
            self._unread_bytes -= dropped
            data = data[dropped:]
            if not data:
                return
        self._is_feeding = True
        super().data_received(data)
        self._is_feeding = False
        if self._arriving is not None and not self._comes_soon(self._arriving[0]):
            (cycle, app), self._arriving = self._arriving, None
            self._begin(cycle, app)

    def start(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Answer a request by a task, as ASGI asks."""
        lender = Lender(partial(self._lend_body, cycle), self._returned, partial(self._write, cycle))
        extensions = cycle.scope.setdefault("extensions", {})
        assert extensions is not None
        extensions[EXTENSION] = lender  # type: ignore[assignment]
        super()._start_asgi_task(cycle, app)

    def on_message_begin(self) -> None:
        self._arrived_bytes = 0
        super().on_message_begin()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.__class__ = OneWriteCycle  # uvicorn makes its own and has no place to name another one
        assert isinstance(cycle, OneWriteCycle)
        if self._is_feeding:  # the rest of what arrived may be its whole body
            self._arriving = cycle, app
        else:
            self._begin(cycle, app)

    def _comes_soon(self, cycle: OneWriteCycle) -> bool:
        """Tell whether the rest of a short body is waited for: many clients send a head and its body apart."""
        if self._quick is None or not cycle.more_body or cycle.waiting_for_100_continue:
            return False
        length = _length(cycle.scope["headers"])
        return length is not None and length <= LARGEST_JOINED_BYTES

    def _begin(self, cycle: OneWriteCycle, app: ASGI3Application) -> None:
        if self.transport.is_closing():
            return
        if (
            self._quick is None
            or cycle.more_body
            or app is not self.app
            or not self._quick.quick(cast("Scope", cycle.scope), bytes(cycle.body), Reply(self, cycle))
        ):
            self.start(cycle, app)

    def on_body(self, body: bytes) -> None:
        if self.parser.should_upgrade() or self.cycle.response_complete:
            super().on_body(body)
            return
        self._arrived_bytes += len(body)
        self.cycle.body += body
        if len(self.cycle.body) > READ_AHEAD_BYTES:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        if self._lent is not None:
            self._take_back(self._lent)
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close what is idle; not what has sent its next request while the loop was too busy to read it."""
        if not self._has_unread():
            super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arriving = None
        if self._lent is not None:
            self._lent.abort()
        super().connection_lost(exc)

    def _lend_body(self, cycle: RequestResponseCycle) -> BorrowedBody | None:
        """Lend the socket for what is left of a long body, None where it is short, or of no known length."""
        length = _length(cycle.scope["headers"])
        left = 0 if length is None else length - self._arrived_bytes
        descriptor = self._descriptor() if left >= SHORTEST_LENT_BYTES and cycle is self.cycle else None
        if descriptor is None or cycle.disconnected:
            return None
        self.flow.pause_reading()
        if cycle.waiting_for_100_continue:
            cycle.waiting_for_100_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # The old one waits for the body, of which it will not see the end.
        self.parser = httptools.HttpRequestParser(self)
        self._lent = BorrowedBody(descriptor, first=bytes(cycle.body), left=left)
        cycle.body = bytearray()
        return self._lent

    def _returned(self, borrowed: BorrowedBody) -> None:
        """Take a socket back, told so by any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(self._take_back, borrowed)

    def _take_back(self, borrowed: BorrowedBody) -> None:
        if self._lent is borrowed:
            self._lent = None
            self._unread_bytes = borrowed.left
            borrowed.close()

    async def _write(self, cycle: RequestResponseCycle, pieces: Iterator[bytes]) -> None:
        """Write pieces to the socket itself, once all that was written before is on its way."""
        self.transport.set_write_buffer_limits(0)  # with it, writing is paused until nothing is left to write
        await self.flow.drain()
        lost = cycle.disconnected or self.transport.get_write_buffer_size() > 0
        descriptor = None if lost else self._descriptor()
        if descriptor is None:
            raise ClientDisconnect
        self.flow.pause_reading()
        try:
            cycle.expected_content_length -= await run_in_threadpool(write_pieces, descriptor, pieces)
        except ClientDisconnect:
            cycle.disconnected = True
            self.transport.close()
            raise
        self.transport.set_write_buffer_limits()

    def _has_unread(self) -> bool:
        descriptor = self._descriptor()
        if descriptor is None:
            return False
        with socket.socket(fileno=descriptor) as connection, contextlib.suppress(OSError):
            return bool(connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        return False

    def _descriptor(self) -> int | None:
        """Return a descriptor of its own for the socket, None where what goes over it is not plain."""
        connection = self.transport.get_extra_info("socket")
        if connection is None or self.scheme != "http":
            return None
        return os.dup(connection.fileno())


class Reply:
    """The way back to the client of one request that was taken at once."""

    __slots__ = ("_cycle", "_protocol")

    def __init__(self, protocol: OneWriteProtocol, cycle: OneWriteCycle) -> None:
        self._protocol = protocol
        self._cycle = cycle

    @property
    def is_lost(self) -> bool:
        """Whether the client has gone away."""
        return self._cycle.disconnected

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with a body. The headers leave out its length, and are remembered: none may carry a secret."""
        if not self._cycle.write_answer(status, headers, body):
            self.run(_Whole(status, headers, body))

    def run(self, app: ASGIApp) -> None:
        """Let an application answer in a task."""
        if not self._cycle.disconnected:
            self._protocol.start(self._cycle, cast("ASGI3Application", app))


class _Whole:
    """An application that has one answer."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self._status = status
        self._headers = headers
        self._body = body

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [*self._headers, (b"content-length", b"%d" % len(self._body))]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": self._body})


def http_protocol() -> type[asyncio.Protocol] | str:
    """Return what `uvicorn.Config` takes as `http`: ours, or uvicorn's own where this release of it is built otherwise."""
    if _is_known():
        return OneWriteProtocol
    _log.warning("http_protocol_not_known", uvicorn=uvicorn.__version__, effect="two writes for each answer")
    return "auto"


def _is_known() -> bool:
    try:
        cycle = RequestResponseCycle(**dict.fromkeys(_CYCLE_PARAMETERS))  # type: ignore[arg-type]
    except TypeError:
        return False
    known = _CYCLE_STATE | set(_CYCLE_PARAMETERS) - {"expect_100_continue"}
    return known <= vars(cycle).keys() and hasattr(HttpToolsProtocol, "_start_asgi_task")


def _length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return how long a body says it is."""
    found = dict(headers)
    if b"transfer-encoding" in found or not found.get(b"content-length", b"").isdigit():
        return None
    return int(found[b"content-length"])
