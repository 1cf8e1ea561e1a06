"""Every artifact store keeps the promises of its port; the object store against a real S3 API server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from moto.server import ThreadedMotoServer

from flyball.artifacts.conformance import BlobStoreConformance, NameStoreConformance
from flyball.artifacts.folder import FolderBlobStore
from flyball.artifacts.memory import MemoryBlobStore, MemoryNameStore
from flyball.artifacts.object_store import ObjectBlobStore, open_s3
from flyball.artifacts.sql import SqlNameStore
from flyball.kernel.db import Database
from flyball.kernel.settings import Settings


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class TestMemoryBlobStore(BlobStoreConformance):
    @pytest.fixture
    def blobs(self) -> MemoryBlobStore:
        return MemoryBlobStore()


class TestFolderBlobStore(BlobStoreConformance):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> FolderBlobStore:
        return FolderBlobStore(tmp_path / "artifacts")


class TestObjectBlobStore(BlobStoreConformance):
    @pytest.fixture
    def blobs(self, s3_endpoint: str, tmp_path: Path) -> ObjectBlobStore:
        bucket = f"bucket-{uuid.uuid4().hex}"
        for resource in (bucket, f"{bucket}/team/sha256/ab/no-blob", f"{bucket}/of-others"):
            assert urllib3.request("PUT", f"{s3_endpoint}/{resource}", timeout=60).status == 200
        settings = Settings(
            home=tmp_path,
            artifacts_url=f"s3://{bucket}/team",
            s3_endpoint=s3_endpoint,
            s3_access_key_id="key",
            s3_secret_access_key="secret",
        )
        return open_s3(settings)


class TestMemoryNameStore(NameStoreConformance):
    @pytest.fixture
    def names(self) -> MemoryNameStore:
        return MemoryNameStore()


class TestSqlNameStore(NameStoreConformance):
    @pytest.fixture
    def names(self, database: Database) -> SqlNameStore:
        return SqlNameStore(database)
