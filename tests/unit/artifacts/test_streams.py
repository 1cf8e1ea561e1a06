"""A stream that is left half-way ends without waiting for anybody."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator

from flyball.artifacts.streams import HASHED_INLINE, LARGE_BYTES, Tally

SECONDS = 120
LEFT_IN_A_STARTING_THREAD = """
import gc, threading
from flyball.artifacts.streams import HASHED_INLINE, LARGE_BYTES, Tally

class Ring:
    pass

def chunks():
    while True:
        yield bytes(LARGE_BYTES)

ring = Ring()
ring.itself, ring.stream = ring, Tally().through(chunks())
for _ in range(HASHED_INLINE + 2):
    next(ring.stream)
del ring
if hasattr(threading, "_shutdown_locks_lock"):
    with threading._shutdown_locks_lock:
        gc.collect()
else:
    gc.collect()
print("ended")
"""


def _large(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield bytes([number]) * LARGE_BYTES


def test_the_digest_is_that_of_all_bytes_whoever_hashed_them() -> None:
    tally = Tally()
    passed = b"".join(tally.through([b"small", *_large(HASHED_INLINE + 5), b"", b"end"]))
    assert tally.blob.digest == hashlib.sha256(passed).hexdigest()
    assert tally.blob.size_bytes == len(passed)


def test_a_stream_that_nobody_ended_is_collected_in_a_thread_that_is_just_starting() -> None:
    """A new thread holds a lock of the interpreter's by which threads are joined, and may be where garbage is collected."""
    ended = subprocess.run(
        [sys.executable, "-c", LEFT_IN_A_STARTING_THREAD], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ended.stdout == "ended\n", ended.stderr
