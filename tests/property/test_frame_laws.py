"""Whatever arrays are put into a frame come out of it as they were, and whatever else comes is refused."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from flyball.kernel.errors import Corrupted, LimitExceeded, Unsupported
from flyball.serving.isolation import frames
from flyball.serving.isolation.frames import Frame, decode, encode, receive, send

SHAPES = arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
NUMBERS = st.sampled_from(
    ["?", "<i1", "<i2", ">i4", "<i8", "<u1", "<u2", "<u4", "<u8", "<f2", "<f4", ">f8", "<f8", "<M8[ns]", "<M8[s]"]
)
ENTRIES = st.none() | st.text(st.characters(codec=None), max_size=5) | st.binary(max_size=5)
WORDS = st.dictionaries(
    st.text(max_size=3), st.none() | st.booleans() | st.integers() | st.text(max_size=3), max_size=3
)


@st.composite
def texts(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    shape = draw(SHAPES)
    found = np.empty(shape, dtype=object)
    for place in np.ndindex(shape):
        found[place] = draw(ENTRIES)
    return found


NUMERIC = NUMBERS.flatmap(lambda kind: arrays_of.arrays(np.dtype(kind), SHAPES))
ARRAYS = st.dictionaries(st.text(max_size=4), NUMERIC | texts(), max_size=4)


def through(frame: Frame) -> Frame:
    """Send a frame through a real socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, encode(frame))
        return receive(theirs, timeout_s=60)


def as_bytes(frame: Frame) -> bytes:
    return b"".join(encode(frame))


@given(verb=st.text(max_size=5), number=st.integers(0, 2**60), words=WORDS, arrays=ARRAYS)
def test_a_frame_comes_out_as_it_went_in(
    verb: str, number: int, words: dict[str, Any], arrays: dict[str, np.ndarray[Any, Any]]
) -> None:
    found = through(Frame(verb=verb, number=number, words=words, arrays=arrays))
    assert (found.verb, found.number, dict(found.words), list(found.arrays)) == (verb, number, words, list(arrays))
    for name, values in arrays.items():
        there = found.arrays[name]
        assert (there.shape, there.dtype) == (values.shape, values.dtype.newbyteorder("="))
        assert there.flags.writeable
        if values.dtype == object:
            assert there.ravel().tolist() == values.ravel().tolist()
        else:  # bit by bit, so that a NaN is the same NaN
            assert there.tobytes() == values.astype(values.dtype.newbyteorder("<")).tobytes()


@given(values=NUMERIC)
def test_an_array_that_does_not_lie_in_a_row_arrives_as_well(values: np.ndarray[Any, Any]) -> None:
    found = through(Frame(verb="x", number=0, arrays={"turned": values.T}))
    assert np.array_equal(found.arrays["turned"], values.T, equal_nan=values.dtype.kind in "fM")


@given(cut=st.integers(0, 300))
def test_a_frame_that_is_cut_anywhere_is_the_end(cut: int) -> None:
    whole = as_bytes(Frame(verb="x", number=0, arrays={"a": np.arange(3.0), "t": np.array(["ab", None], dtype=object)}))
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(whole[: min(cut, len(whole) - 1)])
        with pytest.raises(EOFError):
            receive(theirs, timeout_s=60)


@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused_and_nothing_else(place: int, value: int) -> None:
    whole = bytearray(as_bytes(Frame(verb="x", number=0, arrays={"t": np.array(["ab", None], dtype=object)})))
    header = struct.unpack_from("<4sIQ", whole)[1]
    whole[16 + place % (len(whole) - 16)] = value
    with contextlib.suppress(Corrupted):
        frame = decode(bytes(whole[16 : 16 + header]), whole[16 + header :])
        assert all(len(values) == 2 for values in frame.arrays.values())


@pytest.mark.parametrize(
    "described",
    [
        [["a", "<f8", [2], [8]]],
        [["a", "<f8", [-1], [8]]],
        [["a", "<f8", [1, 0, 2**70], [0]]],
        [["a", "<f8", [1], [7]]],
        [["a", "<f8", [True], [8]]],
        [["a", "<f8", [1], [2**60]]],
        [["a", "|O8", [1], [8]]],
        [["a", "<c16", [1], [16]]],
        [["a", "text", [1], [1, 8]]],
        [["a", "text", [1], [1, 8, 2**40]]],
        [["a", "<f8", [1], [8]], ["a", "<f8", [1], [8]]],
        [["a", "<f8", [0], [0]]],
        ["a"],
        {"a": 1},
        None,
    ],
)
def test_a_header_that_does_not_fit_its_body_is_refused(described: object) -> None:
    header = json.dumps({"verb": "x", "number": 0, "words": {}, "arrays": described}).encode()
    with pytest.raises(Corrupted):
        decode(header, bytearray(16))


@pytest.mark.parametrize(
    "header", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"verb":1,"number":0,"words":{},"arrays":[]}']
)
def test_a_header_that_is_none_is_refused(header: bytes) -> None:
    with pytest.raises(Corrupted):
        decode(header, bytearray())


@pytest.mark.parametrize(
    "prefix",
    [
        b"GET / HTTP/1.1\r\n",
        struct.pack("<4sIQ", b"FBF0", 2, 0),
        struct.pack("<4sIQ", b"FBF1", frames.LARGEST_HEADER_BYTES + 1, 0),
        struct.pack("<4sIQ", b"FBF1", 2, frames.LARGEST_BODY_BYTES + 1),
    ],
)
def test_a_prefix_of_another_version_or_beyond_the_limits_is_refused_before_anything_is_allocated(
    prefix: bytes,
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(prefix)
        with pytest.raises(Corrupted):
            receive(theirs, timeout_s=60)


def test_what_has_no_place_in_a_frame_is_named() -> None:
    with pytest.raises(Unsupported, match="'a' is an array of complex128"):
        encode(Frame(verb="x", number=0, arrays={"a": np.zeros(1, dtype=complex)}))
    with pytest.raises(Unsupported, match="'a' holds a float among its texts"):
        encode(Frame(verb="x", number=0, arrays={"a": np.array(["b", 1.5], dtype=object)}))


def test_a_frame_beyond_the_limit_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LARGEST_BODY_BYTES", 1_000)
    with pytest.raises(LimitExceeded, match="send fewer rows"):
        encode(Frame(verb="x", number=0, arrays={"a": np.zeros(1_000)}))


def test_a_large_frame_arrives_piece_by_piece() -> None:
    import threading

    values = np.arange(500_000, dtype=np.float64)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=send, args=(ours, encode(Frame(verb="x", number=1, arrays={"a": values}))))
        sender.start()
        assert np.array_equal(receive(theirs, timeout_s=60).arrays["a"], values)
        sender.join()


def test_waiting_has_an_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimeoutError):
        receive(theirs, timeout_s=0.05)
