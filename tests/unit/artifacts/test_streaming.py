"""Memory stays constant, whatever the size of a blob."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

from flyball.artifacts.folder import FolderBlobStore

MIB = 1 << 20


def _zeros(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield bytes(MIB)


def test_writing_reading_and_fetching_64_mib_hold_a_few_chunks_at_a_time(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)
    tracemalloc.start()
    try:
        blob = store.put(_zeros(64))
        assert sum(len(chunk) for chunk in store.open(blob.digest)) == 64 * MIB
        with store.fetch(blob.digest) as path:
            assert path.stat().st_size == 64 * MIB
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB
