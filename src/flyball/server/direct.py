"""Large bodies past the event loop: a thread reads them from the connection's own socket, or writes them to it.

Through the loop each byte of an upload is copied six times on its way (read, parsed, gathered, joined, handed over), and every piece
switches threads. Here the thread that hashes and stores a piece takes it from the kernel itself. The connection lends its
socket for the while (see `http_protocol`): it neither reads nor writes until it has it back.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import anyio.from_thread
from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import Awaitable

EXTENSION: Final = "flyball.connection"
"""Where the scope of a request has its `Lender`, if its connection lends its socket."""

PIECE_BYTES: Final = 1 << 20
# How often a thread that waits for the network looks whether its request was given up.
_LOOK_EVERY_MS = 500
_GONE = getattr(select, "POLLRDHUP", 0)


class Lender:
    """What a request asks its connection for."""

    def __init__(
        self,
        lend_body: Callable[[], BorrowedBody | None],
        give_back: Callable[[BorrowedBody], None],
        write: Callable[[Iterator[bytes]], Awaitable[None]],
    ) -> None:
        self._lend_body = lend_body
        self._give_back = give_back
        self.write = write
        """Write pieces of an answer whose head is sent, in a thread; raises ClientDisconnect."""

    def body(self) -> Iterator[bytes] | None:
        """Return the pieces of the request's body, None where it has to come by the loop; in a thread that the loop started.

        The pieces raise ClientDisconnect where the client went away before their end.
        """
        borrowed = anyio.from_thread.run_sync(self._lend_body)
        return None if borrowed is None else self._pieces(borrowed)

    def _pieces(self, borrowed: BorrowedBody) -> Iterator[bytes]:
        try:
            yield from borrowed.pieces()
        finally:
            self._give_back(borrowed)


class BorrowedBody:
    """The rest of a body that a socket still has to bring."""

    def __init__(self, descriptor: int, *, first: bytes, left: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._first = first
        self.left = left

    def pieces(self) -> Iterator[bytes]:
        """Yield what had come before, then what comes."""
        if self._first:
            yield self._first
        readable = select.poll()
        readable.register(self._socket, select.POLLIN | _GONE)
        asked = 0
        while self.left:
            size = min(PIECE_BYTES, self.left)
            if size != asked:
                # Wake up for a whole piece; for less where no more is to come, or where the kernel has no room for it.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
                asked = size
            if not readable.poll(_LOOK_EVERY_MS):
                anyio.from_thread.check_cancelled()
                continue
            piece = self._receive(size)
            self.left -= len(piece)
            if piece:
                yield piece

    def _receive(self, size: int) -> bytes:
        """Return what is there, which may be nothing yet."""
        try:
            piece = self._socket.recv(size)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise ClientDisconnect from error
        if not piece:
            raise ClientDisconnect
        return piece

    def abort(self) -> None:
        """Wake the reader, whose connection is lost."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Leave the connection as it was."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        self._socket.close()


def write_pieces(descriptor: int, pieces: Iterator[bytes]) -> int:
    """Write pieces to a connection's socket, and return how many bytes those were.

    Raises:
        ClientDisconnect: the client went away.
    """
    written = 0
    with socket.socket(fileno=descriptor) as connection:
        writable = select.poll()
        writable.register(connection, select.POLLOUT)
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                if writable.poll(_LOOK_EVERY_MS):
                    rest = rest[_send(connection, rest) :]
                else:
                    anyio.from_thread.check_cancelled()
            written += len(piece)
    return written


def _send(connection: socket.socket, data: memoryview) -> int:
    try:
        return connection.send(data)
    except BlockingIOError:
        return 0
    except OSError as error:
        raise ClientDisconnect from error
