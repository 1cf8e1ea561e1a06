"""A version whose files are not kept here is never fetched to be served or scored."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyball.artifacts import Artifacts
from flyball.artifacts.memory import MemoryBlobStore
from flyball.artifacts.sql import SqlNameStore
from flyball.kernel.db import Database
from flyball.kernel.errors import NotFound
from flyball.registry import ModelVersion
from flyball.registry.entities import UNKNOWN_FILES
from flyball.server.scoring import fetch_model

RUN_ID = "2" * 32


@pytest.mark.parametrize("place", ["s3://bucket/model", f"runs:/{RUN_ID}/model"])
def test_the_error_names_the_version_and_what_to_do(sqlite: Database, tmp_path: Path, place: str) -> None:
    artifacts = Artifacts(MemoryBlobStore(), SqlNameStore(sqlite), sqlite)
    version = ModelVersion(
        name="elec",
        version=3,
        source=place,
        location=place,
        digest=UNKNOWN_FILES,
        created_ms=1,
        updated_ms=1,
        created_by="user:owner",
    )
    artifacts.put(f"run/{RUN_ID}", "model/MLmodel", [b"came later, and nobody vouches for it"])
    with pytest.raises(NotFound, match="elec/3 are not kept here"):
        fetch_model(artifacts, version, into=tmp_path)
    assert list(tmp_path.glob("MLmodel")) == []
