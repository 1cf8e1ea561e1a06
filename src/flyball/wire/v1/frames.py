"""How records stand one after another, on a disk and in a request: length and checksum before each, so that a torn one shows.

A frame is the length of the record (4 bytes, little-endian), the CRC-32 of the record (4 bytes), and the record.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from flyball.kernel.errors import InvalidInput, LimitExceeded

HEAD = struct.Struct("<II")
HEAD_BYTES = HEAD.size
MAX_RECORD_BYTES = 32 << 20
"""A description of a dataset may be 16 MB; anything longer than this is no record."""


def frame(record: bytes) -> bytes:
    """Put length and checksum before a record.

    Raises:
        LimitExceeded: it is longer than any record may be.
    """
    if len(record) > MAX_RECORD_BYTES:
        raise LimitExceeded(f"a record of {len(record)} bytes is larger than the limit of {MAX_RECORD_BYTES}")
    return HEAD.pack(len(record), zlib.crc32(record)) + record


def whole_frame_at(buffer: bytes | memoryview, start: int) -> int | None:
    """Return where the frame that begins at `start` ends; None where there is no whole, undamaged one."""
    body = start + HEAD_BYTES
    if body > len(buffer):
        return None
    length, checksum = HEAD.unpack_from(buffer, start)
    end = body + length
    # An empty record has a checksum of zero, as has a file system's hole: no record is empty.
    if not 0 < length <= MAX_RECORD_BYTES or end > len(buffer) or zlib.crc32(buffer[body:end]) != checksum:
        return None
    return int(end)


def claimed_end(buffer: bytes | memoryview, start: int) -> int | None:
    """Return where a damaged frame says that it ends, so that the one behind it may be tried; None where it says nothing."""
    if start + HEAD_BYTES > len(buffer):
        return None
    length, _ = HEAD.unpack_from(buffer, start)
    end = start + HEAD_BYTES + length
    return int(end) if 0 < length <= MAX_RECORD_BYTES and end <= len(buffer) else None


def ends_of(buffer: bytes | memoryview, start: int = 0) -> Iterator[int]:
    """Yield the end of each whole frame from `start` on, up to the first that is torn or damaged."""
    end = whole_frame_at(buffer, start)
    while end is not None:
        yield end
        end = whole_frame_at(buffer, end)


def records_in(buffer: bytes) -> Iterator[bytes]:
    """Yield the records of a buffer that must hold whole frames and nothing else.

    Raises:
        InvalidInput: a frame is torn or damaged.
    """
    start = 0
    for end in ends_of(buffer):
        yield buffer[start + HEAD_BYTES : end]
        start = end
    if start != len(buffer):
        raise InvalidInput(f"the record at byte {start} is torn, or its checksum is wrong; send it again", field="body")
