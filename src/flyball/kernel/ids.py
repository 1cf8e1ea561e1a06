"""Ids that sort by the time they were made (UUID version 7, RFC 9562), as 32 hexadecimal digits."""

from __future__ import annotations

import os
import threading
import time

_COUNTER_BITS = 12
_COUNTER_MASK = (1 << _COUNTER_BITS) - 1
_TAIL_DIGITS = 16
# The system is asked for the random digits of so many ids at once: a question costs as much as the rest of an id.
_TAILS_AT_ONCE = 64
# The two highest of the last 64 bits are the variant (10), the two below them random.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_lock = threading.Lock()
_last_tick = 0
_tails = ""


def new_id() -> str:
    """Make an id that is greater than every id this process made before.

    >>> a, b = new_id(), new_id()
    >>> len(a), a < b
    (32, True)
    """
    tick, tail = _take()
    return f"{tick >> _COUNTER_BITS:012x}7{tick & _COUNTER_MASK:03x}{_VARIANT[tail[0]]}{tail[1:]}"


def first_id(since_ms: int) -> str:
    """Return the least id that can be made from a moment on.

    >>> first_id(0) < new_id() < first_id(1 << 47)
    True
    """
    return f"{since_ms:012x}" + "0" * 20


def _take() -> tuple[int, str]:
    """Take a tick, of which there are 4096 to a millisecond, and random digits; ticks never go backwards with the clock."""
    global _last_tick, _tails  # noqa: PLW0603 -- the order of ids is a property of the process
    now = time.time_ns() // 1_000_000 << _COUNTER_BITS
    with _lock:
        _last_tick = now if now > _last_tick else _last_tick + 1
        if not _tails:
            _tails = os.urandom(_TAILS_AT_ONCE * _TAIL_DIGITS // 2).hex()
        tail, _tails = _tails[:_TAIL_DIGITS], _tails[_TAIL_DIGITS:]
        return _last_tick, tail


def _forget() -> None:
    """Let a process that was forked draw digits of its own."""
    global _tails  # noqa: PLW0603 -- as above
    _tails = ""


os.register_at_fork(after_in_child=_forget)
