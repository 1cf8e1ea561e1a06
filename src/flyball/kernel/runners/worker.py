"""What a worker does: open the work once, then answer each part; and the process in which it does so for the local runner.

Standard output is the work's own, which may print whatever it likes: answers go out by a pipe, whose number is the only argument.
"""

from __future__ import annotations

import os
import struct
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import IO, TypeAlias, cast

import msgspec

from flyball.kernel.errors import FlyballError
from flyball.kernel.runners.ports import Work
from flyball.kernel.runners.refusals import Refusal, error_of, refusal_of

Does: TypeAlias = Callable[[bytes], bytes]
"""What a work is, once it is open."""

DONE, REFUSED = b"d", b"r"
_LENGTH = struct.Struct(">Q")


def open_work(work: Work) -> Does:
    """Import what a work names, and open it."""
    module, _, name = work.opens.partition(":")
    return cast("Callable[[bytes], Does]", getattr(import_module(module), name))(work.given)


class Worker:
    """Work that is opened with its first part, and stays open. Its answers never raise: what went wrong is an answer too."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._does: Does | None = None

    def answer(self, content: bytes) -> bytes:
        """Do a part, and return a tag and what became of it; see `outcome_of`."""
        try:
            if self._does is None:
                self._does = open_work(self._work)
            return DONE + self._does(content)
        except FlyballError as error:
            refusal = refusal_of(error)
        except Exception as error:  # noqa: BLE001 -- the work's code may fail in any way, and who waits must be told
            traceback.print_exc()
            refusal = refusal_of(FlyballError(f"the work failed with a {type(error).__name__}: {error}"))
        return REFUSED + msgspec.json.encode(refusal)


def outcome_of(answer: bytes) -> bytes:
    """Return what became of a part.

    Raises:
        FlyballError: the worker met it.
    """
    if answer[:1] == REFUSED:
        raise error_of(msgspec.json.decode(answer[1:], type=Refusal))
    return answer[1:]


def send(stream: IO[bytes], content: bytes) -> None:
    """Write a message with its length before it."""
    stream.write(_LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """Read a message; None at the end of the stream, also where that is in the middle of one."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    content = stream.read(size)
    return content if len(content) == size else None


def main() -> int:
    """Read a work and then parts, until there are no more."""
    with os.fdopen(int(sys.argv[1]), "wb") as answers:
        order = receive(sys.stdin.buffer)
        if order is None:
            return 0
        worker = Worker(msgspec.json.decode(order, type=Work))
        while (content := receive(sys.stdin.buffer)) is not None:
            send(answers, worker.answer(content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
