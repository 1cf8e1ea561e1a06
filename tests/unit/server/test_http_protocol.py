"""The protocol on raw sockets: what it says is what uvicorn says, in one write where the answer is short."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from flyball.server import http_protocol as module
from flyball.server.http_protocol import READ_AHEAD_BYTES, OneWriteProtocol, http_protocol

PATIENCE_S = 60
BODY = b"0123456789"
LENGTH = (b"content-length", b"10")
Headers = list[tuple[bytes, bytes]]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in the way that the path names."""
    assert scope["type"] == "http"
    await _WAYS[scope["path"]](receive, send)


async def _start(send: Send, *headers: tuple[bytes, bytes], status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-from", b"app"), *headers]})


async def _end(send: Send, body: bytes = BODY) -> None:
    await send({"type": "http.response.body", "body": body})


async def _short(_receive: Receive, send: Send) -> None:
    await _start(send, LENGTH)
    await _end(send)


async def _capital(_receive: Receive, send: Send) -> None:
    await _start(send, (b"Content-Length", b"10"), (b"Content-Type", b"text/plain"))
    await _end(send)


async def _chunked(_receive: Receive, send: Send) -> None:
    await _start(send)
    await send({"type": "http.response.body", "body": BODY, "more_body": True})
    await _end(send, b"")


async def _parts(_receive: Receive, send: Send) -> None:
    await _start(send, LENGTH)
    await send({"type": "http.response.body", "body": BODY[:4], "more_body": True})
    await _end(send, BODY[4:])


async def _empty(_receive: Receive, send: Send) -> None:
    await _start(send, status=204)
    await _end(send, b"")


async def _closing(_receive: Receive, send: Send) -> None:
    await _start(send, LENGTH, (b"connection", b"close"))
    await _end(send)


async def _large(_receive: Receive, send: Send) -> None:
    await _start(send, (b"content-length", b"1000000"))
    await _end(send, b"x" * 1_000_000)


async def _fails(_receive: Receive, _send: Send) -> None:
    raise RuntimeError("before the head")


async def _fails_after_head(_receive: Receive, send: Send) -> None:
    await _start(send, LENGTH)
    raise RuntimeError("after the head")


async def _fails_after_part(_receive: Receive, send: Send) -> None:
    await _start(send, LENGTH)
    await send({"type": "http.response.body", "body": BODY[:4], "more_body": True})
    raise RuntimeError("after a part of the body")


async def _too_long(_receive: Receive, send: Send) -> None:
    await _start(send, (b"content-length", b"3"))
    await _end(send)


async def _too_short(_receive: Receive, send: Send) -> None:
    await _start(send, (b"content-length", b"30"))
    await _end(send)


async def _two_heads(_receive: Receive, send: Send) -> None:
    await _start(send, LENGTH)
    await _start(send, LENGTH)


async def _split(_receive: Receive, send: Send) -> None:
    await _start(send, LENGTH, (b"x-note", b"a\r\nset-cookie: b"))
    await _end(send)


async def _count(receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = b"%d bytes" % size
    await _start(send, (b"content-length", b"%d" % len(body)))
    await _end(send, body)


class Busy:
    """A loop that does not look at the network until the test says so, and then finds that time is up."""

    def __init__(self) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()
        self.late: list[OneWriteProtocol] = []

    async def __call__(self, _receive: Receive, send: Send) -> None:
        self.began.set()
        assert self.go_on.wait(PATIENCE_S)
        for protocol in self.late:
            protocol.timeout_keep_alive_handler()
        await _short(_receive, send)


_WAYS = {
    "/short": _short,
    "/capital": _capital,
    "/chunked": _chunked,
    "/parts": _parts,
    "/empty": _empty,
    "/closing": _closing,
    "/large": _large,
    "/fails": _fails,
    "/fails-after-head": _fails_after_head,
    "/fails-after-part": _fails_after_part,
    "/too-long": _too_long,
    "/too-short": _too_short,
    "/two-heads": _two_heads,
    "/split": _split,
    "/count": _count,
}


class _Ours(OneWriteProtocol):
    made: ClassVar[list[OneWriteProtocol]] = []

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.made.append(self)
        self.access_log = False  # pytest hangs its handlers onto every logger, and each answer would be logged


@contextlib.contextmanager
def _serving(http: type[asyncio.Protocol] | str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            application,
            http=http,
            log_level="critical",
            access_log=False,
            lifespan="off",
            date_header=False,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + PATIENCE_S
        while not server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(PATIENCE_S)


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """A server with our protocol, and one with uvicorn's own."""
    with _serving(_Ours) as ours, _serving("httptools") as theirs:
        yield ours, theirs


@contextlib.contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        yield connection


def _protocol_of(connection: socket.socket) -> OneWriteProtocol:
    return next(one for one in _Ours.made if one.client == connection.getsockname())


def _request(path: str, *, method: str = "GET", version: str = "1.1", headers: str = "", body: str = "") -> bytes:
    return f"{method} {path} HTTP/{version}\r\nHost: localhost\r\n{headers}\r\n{body}".encode()


def _until_closed(port: int, sent: bytes) -> bytes:
    with _connected(port) as connection:
        connection.sendall(sent)
        got = b""
        while data := connection.recv(1 << 20):
            got += data
        return got


def _sorted(answer: bytes) -> tuple[bytes, list[bytes], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    return status, sorted(headers), body


CLOSE = "Connection: close\r\n"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("path", ["/short", "/capital", "/chunked", "/parts", "/empty", "/closing", "/large"])
def test_an_answer_is_the_one_that_uvicorn_gives(ports: tuple[int, int], path: str, version: str, method: str) -> None:
    request = _request(path, method=method, version=version, headers=CLOSE)

    ours, theirs = (_sorted(_until_closed(port, request)) for port in ports)

    assert ours == theirs
    assert ours[0].startswith((b"HTTP/1.1 200", b"HTTP/1.1 204"))


@pytest.mark.parametrize("path", ["/fails", "/fails-after-part", "/too-short"])
def test_a_failure_looks_as_it_does_at_uvicorn(ports: tuple[int, int], path: str) -> None:
    ours, theirs = (_sorted(_until_closed(port, _request(path))) for port in ports)

    assert ours == theirs


@pytest.mark.parametrize("path", ["/fails-after-head", "/two-heads", "/split"])
def test_an_application_that_fails_before_its_body_is_answered_with_500_and_nothing_else(
    ports: tuple[int, int], path: str
) -> None:
    status, headers, body = _sorted(_until_closed(ports[0], _request(path)))

    assert (status, body) == (b"HTTP/1.1 500 Internal Server Error", b"Internal Server Error")
    assert not [line for line in headers if line.startswith((b"x-from", b"set-cookie"))]


def test_a_body_longer_than_it_was_announced_is_not_sent(ports: tuple[int, int]) -> None:
    assert BODY not in _until_closed(ports[0], _request("/too-long"))


def test_a_connection_stays_open_for_the_next_request(ports: tuple[int, int]) -> None:
    with _connected(ports[0]) as connection:
        for _ in range(3):
            connection.sendall(_request("/short"))
            status, headers, body = _sorted(_read_to(connection, BODY))
            assert (status, body) == (b"HTTP/1.1 200 OK", BODY)
            assert not [line for line in headers if line.startswith(b"connection")]


@pytest.mark.parametrize("asked_again", [True, False])
def test_only_an_idle_connection_is_closed_when_its_time_is_up_and_the_loop_was_busy(
    ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch, *, asked_again: bool
) -> None:
    busy = Busy()
    monkeypatch.setitem(_WAYS, "/busy", busy)
    with _connected(ports[0]) as idle, _connected(ports[0]) as other:
        idle.sendall(_request("/short"))
        _read_to(idle, BODY)
        busy.late.append(_protocol_of(idle))
        other.sendall(_request("/busy"))
        assert busy.began.wait(PATIENCE_S)
        if asked_again:
            idle.sendall(_request("/short"))
        busy.go_on.set()
        assert idle.recv(1 << 20).startswith(b"HTTP/1.1 200 OK") == asked_again


def test_requests_sent_at_once_are_answered_in_their_order(ports: tuple[int, int]) -> None:
    paths = ["/short", "/chunked", "/short", "/parts", "/large", "/closing"]
    pipelined = b"".join(map(_request, paths))

    ours, theirs = (_until_closed(port, pipelined) for port in ports)

    assert len(ours) == len(theirs)
    assert ours.count(b"HTTP/1.1 200 OK\r\n") == len(paths)


def test_a_body_that_waits_to_be_asked_for_is_asked_for_and_read(ports: tuple[int, int]) -> None:
    with _connected(ports[0]) as connection:
        connection.sendall(_request("/count", method="POST", headers="Expect: 100-continue\r\nContent-Length: 5\r\n"))
        assert _read_to(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"12345")
        assert _sorted(_read_to(connection, b"5 bytes"))[0] == b"HTTP/1.1 200 OK"


def test_an_answer_that_needs_no_body_does_not_ask_for_it(ports: tuple[int, int]) -> None:
    headers = "Expect: 100-continue\r\nContent-Length: 5\r\n" + CLOSE
    got = _until_closed(ports[0], _request("/short", method="POST", headers=headers))

    assert got.startswith(b"HTTP/1.1 200 OK")


def test_a_chunked_body_is_read_whole(ports: tuple[int, int]) -> None:
    headers = "Transfer-Encoding: chunked\r\n" + CLOSE
    got = _until_closed(
        ports[0], _request("/count", method="POST", headers=headers, body="3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
    )

    assert got.endswith(b"7 bytes")


def test_a_body_many_times_the_read_ahead_arrives_whole(ports: tuple[int, int]) -> None:
    size = 20 * READ_AHEAD_BYTES
    with _connected(ports[0]) as connection:
        connection.sendall(_request("/count", method="PUT", headers=f"Content-Length: {size}\r\n"))
        connection.sendall(bytes(size))
        assert _read_to(connection, b" bytes").endswith(b"%d bytes" % size)


@pytest.mark.parametrize(("path", "writes"), [("/short", 1), ("/capital", 1), ("/closing", 2), ("/large", 2)])
def test_a_short_answer_is_one_write(path: str, writes: int) -> None:
    assert asyncio.run(_writes(path)) == writes


def test_uvicorn_has_what_the_protocol_builds_on() -> None:
    assert http_protocol() is OneWriteProtocol


def test_another_uvicorn_is_served_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def __init__(self, *, request: object) -> None:
            self.request = request

    monkeypatch.setattr(module, "RequestResponseCycle", Other)

    assert http_protocol() == "auto"


def _read_to(connection: socket.socket, end: bytes) -> bytes:
    got = b""
    while not got.endswith(end):
        data = connection.recv(1 << 20)
        assert data, f"closed after {got!r}"
        got += data
    return got


class _Transport(asyncio.Transport):
    """Counts what is written."""

    def __init__(self, finished: asyncio.Event) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        self.writes = 0
        self._finished = finished

    def write(self, data: object) -> None:
        self.writes += 1

    def is_closing(self) -> bool:
        self._finished.set()  # asked when an answer is complete
        return False

    def close(self) -> None:
        self._finished.set()


async def _writes(path: str) -> int:
    config = uvicorn.Config(application, http=_Ours, log_level="critical", access_log=False, lifespan="off")
    protocol = _Ours(config, ServerState(), {})
    finished = asyncio.Event()
    transport = _Transport(finished)
    protocol.connection_made(transport)
    protocol.data_received(_request(path))
    await asyncio.wait_for(finished.wait(), PATIENCE_S)
    protocol.connection_lost(None)
    return transport.writes
