"""Questions and answers over one socket, one after the other, from any number of threads."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

from flyball.kernel.errors import Corrupted, Unavailable
from flyball.serving.isolation.frames import Array, Frame, Words, decode, encode, receive_parts, send
from flyball.serving.isolation.turns import Turns

_NOTICED_S = 5.0

ResultT = TypeVar("ResultT")


class ChannelBroken(Exception):
    """The other end is gone, silent for too long, or spoke out of turn. No channel mends itself: a new process gets a new one."""


class Channel:
    """Our end of a socket whose other end answers each question before it reads the next.

    Threads take turns; a question is put into its form before the turn and an answer is read after it, so that the other end
    waits for neither.
    """

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._turns = Turns()
        self._numbers = itertools.count()
        self._last = False
        self._broken = ""

    def exchange(self, verb: str, *, words: Words, arrays: Mapping[str, Array], timeout_s: float) -> Frame:
        """Ask, and return the answer. `timeout_s` is for the work on this question, not for those before it.

        Raises:
            ChannelBroken: there is no answer, and there will be none to any other question.
            Unavailable: it is being closed; nothing was asked.
            Unsupported: an array that has no place in a frame; nothing was asked.
            LimitExceeded: the question is too large; nothing was asked.
        """
        number = next(self._numbers)
        question = encode(Frame(verb=verb, number=number, words=words, arrays=arrays))
        if self._last:
            raise Unavailable("the model was unloaded while this request was on its way; repeat the call")
        with self._turns.mine():
            self._refuse_broken()
            header, body = self._trying(lambda: self._converse(question, timeout_s))
        answer = self._trying(lambda: decode(header, body))
        if answer.number != number:
            self.break_off(f"it spoke out of turn: it answered question {answer.number} when {number} was asked")
            self._refuse_broken()
        return answer

    def break_off(self, why: str) -> None:
        """End it for both sides, and for every thread that waits; the first reason counts."""
        self._broken = self._broken or why
        with suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)

    def finish(self, patience_s: float) -> None:
        """Take no more questions, and wait until those that were asked are answered, but no longer than this."""
        self._last = True
        if self._turns.take(timeout_s=patience_s):
            self._turns.give()
        self.break_off("the model was unloaded")

    def close(self) -> None:
        """Break off, wait until every thread has noticed, and give the socket back."""
        self.break_off("it was closed")
        if self._turns.take(timeout_s=_NOTICED_S):
            self._stream.close()
            self._turns.give()

    def _converse(self, question: list[memoryview], timeout_s: float) -> tuple[bytes, bytearray]:
        self._stream.settimeout(timeout_s)
        send(self._stream, question)
        return receive_parts(self._stream, timeout_s=timeout_s)

    def _trying(self, act: Callable[[], ResultT]) -> ResultT:
        try:
            return act()
        except TimeoutError as error:
            self.break_off("it did not answer in time")
            raise ChannelBroken(self._broken) from error
        except Corrupted as error:
            self.break_off(f"it spoke out of turn: {error.message}")
            raise ChannelBroken(self._broken) from error
        except (EOFError, OSError) as error:
            self.break_off("it ended")
            raise ChannelBroken(self._broken) from error

    def _refuse_broken(self) -> None:
        if self._broken:
            raise ChannelBroken(self._broken)
