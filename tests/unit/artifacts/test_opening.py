"""The settings choose the store; a wrong setting is an error that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyball.artifacts import open_blob_store
from flyball.artifacts.folder import FolderBlobStore
from flyball.artifacts.memory import MemoryBlobStore
from flyball.artifacts.object_store import ObjectBlobStore
from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.kernel.settings import Settings

ENTRY_POINTS = """
[flyball.artifact_stores]
file = flyball.artifacts.folder:open_folder
s3 = flyball.artifacts.object_store:open_s3
shelf = shelf:open_shelf
"""

SHELF = """
from flyball.artifacts.memory import MemoryBlobStore

def open_shelf(settings):
    return MemoryBlobStore()
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution that offers stores."""
    info = tmp_path / "site" / "shelf-1.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site" / "shelf.py").write_text(SHELF)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path / "site")


def test_without_a_setting_artifacts_live_in_the_home_folder(tmp_path: Path) -> None:
    store = open_blob_store(Settings(home=tmp_path / "my home"))
    assert isinstance(store, FolderBlobStore)
    blob = store.put([b"x"])
    assert (tmp_path / "my home" / "artifacts" / "sha256" / blob.digest[:2] / blob.digest).read_bytes() == b"x"


def test_a_bucket_is_opened_without_being_touched(tmp_path: Path) -> None:
    store = open_blob_store(
        Settings(home=tmp_path, artifacts_url="s3://bucket/a/b", s3_access_key_id="k", s3_secret_access_key="s")
    )
    assert isinstance(store, ObjectBlobStore)


def test_a_store_of_another_package_is_found_by_its_scheme(tmp_path: Path) -> None:
    assert isinstance(open_blob_store(Settings(home=tmp_path, artifacts_url="shelf://x")), MemoryBlobStore)


@pytest.mark.parametrize("url", ["/var/lib/flyball", "file://elsewhere/folder", "file:relative", "s3:///prefix"])
def test_a_url_that_names_no_place_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInput, match="example") as caught:
        open_blob_store(Settings(home=tmp_path, artifacts_url=url))
    assert caught.value.field == "artifacts_url"


def test_an_unknown_scheme_is_refused_and_the_known_ones_are_named(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"file.*s3") as caught:
        open_blob_store(Settings(home=tmp_path, artifacts_url="gopher://bucket"))
    assert caught.value.field == "artifacts_url"
