"""The promises of the port as a test class: subclass it, give it a store as a fixture, and pytest holds it to them."""

from __future__ import annotations

import dataclasses
import threading

from flyball.datasets.entities import Column, DatasetVersion
from flyball.datasets.ports import DatasetStore
from flyball.kernel.canonical import digest_bytes
from flyball.kernel.db import Database

FIRST = DatasetVersion(
    name="traffic",
    version=1,
    digest=digest_bytes(b"1"),
    row_count=3_000_000_000,
    columns=(Column(name="größe", type="double", nullable=True), Column(name="label", type="string", nullable=False)),
    profile_digest=digest_bytes(b"profile"),
    source="a file",
    created_ms=1_700_000_000_000,
    context={"windows": [["hourly", 0]], "share": 0.5},
)


class DatasetStoreConformance:
    """Promises of `DatasetStore`. A subclass gives the fixtures `store` (empty) and `database` (for transactions)."""

    def test_a_version_comes_back_as_it_was(self, store: DatasetStore) -> None:
        assert _add(store, FIRST) == FIRST
        assert store.find("traffic", 1) == FIRST

    def test_absent_versions_are_none(self, store: DatasetStore) -> None:
        _add(store, FIRST)
        assert store.find("traffic", 2) is None
        assert store.find("other", 1) is None
        assert store.find_latest("other") is None
        assert store.find_digest(digest_bytes(b"2")) is None
        assert store.find_digest(FIRST.digest, name="other") is None

    def test_numbers_count_up_from_one_for_each_name(self, store: DatasetStore) -> None:
        assert store.next_version("traffic") == 1
        _add(store, FIRST)
        assert store.next_version("traffic") == 2
        assert store.next_version("other") == 1

    def test_a_number_that_was_not_used_is_given_again(self, store: DatasetStore) -> None:
        assert [store.next_version("traffic"), store.next_version("traffic")] == [1, 1]

    def test_the_latest_is_the_highest_number(self, store: DatasetStore) -> None:
        for number in range(1, 12):
            _add(store, dataclasses.replace(FIRST, version=number, digest=digest_bytes(str(number).encode())))
        latest = store.find_latest("traffic")
        assert latest is not None
        assert latest.version == 11

    def test_content_is_found_at_its_first_place(self, store: DatasetStore) -> None:
        later = dataclasses.replace(FIRST, name="a-copy", created_ms=FIRST.created_ms + 1)
        _add(store, later)
        _add(store, FIRST)
        assert store.find_digest(FIRST.digest) == FIRST
        assert store.find_digest(FIRST.digest, name="a-copy") == later

    def test_lists_are_sorted_by_name_and_number(self, store: DatasetStore) -> None:
        for name in ("b", "B", "a-b", "a"):
            for number in range(1, 12 if name == "a" else 2):
                _add(store, dataclasses.replace(FIRST, name=name, version=number))
        assert [version.version for version in store.list("a")] == list(range(1, 12))
        assert [version.name for version in store.list()] == ["B", *["a"] * 11, "a-b", "b"]
        assert store.list("nowhere") == []

    def test_writers_at_once_never_get_the_same_number(self, store: DatasetStore, database: Database) -> None:
        barrier = threading.Barrier(4)

        def add() -> None:
            barrier.wait(timeout=30)
            with database.transaction():
                number = store.next_version("traffic")
                store.insert(dataclasses.replace(FIRST, version=number))

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert [version.version for version in store.list("traffic")] == [1, 2, 3, 4]


def _add(store: DatasetStore, version: DatasetVersion) -> DatasetVersion:
    store.next_version(version.name)
    store.insert(version)
    return version
