"""Frames: what is torn or damaged is seen, whatever byte it ends at."""

from __future__ import annotations

import pytest

from flyball.kernel.errors import InvalidInput, LimitExceeded
from flyball.wire.v1.frames import MAX_RECORD_BYTES, claimed_end, ends_of, frame, records_in, whole_frame_at

RECORDS = [b"a", b"second record", b"\x00" * 40, b"last"]
WHOLE = b"".join(frame(record) for record in RECORDS)


def test_records_come_back_as_they_went_in() -> None:
    assert list(records_in(WHOLE)) == RECORDS


@pytest.mark.parametrize("cut", range(len(WHOLE)))
def test_a_tail_torn_at_any_byte_leaves_the_whole_frames_before_it(cut: int) -> None:
    ends = list(ends_of(WHOLE))
    assert list(ends_of(WHOLE[:cut])) == [end for end in ends if end <= cut]


@pytest.mark.parametrize("at", range(len(WHOLE)))
def test_a_changed_byte_is_seen(at: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[at] ^= 0x10
    before = [end for end in ends_of(WHOLE) if end <= at]
    assert list(ends_of(bytes(damaged)))[: len(before) + 1] == before


def test_the_frame_behind_a_damaged_one_can_be_found() -> None:
    first, second, *_ = ends_of(WHOLE)
    damaged = bytearray(WHOLE)
    damaged[second - 1] ^= 1
    assert whole_frame_at(bytes(damaged), first) is None
    assert claimed_end(bytes(damaged), first) == second


def test_a_hole_of_zeros_is_no_record() -> None:
    assert whole_frame_at(b"\x00" * 64, 0) is None


def test_a_torn_shipment_is_refused() -> None:
    with pytest.raises(InvalidInput, match="torn"):
        list(records_in(WHOLE[:-1]))


def test_a_record_has_a_limit() -> None:
    with pytest.raises(LimitExceeded):
        frame(b"x" * (MAX_RECORD_BYTES + 1))
