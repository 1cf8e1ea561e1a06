"""Ids that sort by the time they were made (UUID version 7, RFC 9562), as 32 hexadecimal digits."""

from __future__ import annotations

import os
import threading
import time

_COUNTER_BITS = 12
_COUNTER_LIMIT = 1 << _COUNTER_BITS
_lock = threading.Lock()
_last_ms = 0
_counter = 0


def new_id() -> str:
    """Make an id that is greater than every id this process made before.

    >>> a, b = new_id(), new_id()
    >>> len(a), a < b
    (32, True)
    """
    ms, counter = _tick()
    tail = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    value = (ms << 80) | (0x7 << 76) | (counter << 64) | (0b10 << 62) | tail
    return f"{value:032x}"


def _tick() -> tuple[int, int]:
    """Return (millisecond, counter within it), never going backwards when the machine's clock does."""
    global _last_ms, _counter  # noqa: PLW0603 -- the order of ids is a property of the process
    with _lock:
        now = time.time_ns() // 1_000_000
        if now > _last_ms:
            _last_ms, _counter = now, 0
        else:
            _counter += 1
            if _counter == _COUNTER_LIMIT:
                _last_ms, _counter = _last_ms + 1, 0
        return _last_ms, _counter
