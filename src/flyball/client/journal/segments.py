"""The files of a journal's records: a head that says which record comes first, then frames. A torn tail is seen, and cut."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from flyball.wire.v1.frames import ends_of

MAGIC = b"FLYJRNL1"
_HEAD = struct.Struct("<8sQ")
HEAD_BYTES = _HEAD.size
SUFFIX = ".segment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A file of records; `first` is the sequence of the first one."""

    path: Path
    first: int


def segments_of(folder: Path) -> list[Segment]:
    """Return the segments of a journal, in order. One whose head is torn has no record, and is left out."""
    found: list[Segment] = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if len(head) == HEAD_BYTES and head.startswith(MAGIC):
            found.append(Segment(path=path, first=_HEAD.unpack(head)[1]))
    return found


def start_segment(folder: Path, first: int) -> tuple[Segment, int]:
    """Make a segment and return it with the descriptor to append to."""
    path = folder / f"{first:020d}{SUFFIX}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.write(descriptor, _HEAD.pack(MAGIC, first))
    return Segment(path=path, first=first), descriptor


def cut_torn_tail(segment: Segment) -> int:
    """Cut what stands behind the last whole frame, and return how many bytes that were.

    Only for the last segment of a journal that nobody writes. A damaged frame with a whole one behind it is no torn tail.
    """
    content = segment.path.read_bytes()
    whole = HEAD_BYTES
    for end in ends_of(content, HEAD_BYTES):
        whole = end
    torn = len(content) - whole
    if torn and find_whole_frame(content, whole) is None:
        os.truncate(segment.path, whole)
        return torn
    return 0


def find_whole_frame(content: bytes, damaged: int) -> int | None:
    """Return where the frame behind a damaged one begins, if that can be told: the damaged one's length must be right."""
    from flyball.wire.v1.frames import claimed_end, whole_frame_at

    behind = claimed_end(content, damaged)
    return behind if behind is not None and whole_frame_at(content, behind) is not None else None
