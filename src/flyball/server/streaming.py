"""Bodies between the event loop and a handler's thread: while the one works on a piece, the other has the next one made ready."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import anyio.from_thread
from starlette.concurrency import run_in_threadpool

# Two pieces are in memory at most. Smaller ones cost a switch of threads each; larger ones gain nothing.
PIECE_BYTES = 1 << 20


class Incoming:
    """A body that arrives on the event loop, and is read in a thread that the loop started."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self._next: asyncio.Task[bytes] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def pieces(self) -> Iterator[bytes]:
        """Yield the body in pieces, the next one being gathered meanwhile.

        Raises:
            ClientDisconnect: the client went away before the end.
        """
        try:
            while piece := anyio.from_thread.run(self._step):
                yield piece
        finally:
            self._stop_soon()

    async def _step(self) -> bytes:
        self._loop = asyncio.get_running_loop()
        piece = await (self._next or asyncio.create_task(self._gather()))
        self._next = asyncio.create_task(self._gather()) if piece else None
        return piece

    async def _gather(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while size < PIECE_BYTES:
            chunk = await anext(self._stream, None)
            if chunk is None:
                break
            parts.append(chunk)
            size += len(chunk)
        return b"".join(parts)

    def _stop_soon(self) -> None:
        """Ask the loop to stop, from whatever thread: who breaks off in the middle may leave the rest to the garbage collector."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and its tasks with it
                self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        """Give up what nobody will ask for any more."""
        if self._next is not None:
            self._next.cancel()
            self._next.add_done_callback(_forget)


def _forget(task: asyncio.Task[bytes]) -> None:
    if not task.cancelled():
        task.exception()


async def read_ahead(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what a thread makes, the next piece being made while this one is sent."""
    making = asyncio.ensure_future(run_in_threadpool(next, pieces, None))
    try:
        while (piece := await making) is not None:
            making = asyncio.ensure_future(run_in_threadpool(next, pieces, None))
            yield piece
    finally:
        await asyncio.wait([making])  # a thread is not broken off; it leaves the file to us closed or at its next piece
