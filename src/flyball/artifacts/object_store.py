"""Blobs as objects in a bucket (S3 and what speaks its protocol), under the same layout as in a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from flyball.artifacts.entities import Blob
from flyball.artifacts.scratch import Scratch
from flyball.artifacts.streams import CHUNK_BYTES, Tally, checked, missing_blob
from flyball.kernel.canonical import Digest, parse_digest
from flyball.kernel.errors import InvalidInput, Unavailable
from flyball.kernel.settings import Settings

# S3 allows 10,000 parts of an upload: 8 MiB parts reach 78 GiB, far beyond the largest artifact, and four parts at a
# time keep an upload at 32 MiB of memory.
PART_BYTES = 8 << 20
PARTS_AT_A_TIME = 4
# A request handler waits for these; the library's own ten retries in three minutes would outlive any client.
RETRIES = 3
RETRY_SECONDS = 30
CONNECT_SECONDS = 5
REQUEST_SECONDS = 60


class ObjectBlobStore:
    """The store of many machines.

    A blob's key is its digest, which is known only when all of it has been seen; so it is written to a local scratch file
    first. Content that is there already is then not sent at all, and the bucket never holds an unfinished blob.
    """

    def __init__(self, store: S3Store, *, scratch: Scratch) -> None:
        self._store = store
        self._scratch = scratch

    def put(self, chunks: Iterable[bytes]) -> Blob:
        tally = Tally()
        with self._scratch.file() as file:
            for chunk in tally.through(chunks):
                file.write(chunk)
            file.flush()
            if self._find_size(tally.blob.digest) != tally.blob.size_bytes:
                self._upload(file, digest=tally.blob.digest)
        return tally.blob

    def open(self, digest: Digest) -> Iterator[bytes]:
        self.size(digest)
        return checked(self._stream(digest), digest)

    def has(self, digest: Digest) -> bool:
        return self._find_size(digest) is not None

    def size(self, digest: Digest) -> int:
        size_bytes = self._find_size(digest)
        if size_bytes is None:
            raise missing_blob(digest)
        return size_bytes

    def delete(self, digest: Digest) -> None:
        with _faults(), suppress(FileNotFoundError):
            obstore.delete(self._store, _key(digest))

    def digests(self) -> Iterator[Digest]:
        with _faults():
            for page in obstore.list(self._store, "sha256"):
                for item in page:
                    with suppress(InvalidInput):  # an object that somebody else put there is no blob
                        yield parse_digest(str(item["path"]).rsplit("/", maxsplit=1)[-1])

    @contextmanager
    def fetch(self, digest: Digest) -> Iterator[Path]:
        with self._scratch.file() as file:
            for chunk in self.open(digest):
                file.write(chunk)
            file.flush()
            yield Path(file.name)

    def sweep_temporary(self) -> int:
        return self._scratch.sweep()

    def _upload(self, file: BinaryIO, *, digest: Digest) -> None:
        try:
            with _faults():
                obstore.put(
                    self._store,
                    _key(digest),
                    Path(file.name),
                    chunk_size=PART_BYTES,
                    max_concurrency=PARTS_AT_A_TIME,
                )
        except FileNotFoundError as error:
            raise Unavailable(
                "the bucket of the artifact store does not exist; create it, or correct FLYBALL_ARTIFACTS_URL"
            ) from error

    def _stream(self, digest: Digest) -> Iterator[bytes]:
        try:
            with _faults():
                for chunk in obstore.get(self._store, _key(digest)).stream(min_chunk_size=CHUNK_BYTES):
                    yield bytes(chunk)
        except FileNotFoundError as error:
            raise missing_blob(digest) from error

    def _find_size(self, digest: Digest) -> int | None:
        with _faults(), suppress(FileNotFoundError):
            return int(obstore.head(self._store, _key(digest))["size"])
        return None


def _key(digest: Digest) -> str:
    name = parse_digest(digest)
    return f"sha256/{name[:2]}/{name}"


@contextmanager
def _faults() -> Iterator[None]:
    """Turn the library's faults into ours; a missing object stays a FileNotFoundError for the caller to name."""
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise Unavailable(
            "the bucket of the artifact store refused our credentials; check FLYBALL_S3_ACCESS_KEY_ID, "
            "FLYBALL_S3_SECRET_ACCESS_KEY and the bucket's policy"
        ) from error
    except BaseError as error:
        raise Unavailable("the bucket of the artifact store is out of reach; repeat the call") from error


def open_s3(settings: Settings) -> ObjectBlobStore:
    """Open the store at an `s3://bucket/prefix` URL.

    Raises:
        InvalidInput: the URL names no bucket.
    """
    parts = urlsplit(settings.artifacts_url)
    if not parts.netloc:
        raise InvalidInput(
            f"'{settings.artifacts_url}' names no bucket; example: s3://bucket/prefix", field="artifacts_url"
        )
    options = {
        "endpoint": settings.s3_endpoint,
        "access_key_id": settings.s3_access_key_id,
        "secret_access_key": settings.s3_secret_access_key,
    }
    store = S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        region=settings.s3_region,
        client_options={
            "allow_http": settings.s3_endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=REQUEST_SECONDS),
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
        **{key: value for key, value in options.items() if value},
    )
    return ObjectBlobStore(store, scratch=Scratch(settings.home / "scratch"))
