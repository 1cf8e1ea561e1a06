"""Frames: how numpy arrays cross a local socket, by length and without pickle; the same code on both ends.

A frame is a prefix (magic with version, length of the header, length of the body, little-endian), a header in JSON and a body
of raw little-endian arrays. The header names the type and the shape of each array, from which its place follows, so that a
reader knows every length before it allocates anything.

This module and what it imports run in the model's environment too: nothing but the standard library and numpy.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from flyball.kernel.errors import Corrupted, LimitExceeded, Unsupported

PROTOCOL: Final = 1
LARGEST_HEADER_BYTES: Final = 16 << 20
LARGEST_BODY_BYTES: Final = 1 << 30
_MAGIC: Final = b"FBF" + str(PROTOCOL).encode()
_PREFIX: Final = struct.Struct("<4sIQ")
# Arrays begin where every numpy type may; a bytearray itself begins at such a place.
_ALIGNMENT: Final = 16
_MOST_DIMENSIONS: Final = 32
_TEXT: Final = "text"
_NUMBERS: Final = frozenset(
    {"|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8"}
    | {f"<M8[{unit}]" for unit in ("D", "s", "ms", "us", "ns")}
)
# What an entry of an object array may be; bytes and texts are told apart, and a missing one from an empty one.
_MISSING, _STRING, _BYTES = 0, 1, 2
# Up to here one copy costs less than the further calls into the kernel.
_JOINED_BYTES: Final = 1 << 20

Array: TypeAlias = npt.NDArray[Any]
Words: TypeAlias = Mapping[str, Any]
"""What a frame says beside its arrays: anything that JSON can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message. `number` joins a question and its answer."""

    verb: str
    number: int
    words: Words = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)


def encode(frame: Frame) -> list[memoryview]:
    """Return a frame as buffers to be sent one after the other. Large arrays are not copied.

    Raises:
        Unsupported: an array whose type has no place in a frame.
        LimitExceeded: the frame would be larger than a frame may be.
    """
    described, parts = [], []
    for name, values in frame.arrays.items():
        kind, buffers = _buffers(name, values)
        described.append([name, kind, list(values.shape), [len(buffer) for buffer in buffers]])
        parts += buffers
    said = {"verb": frame.verb, "number": frame.number, "words": frame.words, "arrays": described}
    header = json.dumps(said, separators=(",", ":")).encode()
    body = sum(_padded(len(part)) for part in parts)
    if len(header) > LARGEST_HEADER_BYTES or body > LARGEST_BODY_BYTES:
        raise LimitExceeded(
            f"a message to or from an isolated model would be {len(header) + body} bytes; the limit is "
            f"{LARGEST_BODY_BYTES}: send fewer rows at once"
        )
    prefix = _PREFIX.pack(_MAGIC, len(header), body)
    filled = [memoryview(prefix + header)]
    for part in parts:
        filled += [part, memoryview(bytes(_padded(len(part)) - len(part)))]
    return filled


def decode(header: bytes, body: bytearray) -> Frame:
    """Read a frame whose prefix is read already. Its arrays are views of the body, and may be written to.

    Raises:
        Corrupted: the header is no header, or does not fit the body.
    """
    try:
        said = json.loads(header)
        verb, number, words, described = said["verb"], said["number"], said["words"], said["arrays"]
        reader = _Reader(memoryview(body))
        arrays = {str(name): reader.array(kind, shape, sizes) for name, kind, shape, sizes in described}
    except Corrupted:
        raise
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise Corrupted(f"the header of a frame cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(verb, str) or type(number) is not int or not isinstance(words, dict):
        raise Corrupted("the header of a frame has fields of other types")
    if len(arrays) != len(described) or reader.left:
        raise Corrupted(f"the header of a frame leaves {reader.left} bytes over, or names an array twice")
    return Frame(verb=verb, number=number, words=words, arrays=arrays)


class _Reader:
    """Take arrays from a body, one after the other, each length checked before it is used."""

    def __init__(self, body: memoryview) -> None:
        self._body = body
        self._place = 0

    @property
    def left(self) -> int:
        return len(self._body) - self._place

    def array(self, kind: object, shape: object, sizes: object) -> Array:
        dimensions = _lengths(shape, at_most=_MOST_DIMENSIONS)
        count = math.prod(dimensions)
        taken = [self._take(size) for size in _lengths(sizes, at_most=3)]
        if kind == _TEXT and len(taken) == 3:  # noqa: PLR2004 -- kinds, ends, the texts themselves
            return _unpack(*taken, count=count).reshape(dimensions)
        if kind not in _NUMBERS or len(taken) != 1:
            raise Corrupted(f"a frame holds an array of type {kind!r} in {len(taken)} parts")
        found: Array = np.frombuffer(taken[0], dtype=str(kind))
        if found.size != count:
            raise Corrupted(f"an array of {count} values has room for {found.size}")
        return found.reshape(dimensions)

    def _take(self, size: int) -> memoryview:
        if _padded(size) > self.left:
            raise Corrupted(f"an array of {size} bytes is longer than its frame")
        taken = self._body[self._place : self._place + size]
        self._place += _padded(size)
        return taken


def _lengths(said: object, *, at_most: int) -> list[int]:
    if not isinstance(said, list) or len(said) > at_most or not all(type(one) is int and one >= 0 for one in said):
        raise Corrupted(f"{str(said)[:100]} in the header of a frame are no lengths")
    return said


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _buffers(name: str, values: Array) -> tuple[str, list[memoryview]]:
    if values.dtype.kind in "OUST":
        return _TEXT, _pack(name, values)
    plain = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    if plain.dtype.str not in _NUMBERS:
        raise Unsupported(
            f"'{name}' is an array of {values.dtype}; isolated models take and give booleans, integers, floats up to 64 "
            "bits, moments, texts and bytes",
            field=name,
        )
    return plain.dtype.str, [_bytes_of(plain)]


def _bytes_of(values: Array) -> memoryview:
    return values.reshape(-1).view(np.uint8).data


def _pack(name: str, values: Array) -> list[memoryview]:
    """Return the kind of each entry, where each one ends, and all of them in a row."""
    entries = values.ravel().tolist()
    chunks = [_chunk(name, entry) for entry in entries]
    flags = bytes(_MISSING if entry is None else _STRING if isinstance(entry, str) else _BYTES for entry in entries)
    ends = np.cumsum([len(chunk) for chunk in chunks], dtype="<i8")
    return [memoryview(flags), _bytes_of(ends), memoryview(b"".join(chunks))]


def _chunk(name: str, entry: object) -> bytes:
    if entry is None:
        return b""
    if isinstance(entry, str):
        return entry.encode("utf-8", "surrogatepass")
    if isinstance(entry, bytes):
        return entry
    raise Unsupported(
        f"'{name}' holds a {type(entry).__name__} among its texts; isolated models take and give texts, bytes and None",
        field=name,
    )


def _unpack(flags: memoryview, ends: memoryview, payload: memoryview, *, count: int) -> Array:
    if len(flags) != count or len(ends) != 8 * count:
        raise Corrupted(f"an array of {count} texts is described by {len(flags)} kinds and {len(ends)} bytes of ends")
    found: Array = np.empty(count, dtype=object)
    start = 0
    for place, (flag, end) in enumerate(zip(flags, np.frombuffer(ends, dtype="<i8").tolist(), strict=True)):
        if not start <= end <= len(payload) or flag not in {_MISSING, _STRING, _BYTES}:
            raise Corrupted("the texts of a frame do not lie within it")
        entry = bytes(payload[start:end])
        found[place] = entry.decode("utf-8", "surrogatepass") if flag == _STRING else entry if flag == _BYTES else None
        start = end
    if start != len(payload):
        raise Corrupted("the texts of a frame end before it does")
    return found


def send(stream: socket.socket, buffers: Sequence[memoryview]) -> None:
    """Send a frame that `encode` returned.

    Raises:
        OSError: the other end is gone, or the socket's own time has passed; what was sent is then no frame.
    """
    if sum(len(buffer) for buffer in buffers) <= _JOINED_BYTES:
        stream.sendall(b"".join(buffers))
        return
    for buffer in buffers:
        stream.sendall(buffer)


def receive(stream: socket.socket, *, timeout_s: float | None = None) -> Frame:
    """Wait for a frame, and read it.

    Raises:
        EOFError: the other end is gone.
        TimeoutError: it is not here in time.
        Corrupted: what came is no frame of this version; the connection is of no use any more.
    """
    return decode(*receive_parts(stream, timeout_s=timeout_s))


def receive_parts(stream: socket.socket, *, timeout_s: float | None = None) -> tuple[bytes, bytearray]:
    """Wait for a frame, and return its header and its body for `decode`.

    Raises:
        EOFError: the other end is gone.
        TimeoutError: it is not here in time.
        Corrupted: what came does not begin like a frame of this version.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    magic, header_bytes, body_bytes = _PREFIX.unpack(_exactly(stream, _PREFIX.size, deadline))
    if magic != _MAGIC:
        raise Corrupted(f"what came is no frame of version {PROTOCOL}: it begins with {magic!r}")
    if header_bytes > LARGEST_HEADER_BYTES or body_bytes > LARGEST_BODY_BYTES:
        raise Corrupted(f"a frame of {header_bytes + body_bytes} bytes is larger than a frame may be")
    return bytes(_exactly(stream, header_bytes, deadline)), _exactly(stream, body_bytes, deadline)


def _exactly(stream: socket.socket, size: int, deadline: float | None) -> bytearray:
    found = bytearray(size)
    rest = memoryview(found)
    while rest:
        if deadline is not None:
            stream.settimeout(max(deadline - time.monotonic(), 0.001))
        got = stream.recv_into(rest)
        if not got:
            raise EOFError("the other end closed the connection")
        rest = rest[got:]
    return found
