"""The promises of the ports as test classes: subclass one, give it a store as a fixture, and pytest holds it to them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from flyball.artifacts.entities import Blob, Entry
from flyball.artifacts.ports import BlobStore, NameStore
from flyball.kernel.canonical import Digest, digest_bytes
from flyball.kernel.errors import Conflict, InvalidInput, NotFound

ABSENT = Digest("0" * 64)
# Several parts of an object store's upload, and no whole number of chunks.
LARGE = bytes(range(256)) * (40 << 12) + b"end"


class BlobStoreConformance:
    """Promises of `BlobStore`. A subclass gives the fixture `blobs`: an empty store."""

    def test_what_is_put_is_read_back_under_its_digest(self, blobs: BlobStore) -> None:
        blob = blobs.put([b"fly", b"ball"])
        assert blob == Blob(digest=digest_bytes(b"flyball"), size_bytes=7)
        assert b"".join(blobs.open(blob.digest)) == b"flyball"

    def test_a_blob_of_many_chunks_comes_back_whole(self, blobs: BlobStore) -> None:
        blob = blobs.put(LARGE[start : start + 100_000] for start in range(0, len(LARGE), 100_000))
        assert blobs.size(blob.digest) == len(LARGE)
        assert digest_bytes(b"".join(blobs.open(blob.digest))) == blob.digest == digest_bytes(LARGE)

    def test_no_bytes_are_a_blob_too(self, blobs: BlobStore) -> None:
        blob = blobs.put([])
        assert blobs.size(blob.digest) == 0
        assert b"".join(blobs.open(blob.digest)) == b""

    def test_the_same_content_is_one_blob(self, blobs: BlobStore) -> None:
        assert blobs.put([b"same"]) == blobs.put([b"sa", b"me"])
        assert list(blobs.digests()) == [digest_bytes(b"same")]

    def test_digests_lists_every_blob(self, blobs: BlobStore) -> None:
        expected = {blobs.put([str(number).encode()]).digest for number in range(20)}
        assert set(blobs.digests()) == expected

    def test_an_empty_store_has_nothing(self, blobs: BlobStore) -> None:
        assert not blobs.has(ABSENT)
        assert list(blobs.digests()) == []
        assert blobs.sweep_temporary() == 0

    def test_an_absent_blob_is_not_found_at_the_call(self, blobs: BlobStore) -> None:
        with pytest.raises(NotFound):
            blobs.open(ABSENT)
        with pytest.raises(NotFound):
            blobs.size(ABSENT)
        with pytest.raises(NotFound), blobs.fetch(ABSENT):
            pass

    @pytest.mark.parametrize("text", ["", "abc", "A" * 64, "../../etc/passwd", "0" * 65])
    def test_what_is_no_digest_is_refused(self, blobs: BlobStore, text: str) -> None:
        verbs: list[Callable[[Digest], object]] = [blobs.open, blobs.has, blobs.size, blobs.delete]
        for verb in verbs:
            with pytest.raises(InvalidInput):
                verb(Digest(text))

    def test_a_deleted_blob_is_gone_and_deleting_again_does_nothing(self, blobs: BlobStore) -> None:
        blob, other = blobs.put([b"gone"]), blobs.put([b"stays"])
        blobs.delete(blob.digest)
        blobs.delete(blob.digest)
        assert not blobs.has(blob.digest)
        assert list(blobs.digests()) == [other.digest]

    def test_fetch_lends_a_file_with_the_bytes(self, blobs: BlobStore) -> None:
        blob = blobs.put([b"on disk"])
        with blobs.fetch(blob.digest) as path:
            assert path.read_bytes() == b"on disk"
        assert blobs.has(blob.digest)

    def test_a_source_that_fails_leaves_nothing(self, blobs: BlobStore) -> None:
        def broken() -> Iterator[bytes]:
            yield LARGE
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            blobs.put(broken())
        assert list(blobs.digests()) == []
        assert blobs.sweep_temporary() == 0

    def test_writers_of_the_same_content_at_once_all_succeed(self, blobs: BlobStore) -> None:
        results: list[Blob] = []
        barrier = threading.Barrier(4)

        def chunks() -> Iterator[bytes]:
            yield b"same "
            barrier.wait(timeout=30)  # all have begun, none has ended
            yield b"content"

        threads = [threading.Thread(target=lambda: results.append(blobs.put(chunks()))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert results == [Blob(digest=digest_bytes(b"same content"), size_bytes=12)] * 4
        assert b"".join(blobs.open(results[0].digest)) == b"same content"
        assert blobs.sweep_temporary() == 0

    def test_a_sweep_spares_a_living_writer(self, blobs: BlobStore) -> None:
        def swept_meanwhile() -> Iterator[bytes]:
            yield b"half"
            assert blobs.sweep_temporary() == 0
            yield b"whole"

        assert b"".join(blobs.open(blobs.put(swept_meanwhile()).digest)) == b"halfwhole"


A = Blob(digest=digest_bytes(b"a"), size_bytes=1)
B = Blob(digest=digest_bytes(b"b"), size_bytes=1)


class NameStoreConformance:
    """Promises of `NameStore`. A subclass gives the fixture `names`: an empty store."""

    def test_a_bound_name_is_found(self, names: NameStore) -> None:
        entry = names.bind("run/1", "model/MLmodel", blob=A)
        assert entry == Entry(path="model/MLmodel", is_dir=False, size_bytes=1, digest=A.digest)
        assert names.find("run/1", "model/MLmodel") == entry

    def test_a_name_bound_again_points_at_the_new_blob(self, names: NameStore) -> None:
        names.bind("run/1", "plot.png", blob=A)
        names.bind("run/1", "plot.png", blob=B)
        assert names.walk("run/1", "") == [Entry.of_file("plot.png", B)]

    def test_absent_names_are_none(self, names: NameStore) -> None:
        names.bind("run/1", "a/b", blob=A)
        assert names.find("run/1", "b") is None
        assert names.find("run/2", "a/b") is None
        assert names.find("run/1", "a") is None

    def test_roots_are_strangers(self, names: NameStore) -> None:
        names.bind("run/1", "x", blob=A)
        names.bind("run/10", "x", blob=B)
        assert names.remove("run/1", "") == 1
        assert names.walk("run/10", "") == [Entry.of_file("x", B)]

    def test_list_shows_direct_children_only(self, names: NameStore) -> None:
        for path in ("top.txt", "a/one", "a/b/two", "a/b/three", "ab/other", "a-b/other"):
            names.bind("run/1", path, blob=A)
        assert [(e.path, e.is_dir) for e in names.list("run/1", "")] == [
            ("a", True),
            ("a-b", True),
            ("ab", True),
            ("top.txt", False),
        ]
        assert names.list("run/1", "a") == [Entry.of_folder("a/b"), Entry.of_file("a/one", A)]
        assert names.list("run/1", "nowhere") == []
        assert names.list("run/1", "top.txt") == []

    def test_walk_is_sorted_by_code_point_and_stays_below_its_folder(self, names: NameStore) -> None:
        paths = ["a/B", "a/_", "a/b", "a/é", "a/b c", "a.txt", "a0", "A/x", "a/%_"]
        for path in paths:
            names.bind("run/1", path, blob=A)
        assert [entry.path for entry in names.walk("run/1", "")] == sorted(paths)
        assert [entry.path for entry in names.walk("run/1", "a")] == sorted(p for p in paths if p.startswith("a/"))

    def test_removing_a_folder_removes_what_is_below_it_and_no_more(self, names: NameStore) -> None:
        for path in ("a/x", "a/b/y", "ab", "a0"):
            names.bind("run/1", path, blob=A)
        assert names.remove("run/1", "a") == 2
        assert names.remove("run/1", "a") == 0
        assert [entry.path for entry in names.walk("run/1", "")] == ["a0", "ab"]

    def test_removing_a_file_leaves_its_neighbours(self, names: NameStore) -> None:
        names.bind("run/1", "a/x", blob=A)
        names.bind("run/1", "a/xy", blob=A)
        assert names.remove("run/1", "a/x") == 1
        assert [entry.path for entry in names.walk("run/1", "")] == ["a/xy"]

    def test_a_name_is_a_file_or_a_folder(self, names: NameStore) -> None:
        names.bind("run/1", "a/b", blob=A)
        with pytest.raises(Conflict):
            names.bind("run/1", "a", blob=A)
        with pytest.raises(Conflict):
            names.bind("run/1", "a/b/c/d", blob=A)
        assert [entry.path for entry in names.walk("run/1", "")] == ["a/b"]

    def test_of_a_file_and_a_folder_bound_at_once_one_wins(self, names: NameStore) -> None:
        for round_number in range(10):
            root, outcomes = f"run/{round_number}", list[str]()
            barrier = threading.Barrier(2)
            threads = [
                threading.Thread(target=_bind_at, args=(names, root, path, barrier, outcomes)) for path in ("a", "a/b")
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(timeout=60)
            assert sorted(outcomes) == ["bound", "refused"]
            assert len(names.walk(root, "")) == 1


def _bind_at(names: NameStore, root: str, path: str, barrier: threading.Barrier, outcomes: list[str]) -> None:
    barrier.wait(timeout=30)
    try:
        names.bind(root, path, blob=A)
        outcomes.append("bound")
    except Conflict:
        outcomes.append("refused")
