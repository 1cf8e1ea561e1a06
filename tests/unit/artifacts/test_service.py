"""The verbs of the room, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.artifacts import Artifacts, Blob, Entry
from flyball.artifacts.folder import FolderBlobStore
from flyball.artifacts.memory import MemoryBlobStore, MemoryNameStore
from flyball.artifacts.sql import SqlNameStore
from flyball.kernel.canonical import JsonValue, canonical_json, digest_bytes, digest_json
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, Corrupted, InvalidInput, LimitExceeded, NotFound


@pytest.fixture
def artifacts(database: Database, tmp_path: Path) -> Artifacts:
    return Artifacts(FolderBlobStore(tmp_path / "artifacts"), SqlNameStore(database), database)


def test_a_file_is_read_back_by_name(artifacts: Artifacts) -> None:
    entry = artifacts.put("run/1", "model/MLmodel", [b"flavors", b": {}"])
    blob = Blob(digest=digest_bytes(b"flavors: {}"), size_bytes=11)
    assert entry == Entry.of_file("model/MLmodel", blob) == artifacts.get("run/1", "model/MLmodel")
    assert artifacts.read("run/1", "model/MLmodel") == b"flavors: {}"
    found, chunks = artifacts.open("run/1", "model/MLmodel")
    assert (found, b"".join(chunks)) == (entry, b"flavors: {}")


def test_a_name_that_is_not_there_is_not_found(artifacts: Artifacts) -> None:
    artifacts.put("run/1", "a/b", [b""])
    for path in ("a", "b", "a/c"):
        with pytest.raises(NotFound, match=path):
            artifacts.read("run/1", path)
        assert artifacts.find("run/1", path) is None


@pytest.mark.parametrize("path", ["../x", "/x", "", "a%2fb"])
def test_every_verb_refuses_a_path_that_is_not_clean(artifacts: Artifacts, path: str) -> None:
    with pytest.raises(InvalidInput):
        artifacts.put("run/1", path, [b"x"])
    with pytest.raises(InvalidInput):
        artifacts.read("run/1", path)
    with pytest.raises(InvalidInput):
        artifacts.walk("run/1/" + path)
    assert list(artifacts.blobs.digests()) == []


def test_listing_shows_a_folder_and_walking_its_files(artifacts: Artifacts) -> None:
    for path in ("plots/roc.png", "plots/pr.png", "notes.txt"):
        artifacts.put("run/1", path, [path.encode()])
    assert [(entry.path, entry.is_dir) for entry in artifacts.list("run/1")] == [("notes.txt", False), ("plots", True)]
    assert [entry.path for entry in artifacts.list("run/1", "plots")] == ["plots/pr.png", "plots/roc.png"]
    assert [entry.path for entry in artifacts.walk("run/1")] == ["notes.txt", "plots/pr.png", "plots/roc.png"]


def test_removing_takes_the_names_and_leaves_bytes_that_others_name(artifacts: Artifacts) -> None:
    artifacts.put("run/1", "m/x", [b"shared"])
    artifacts.put("model/1", "x", [b"shared"])
    assert artifacts.remove("run/1", "m") == 1
    assert artifacts.walk("run/1") == []
    assert artifacts.read("model/1", "x") == b"shared"


def test_a_refused_name_is_not_bound(artifacts: Artifacts) -> None:
    artifacts.put("run/1", "a", [b"file"])
    with pytest.raises(Conflict):
        artifacts.put("run/1", "a/b", [b"x"])
    assert [entry.path for entry in artifacts.walk("run/1")] == ["a"]


def test_a_name_bound_in_a_transaction_that_fails_is_not_there(artifacts: Artifacts, database: Database) -> None:
    blob = artifacts.blobs.put([b"x"])
    with pytest.raises(InvalidInput), database.transaction():  # noqa: PT012 -- two binds, one transaction
        artifacts.bind("run/1", "a", blob=blob)
        artifacts.bind("run/1", "../b", blob=blob)
    assert artifacts.find("run/1", "a") is None


def test_a_tree_is_copied_out_as_files(artifacts: Artifacts, tmp_path: Path) -> None:
    for path in ("model/MLmodel", "model/data/x.bin", "other"):
        artifacts.put("run/1", path, [path.encode()])
    assert artifacts.copy_tree("run/1", "model", into=tmp_path / "out") == 2
    copied = {str(p.relative_to(tmp_path / "out")): p.read_text() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert copied == {"MLmodel": "model/MLmodel", "data/x.bin": "model/data/x.bin"}


def test_copying_out_never_overwrites(artifacts: Artifacts, tmp_path: Path) -> None:
    artifacts.put("run/1", "x", [b"new"])
    (tmp_path / "x").write_text("mine")
    with pytest.raises(Conflict):
        artifacts.copy_tree("run/1", "", into=tmp_path)
    assert (tmp_path / "x").read_text() == "mine"


def test_a_tree_that_is_not_there_has_no_copy_and_no_digest(artifacts: Artifacts, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        artifacts.copy_tree("run/1", "model", into=tmp_path)
    with pytest.raises(NotFound):
        artifacts.tree_digest("run/1", "model")


def test_the_digest_of_a_tree_depends_on_names_and_bytes_and_not_on_its_place(artifacts: Artifacts) -> None:
    artifacts.put("run/1", "model/a", [b"1"])
    artifacts.put("run/1", "model/b/c", [b"2"])
    artifacts.put("model/9", "b/c", [b"2"])
    artifacts.put("model/9", "a", [b"1"])
    expected = digest_json({"a": digest_bytes(b"1"), "b/c": digest_bytes(b"2")})
    assert artifacts.tree_digest("run/1", "model") == artifacts.tree_digest("model/9") == expected
    artifacts.put("model/9", "a", [b"changed"])
    assert artifacts.tree_digest("model/9") != expected


def test_a_file_over_the_limit_is_refused_while_it_streams(sqlite: Database) -> None:
    artifacts = Artifacts(MemoryBlobStore(), MemoryNameStore(), sqlite, max_bytes=10)
    artifacts.put("run/1", "fits", [b"12345", b"67890"])
    with pytest.raises(LimitExceeded):
        artifacts.put("run/1", "does-not", iter([b"12345", b"67890", b"x"]))
    assert [entry.path for entry in artifacts.walk("run/1")] == ["fits"]


def test_damaged_bytes_are_never_read_as_good_ones(artifacts: Artifacts, tmp_path: Path) -> None:
    entry = artifacts.put("run/1", "x", [b"good"])
    assert entry.digest is not None
    stored = tmp_path / "artifacts" / "sha256" / entry.digest[:2] / entry.digest
    stored.chmod(0o600)
    stored.write_bytes(b"evil")
    with pytest.raises(Corrupted, match=entry.digest):
        artifacts.read("run/1", "x")
    with pytest.raises(Corrupted):
        artifacts.copy_tree("run/1", "", into=tmp_path / "out")
    with pytest.raises(Corrupted), artifacts.blobs.fetch(entry.digest):
        pass
    artifacts.put("run/1", "x", [b"good"])
    assert artifacts.read("run/1", "x") == b"good"


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=_JSON)
def test_a_json_value_comes_back_with_the_same_canonical_form(value: JsonValue) -> None:
    artifacts = Artifacts(MemoryBlobStore(), MemoryNameStore(), _no_database())
    digest = artifacts.put_json(value)
    assert digest == digest_json(value)
    assert canonical_json(artifacts.read_json(digest)) == canonical_json(value)


def test_a_value_without_canonical_form_is_refused(artifacts: Artifacts) -> None:
    with pytest.raises(InvalidInput):
        artifacts.put_json({"score": float("nan")})


def _no_database() -> Database:
    """JSON values need no names, so no database is touched."""
    return object.__new__(Database)
