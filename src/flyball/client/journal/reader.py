"""Read a journal from a record on, in pieces that fit into one shipment; damage is stepped over, and told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flyball.client.journal.folder import JournalFolder
from flyball.client.journal.segments import HEAD_BYTES, Segment, find_whole_frame, segments_of
from flyball.client.journal.writer import Position
from flyball.wire.v1 import frames
from flyball.wire.v1.journals import File, decode, is_file

PIECE_BYTES = 512 << 10
"""Some thousand points: large enough that a request costs little, small enough that the server's writer is not held long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some records as they stand in the journal. Where it is a single record of a file, `file` is that record."""

    first: int
    count: int
    body: bytes
    file: File | None
    damage: str

    @property
    def last(self) -> int:
        """The sequence of the last record."""
        return self.first + self.count - 1


class Reader:
    """Read a journal in order. `end` says how far a living writer has come; without one, the files say it."""

    def __init__(self, folder: JournalFolder, end: Callable[[], Position] | None = None) -> None:
        self._folder = folder
        self._end = end
        self._segment: Segment | None = None
        self._offset = HEAD_BYTES
        self._next = 1

    def seek(self, sequence: int) -> None:
        """Go to a record, or to the first one behind it that is there."""
        segments = segments_of(self._folder.path)
        before = [segment for segment in segments if segment.first <= sequence]
        if not segments:
            return
        self._segment = before[-1] if before else segments[0]
        self._offset, self._next = HEAD_BYTES, self._segment.first
        content = self._content(self._segment, 0)
        for end in frames.ends_of(content, HEAD_BYTES):
            if self._next >= sequence:
                return
            self._offset, self._next = end, self._next + 1

    def piece(self) -> Piece | None:
        """Return the records from where the reader stands, None at the end; `skip` goes on behind them."""
        damage = ""
        while True:
            if self._segment is None:
                self.seek(self._next)
            if self._segment is None:
                return None
            content = self._content(self._segment, self._offset)
            if content and (found := self._cut(content, damage)) is not None:
                return found
            reason = self._step_over(content)
            if reason is None:
                return None
            damage = damage or reason

    def skip(self, piece: Piece, *, until: int | None = None) -> None:
        """Go on behind a piece, or behind one of its records."""
        last = piece.last if until is None else min(until, piece.last)
        behind = 0
        for end in frames.ends_of(piece.body):
            if self._next > last:
                break
            behind, self._next = end, self._next + 1
        self._offset += behind

    def done_segments(self) -> list[Segment]:
        """Return the segments that the reader has left behind."""
        return [one for one in segments_of(self._folder.path) if self._segment and one.first < self._segment.first]

    def _cut(self, content: bytes, damage: str) -> Piece | None:
        start = count = 0
        for end in frames.ends_of(content):
            record = memoryview(content)[start + frames.HEAD_BYTES : end]
            if is_file(record):
                if count:
                    break
                found = decode(bytes(record))
                assert isinstance(found, File)
                return Piece(first=self._next, count=1, body=content[:end], file=found, damage=damage)
            if count and end > PIECE_BYTES:
                break
            start, count = end, count + 1
        if not count:
            return None
        return Piece(first=self._next, count=count, body=content[:start], file=None, damage=damage)

    def _content(self, segment: Segment, offset: int) -> bytes:
        """Read what is whole of a segment from an offset on: enough for one piece, or to the end from its beginning."""
        end = self._end() if self._end is not None else None
        limit = end.offset - offset if end is not None and end.segment.first == segment.first else -1
        wanted = 2 * PIECE_BYTES if offset else -1
        size = limit if wanted < 0 else wanted if limit < 0 else min(limit, wanted)
        with segment.path.open("rb") as file:
            file.seek(offset)
            content = file.read(size)
            if size == wanted and frames.whole_frame_at(content, 0) is None:
                content += file.read(frames.MAX_RECORD_BYTES if limit < 0 else limit - len(content))
        return content

    def _step_over(self, content: bytes) -> str | None:
        """Go on behind what cannot be read: the next frame, or the next segment. None where there is nothing behind it."""
        assert self._segment is not None
        behind = find_whole_frame(content, 0)
        if behind is not None:
            self._offset, self._next = self._offset + behind, self._next + 1
            return f"record {self._next - 1} of {self._segment.path.name} is damaged"
        later = [one for one in segments_of(self._folder.path) if one.first > self._segment.first]
        if not later:
            return None
        lost = later[0].first - self._next
        name, first = self._segment.path.name, self._next
        self._segment, self._offset, self._next = later[0], HEAD_BYTES, later[0].first
        return f"{lost} records from {first} on in {name} are damaged" if lost else ""
