"""Messages about uploads in parts."""

from __future__ import annotations

from collections.abc import Mapping

from flyball.wire.mlflow.message import Int64, Message


class CreateUpload(Message):
    """Request: begin an upload; `path` is the file's path on the client, of which only the base name counts."""

    path: str | None = None
    num_parts: Int64 | None = None


class UploadCredential(Message):
    """Where one part goes, and what to send along."""

    url: str
    part_number: int
    headers: Mapping[str, str]


class UploadCreated(Message):
    """Answer: the upload, and where its parts go."""

    upload_id: str
    credentials: tuple[UploadCredential, ...]


class UploadedPart(Message):
    """A part that is there; `etag` is what the upload of it answered."""

    part_number: Int64 | None = None
    etag: str | None = None
    url: str | None = None


class CompleteUpload(Message):
    """Request: put the file together."""

    path: str | None = None
    upload_id: str | None = None
    parts: tuple[UploadedPart, ...] | None = None


class AbortUpload(Message):
    """Request: forget an upload."""

    path: str | None = None
    upload_id: str | None = None


class Presign(Message):
    """Request: sign an address for a direct transfer of a file."""

    run_id: str | None = None
    model_id: str | None = None
    path: str | None = None
    expiration: Int64 | None = None
