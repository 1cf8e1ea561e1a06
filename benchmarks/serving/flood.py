"""Send requests at a rate, whether or not the ones before have been answered, and account for every one."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.serving.load import Request

ANSWER_BYTES = 1 << 20
# A server closes what is idle for longer, 5 s with ours; a request that is sent at that moment is lost, as HTTP allows.
IDLE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came back: how often each status and when, what went wrong on the way, how long answers with status 200 took."""

    sent: int
    statuses: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    good_s: list[float] = field(default_factory=list)
    answered: list[tuple[float, int]] = field(default_factory=list)

    def between(self, since_s: float, until_s: float) -> Counter[int]:
        """Return how often each status came back in a span of the monotonic clock."""
        return Counter(status for moment_s, status in self.answered if since_s <= moment_s < until_s)

    @property
    def unanswered(self) -> int:
        """The requests that nothing came back for."""
        return self.sent - self.statuses.total()


def flood(port: int, request: Request, *, rate: float, seconds: float, patience_s: float) -> Seen:
    """Send `rate` requests a second for so long, then wait at most `patience_s` for what is still to come."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # every request that waits holds a connection
    return asyncio.run(_flood(_Client(port), _messages(request), rate=rate, seconds=seconds, patience_s=patience_s))


async def _flood(client: _Client, messages: Sequence[bytes], *, rate: float, seconds: float, patience_s: float) -> Seen:
    tasks: set[asyncio.Task[None]] = set()
    seen = Seen(sent=int(rate * seconds))
    began = time.monotonic()
    for number in range(seen.sent):
        early_s = number / rate - (time.monotonic() - began)
        if early_s > 0:
            await asyncio.sleep(early_s)
        task = asyncio.create_task(_one(client.ask, messages[number % len(messages)], seen))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if number % 16 == 0:
            await asyncio.sleep(0)  # a sender that is late must not keep itself from reading answers
    if tasks:
        await asyncio.wait(tasks, timeout=patience_s)
    for task in tuple(tasks):
        task.cancel()
    client.close()
    return seen


async def _one(ask: Callable[[bytes], Awaitable[int]], message: bytes, seen: Seen) -> None:
    began = time.monotonic()
    try:
        status = await ask(message)
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        seen.faults[type(error).__name__] += 1
        return
    ended = time.monotonic()
    seen.statuses[status] += 1
    seen.answered.append((ended, status))
    if status == 200:
        seen.good_s.append(ended - began)


class _Client:
    """Connections that are used again when they are idle, and not for long."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, message: bytes) -> int:
        """Send a request and return the status of its answer."""
        reader, writer = self._taken() or await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(message)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            await reader.readexactly(length)
        except BaseException:
            writer.close()
            raise
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((time.monotonic(), reader, writer))
        return int(head.split(b" ", 2)[1])

    def _taken(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Take the connection that was used last; where that is long ago, all are old and are closed."""
        if self._idle:
            since, reader, writer = self._idle.pop()
            if time.monotonic() - since < IDLE_S and not reader.at_eof():
                return reader, writer
            writer.close()
            self.close()
            self._idle.clear()
        return None

    def close(self) -> None:
        """Close what is idle."""
        for _, _, writer in self._idle:
            with contextlib.suppress(OSError):
                writer.close()


def _messages(request: Request) -> list[bytes]:
    headers = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    start = f"POST {request.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}"
    return [f"{start}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in request.bodies]
