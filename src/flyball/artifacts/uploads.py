"""Uploads in parts: each part is kept as a blob of its own until the whole file is put together.

A part's blob begins with the upload's id and the part's number. So no two parts, and no part and file, ever share a blob, and
those of an upload can be deleted when it ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from flyball.artifacts.entities import Entry
from flyball.artifacts.paths import clean_path
from flyball.artifacts.service import Artifacts
from flyball.kernel.canonical import Digest, JsonValue, canonical_json
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.kernel.ids import new_id

MAX_PARTS = 10_000
"""As many as S3 takes; with the client's parts of 10 MB that is far above the largest file."""
MAX_AGE_MS = 7 * 24 * 3_600 * 1_000
"""An upload that nobody ended is swept away after a week, as object stores are commonly told to do."""

_ROOT = "uploads"
_RECORD = "upload"
_ID_LENGTH = 32
_TIME_DIGITS = 12
"""An id begins with its time in milliseconds, in so many hexadecimal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part as the uploader knows it: its number, from 1, and the tag that the upload of it answered."""

    number: int
    etag: str


class Uploads:
    """The verbs of uploads in parts. It has no state of its own; any process that has the store may go on with an upload."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    def create(self, root: str, path: str, *, part_count: int) -> str:
        """Begin an upload of a file, and return its id.

        Raises:
            InvalidInput: the path is not clean, or there are no or too many parts.
        """
        clean_path(path)
        if not 1 <= part_count <= MAX_PARTS:
            raise InvalidInput(f"num_parts must be between 1 and {MAX_PARTS}, got {part_count}", field="num_parts")
        upload_id = new_id()
        self._sweep(upload_id)
        record: JsonValue = {"upload_id": upload_id, "root": root, "path": path, "part_count": part_count}
        self._artifacts.put(_ROOT, f"{upload_id}/{_RECORD}", [canonical_json(record)])
        return upload_id

    def put_part(self, upload_id: str, number: int, chunks: Iterable[bytes]) -> str:
        """Keep a part, instead of an earlier one of its number, and return its tag.

        Raises:
            NotFound: there is no such upload.
            InvalidInput: it has no such part.
            StoreFull: there is no room.
        """
        record = self._record(upload_id)
        count = record["part_count"]
        if not isinstance(count, int) or not 1 <= number <= count:
            raise InvalidInput(f"the upload has {count} parts; there is no part {number}", field="part_number")
        head = _head(upload_id, number)
        before = self._artifacts.find(_ROOT, _place(upload_id, number))
        kept = self._artifacts.put(_ROOT, _place(upload_id, number), itertools.chain([head], chunks))
        if before and before.digest and before.digest != kept.digest:
            self._artifacts.blobs.delete(before.digest)
        return str(kept.digest)

    def complete(self, upload_id: str, root: str, path: str, *, parts: Sequence[Part]) -> Entry:
        """Put the file together from its parts, in their order, and forget the upload.

        Raises:
            NotFound: there is no such upload of this file.
            InvalidInput: a part is missing, twice there, or has another tag.
            LimitExceeded: the file is larger than the limit.
        """
        self._check_target(upload_id, root, path)
        ordered = sorted(parts, key=lambda part: part.number)
        if not ordered or len({part.number for part in ordered}) < len(ordered):
            raise InvalidInput("'parts' must name each part of the upload once", field="parts")
        digests = [self._part(upload_id, part) for part in ordered]
        joined = itertools.chain.from_iterable(
            self._bytes(upload_id, part.number, digest) for part, digest in zip(ordered, digests, strict=True)
        )
        entry = self._artifacts.put(root, path, joined)
        self._forget(upload_id)
        return entry

    def abort(self, upload_id: str, root: str, path: str) -> None:
        """Forget an upload and its parts.

        Raises:
            NotFound: there is no such upload of this file.
        """
        self._check_target(upload_id, root, path)
        self._forget(upload_id)

    def _record(self, upload_id: str) -> dict[str, JsonValue]:
        entry = self._artifacts.find(_ROOT, f"{upload_id}/{_RECORD}") if _is_id(upload_id) else None
        if entry is None or entry.digest is None:
            raise _no_upload(upload_id)
        record = self._artifacts.read_json(entry.digest)
        assert isinstance(record, dict), "the record is written by create"
        return record

    def _check_target(self, upload_id: str, root: str, path: str) -> None:
        record = self._record(upload_id)
        if (record["root"], record["path"]) != (root, path):
            raise _no_upload(upload_id)

    def _part(self, upload_id: str, part: Part) -> Digest:
        entry = self._artifacts.find(_ROOT, _place(upload_id, part.number))
        if entry is None or entry.digest is None or entry.digest != part.etag.strip('"'):
            raise InvalidInput(
                f"part {part.number} was not uploaded, or its tag is another; upload it again", field="parts"
            )
        return entry.digest

    def _bytes(self, upload_id: str, number: int, digest: Digest) -> Iterator[bytes]:
        skip = len(_head(upload_id, number))
        for chunk in self._artifacts.blobs.open(digest):
            yield chunk[skip:] if skip else chunk
            skip = max(0, skip - len(chunk))

    def _forget(self, upload_id: str) -> None:
        digests = [entry.digest for entry in self._artifacts.walk(_ROOT, upload_id)]
        self._artifacts.remove(_ROOT, upload_id)
        for digest in filter(None, digests):
            self._artifacts.blobs.delete(digest)

    def _sweep(self, newest_id: str) -> None:
        oldest_ms = _time_ms(newest_id) - MAX_AGE_MS
        for entry in self._artifacts.list(_ROOT):
            if _time_ms(entry.path) < oldest_ms:
                with suppress(NotFound):
                    self._forget(entry.path)


def _head(upload_id: str, number: int) -> bytes:
    return f"{upload_id}/{number}\n".encode()


def _place(upload_id: str, number: int) -> str:
    return f"{upload_id}/parts/{number}"


def _is_id(text: str) -> bool:
    return len(text) == _ID_LENGTH and text.isascii() and text.isalnum()


def _time_ms(upload_id: str) -> int:
    return int(upload_id[:_TIME_DIGITS], 16)


def _no_upload(upload_id: str) -> NotFound:
    return NotFound(f"there is no upload '{upload_id[:100]}' of this file; begin a new one", field="upload_id")
