from __future__ import annotations

import time

from flyball.kernel.clock import ManualClock, SystemClock


def test_the_system_clock_tells_milliseconds_since_1970() -> None:
    assert abs(SystemClock().now_ms() - time.time() * 1000) < 10_000


def test_a_manual_clock_moves_only_when_told_to() -> None:
    clock = ManualClock(5)
    assert (clock.now_ms(), clock.now_ms()) == (5, 5)
    clock.advance(7)
    assert clock.now_ms() == 12
