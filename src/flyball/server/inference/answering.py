"""What every protocol's verbs share: the models, the room where requests wait, and threads for what is large."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from flyball.kernel.errors import DeadlineExceeded
from flyball.server.inference.encodings import unfolded
from flyball.server.inference.exchange import Asker, Exchange, Reply
from flyball.server.inference.http import Answer, Call, Receive, whole_number
from flyball.server.inference.infer import HEADER_LENGTH
from flyball.server.inference.limits import BodyRoom, RequestLimits
from flyball.server.inference.waiting import WaitingRoom
from flyball.serving.host import ModelHost
from flyball.serving.plane import DataPlane
from flyball.serving.requests import InferAnswer, InferRequest

TIMEOUT_HEADER = b"x-request-timeout-ms"
_HEADER_LENGTH = HEADER_LENGTH.lower().encode()
LONGEST_TIMEOUT_MS = 3_600_000
# Reading a body of this size takes about as long as handing it to another thread; a larger one must not hold up the others.
READ_HERE_BYTES = 65_536
WRITTEN_HERE_ROWS = 1_024
THREADS = 2

ResultT = TypeVar("ResultT")


class Answering:
    """Read, predict, write. Belongs to one event loop."""

    def __init__(self, host: ModelHost, *, max_request_bytes: int, limits: RequestLimits | None = None) -> None:
        self.host = host
        self.max_request_bytes = max_request_bytes
        self._limits = limits or RequestLimits()
        self.bodies = BodyRoom(self._limits.bodies_bytes)
        self.room = WaitingRoom(timeout_s=self._limits.timeout_s)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="bodies")

    @property
    def waiting_count(self) -> int:
        """How many requests wait for their prediction."""
        return self.room.count

    async def exchange(self, call: Call, plane: DataPlane, read: Callable[[bytes], Exchange]) -> Answer:
        """Answer a request over HTTP.

        Raises:
            FlyballError: what `read` raises, and what `DataPlane.infer` does.
            Overloaded: the bodies of other requests leave no room for this one.
            DeadlineExceeded: the time that the header or the request gives is over.
            ClientGone: nobody waits for the answer any more.
        """
        timeout_s = seconds_given(call)
        encoding = call.header(b"content-encoding")
        # A folded body, and one that does not say its length, may be as large as any.
        most = self.max_request_bytes
        taken = self.bodies.take(most if encoding else min(call.length(default=most), most))
        try:
            sent = await self._body(call, large=taken > READ_HERE_BYTES)

            def parse() -> Exchange:
                return read(unfolded(sent, encoding, limit_bytes=self.max_request_bytes) if encoding else sent)

            # A folded body may be much larger than it looks; one of bytes is hardly looked at.
            reads_here = not encoding and _text_bytes(call, len(sent)) <= READ_HERE_BYTES
            asked = parse() if reads_here else await self.elsewhere(parse)
            taken = self.bodies.change(taken, asked.request.size_bytes)
            answer = await self.predict(
                plane, asked.request, timeout_s=shorter(timeout_s, asked.timeout_s), receive=call.receive
            )
            reply = await self.written(lambda: asked.write(answer), answer)
        finally:
            self.bodies.give_back(taken)
        return answer_of(reply)

    async def _body(self, call: Call, *, large: bool) -> bytes:
        """Return the body; a large one takes room from others, so it has to come in time."""
        if not large:
            return await call.body(limit_bytes=self.max_request_bytes)
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                return await call.body(limit_bytes=self.max_request_bytes)
        except TimeoutError as error:
            raise DeadlineExceeded("the body did not come in time") from error

    async def plane(self, name: str) -> DataPlane:
        """Return the plane of a model; one that was evicted is brought back first, while others are answered.

        Raises:
            NotFound: no model here has this name.
            Unavailable: it is unloaded.
        """
        plane = self.host.plane(name)
        return plane if plane is not None else await self.elsewhere(partial(self.host.load, name))

    async def predict(
        self, plane: DataPlane, request: InferRequest, *, timeout_s: float | None, receive: Receive | None
    ) -> InferAnswer:
        """Return the answer to a request; `receive` is where ASGI tells of a client that went away."""
        return await self.room.answer(plane, request, timeout_s=timeout_s, receive=receive)

    async def written(self, write: Callable[[], ResultT], answer: InferAnswer) -> ResultT:
        """Write an answer, a large one in another thread."""
        return write() if len(answer.prediction_ids) <= WRITTEN_HERE_ROWS else await self.elsewhere(write)

    async def elsewhere(self, work: Callable[[], ResultT]) -> ResultT:
        """Do what takes long in another thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def asker_of(plane: DataPlane, *, caller: str, model: str, version: str = "") -> Asker:
    """Return who asks, and what the model that is asked wants.

    Raises:
        InvalidInput: the version is no number.
        NotFound: it is not served here.
        Unavailable: no version is loaded yet.
    """
    if not version:
        return Asker(caller=caller, model=model, signature=plane.signature)
    number = version_of(version)
    return Asker(caller=caller, model=model, signature=plane.signature_of(number), version=number)


def version_of(text: str) -> int:
    """Read the number of a version out of a path or a message.

    Raises:
        InvalidInput: it is none.
    """
    return whole_number(text, what="version", least=1, most=2**31 - 1)


def shorter(first_s: float | None, second_s: float | None) -> float | None:
    """Return the shorter of two times, either of which may not be given."""
    given = [time_s for time_s in (first_s, second_s) if time_s is not None]
    return min(given) if given else None


def answer_of(reply: Reply) -> Answer:
    """Return a reply as HTTP sends it."""
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers]
    return Answer(reply.body, content_type=reply.media_type.encode(), headers=headers)


def _text_bytes(call: Call, sent_bytes: int) -> int:
    """Return how much of a body has to be read letter by letter: the part before the tensors that come as bytes."""
    given = call.headers.get(_HEADER_LENGTH)
    return int(given) if given is not None and given.isdigit() else sent_bytes


def seconds_given(call: Call) -> float | None:
    """Return the time that a header gives a request.

    Raises:
        InvalidInput: it is no number of milliseconds, or none that a request may take.
    """
    given = call.headers.get(TIMEOUT_HEADER)
    if given is None:
        return None
    text = given.decode("latin-1")
    return whole_number(text, what=TIMEOUT_HEADER.decode(), least=1, most=LONGEST_TIMEOUT_MS) / 1_000
