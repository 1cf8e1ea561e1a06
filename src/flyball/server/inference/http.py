"""A request and an answer of the model server, as close to ASGI as can be: this is the hot path, and every object costs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

import msgspec

from flyball.kernel.errors import FlyballError, InvalidInput, LimitExceeded

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

JSON, TEXT = b"application/json", b"text/plain; charset=utf-8"
OK, BAD_REQUEST, NOT_FOUND, METHOD_NOT_ALLOWED, NOT_ACCEPTABLE, UNREAD_TYPE, UNREADY = 200, 400, 404, 405, 406, 415, 503


class Answer:
    """What goes back."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self, body: bytes, *, content_type: bytes = JSON, status: int = OK, headers: Headers | None = None
    ) -> None:
        self.body = body
        self.content_type = content_type
        self.status = status
        self.headers = headers

    async def send(self, send: Send) -> None:
        """Send it."""
        headers = [(b"content-type", self.content_type), (b"content-length", b"%d" % len(self.body))]
        if self.headers:
            headers += self.headers
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class Refused(FlyballError):
    """A request that HTTP itself is enough to refuse, with the status that says so."""

    def __init__(self, message: str, *, status: int, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


class Call:
    """One request whose caller is known. `path` holds what the route's pattern names."""

    __slots__ = ("caller", "headers", "path", "receive", "scope")

    def __init__(self, scope: Scope, receive: Receive, path: Mapping[str, str]) -> None:
        self.scope = scope
        self.receive = receive
        self.path = path
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.caller = ""

    def header(self, name: bytes, default: str = "") -> str:
        """Return a header, by its name in lower case."""
        value = self.headers.get(name)
        return default if value is None else value.decode("latin-1")

    def length(self, *, default: int) -> int:
        """Return how many bytes the body has, as its head says; the default where it does not."""
        declared = self.headers.get(b"content-length", b"")
        return int(declared) if declared.isdigit() else default

    async def body(self, *, limit_bytes: int) -> bytes:
        """Return the whole body.

        Raises:
            LimitExceeded: it is longer than that.
            ClientGone: the client went away before its end.
        """
        declared = self.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit_bytes:
            raise _too_large(limit_bytes)
        message = await self.receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            first: bytes = message.get("body", b"")
            if len(first) > limit_bytes:
                raise _too_large(limit_bytes)
            return first
        return await self._rest(message, limit_bytes)

    async def _rest(self, message: Message, limit_bytes: int) -> bytes:
        body = bytearray()
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGone
            body += message.get("body", b"")
            if len(body) > limit_bytes:
                raise _too_large(limit_bytes)
            if not message.get("more_body"):
                return bytes(body)
            message = await self.receive()


def json_answer(shape: msgspec.Struct, *, status: int = OK) -> Answer:
    """Return a shape as JSON."""
    return Answer(msgspec.json.encode(shape), status=status)


def whole_number(text: str, *, what: str, least: int, most: int) -> int:
    """Read a number out of a header.

    Raises:
        InvalidInput: it is none, or out of range.
    """
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise InvalidInput(f"{what}: '{text[:40]}' must be a whole number from {least} to {most}", field=what)


def _too_large(limit_bytes: int) -> LimitExceeded:
    return LimitExceeded(f"the body is larger than the limit of {limit_bytes} bytes; send fewer rows at once")
