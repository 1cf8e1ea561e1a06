from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import anyio.to_thread
import pytest
from starlette.requests import ClientDisconnect

from flyball.server.streaming import PIECE_BYTES, Incoming, read_ahead


async def _body(chunks: list[bytes], *, breaks_off: bool = False) -> AsyncIterator[bytes]:
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk
    if breaks_off:
        raise ClientDisconnect


def test_a_body_arrives_whole_in_few_pieces() -> None:
    chunks = [bytes([at % 251]) * 65_536 for at in range(100)]

    async def run() -> list[bytes]:
        incoming = Incoming(_body(chunks))
        return await anyio.to_thread.run_sync(lambda: list(incoming.pieces()))

    pieces = asyncio.run(run())
    assert b"".join(pieces) == b"".join(chunks)
    assert len(pieces) == 7
    assert max(map(len, pieces)) == PIECE_BYTES


def test_a_body_that_breaks_off_says_so_after_what_came() -> None:
    seen: list[int] = []

    def read(incoming: Incoming) -> None:
        seen.extend(len(piece) for piece in incoming.pieces())

    async def run() -> None:
        incoming = Incoming(_body([b"x" * PIECE_BYTES] * 2, breaks_off=True))
        await anyio.to_thread.run_sync(read, incoming)

    with pytest.raises(ClientDisconnect):
        asyncio.run(run())
    assert seen == [PIECE_BYTES] * 2


async def _tasks_left() -> set[asyncio.Task[object]]:
    """Return the tasks that are left beside this one, after as long as it takes that there are none."""
    for _ in range(6_000):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            break
        await asyncio.sleep(0.01)
    return left


def test_who_stops_reading_leaves_nothing_running() -> None:
    def read_one(incoming: Incoming) -> bytes:
        pieces = incoming.pieces()
        piece = next(pieces)
        pieces.close()  # type: ignore[attr-defined]
        return piece

    async def run() -> set[asyncio.Task[object]]:
        incoming = Incoming(_body([b"x" * PIECE_BYTES] * 50))
        await anyio.to_thread.run_sync(read_one, incoming)
        return await _tasks_left()

    assert asyncio.run(run()) == set()


def test_who_leaves_the_rest_to_another_thread_leaves_nothing_running_either() -> None:
    def read_one(incoming: Incoming) -> Iterator[bytes]:
        pieces = incoming.pieces()
        next(pieces)
        return pieces

    async def run() -> set[asyncio.Task[object]]:
        pieces = await anyio.to_thread.run_sync(read_one, Incoming(_body([b"x" * PIECE_BYTES] * 50)))
        pieces.close()  # type: ignore[attr-defined]
        return await _tasks_left()

    assert asyncio.run(run()) == set()


def test_the_next_piece_is_made_while_this_one_is_sent() -> None:
    made = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"first"
        made.set()
        yield b"second"

    async def run() -> list[bytes]:
        sent: list[bytes] = []
        async for piece in read_ahead(pieces()):
            if not sent:
                assert await asyncio.to_thread(made.wait, 60)
            sent.append(piece)
        return sent

    assert asyncio.run(run()) == [b"first", b"second"]


def test_a_fault_after_some_pieces_reaches_who_sends() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"first"
        raise OSError("the disk broke")

    async def run() -> None:
        async for _ in read_ahead(pieces()):
            pass

    with pytest.raises(OSError, match="the disk broke"):
        asyncio.run(run())
