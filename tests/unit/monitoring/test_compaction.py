"""Merged segments read as they did before, whatever happens between two steps, and their evidence stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.monitoring.conftest import DAY, HOUR, World

from flyball.artifacts.entities import Blob
from flyball.kernel.errors import Conflict, NotFound
from flyball.monitoring.compaction import Compaction
from flyball.monitoring.sql import SqlSegmentStore

Batch = Callable[..., pa.Table]


def no_fence() -> None:
    """Let everybody write."""


def compaction_of(world: World) -> Compaction:
    return Compaction(
        SqlSegmentStore(world.database),
        artifacts=world.artifacts,
        events=world.events,
        clock=world.clock,
        database=world.database,
    )


@pytest.fixture
def full(everywhere: World, batch: Batch) -> World:
    """Three small batches, the middle one with another type, at the beginning of an hour."""
    world = everywhere
    world.clock.advance(HOUR - world.clock.now_ms() % HOUR)
    world.log.accept("live", batch(["a", "b"], [10, 20], [1, 0], features={"x": [1.0, 2.0]}))
    world.log.accept("live", batch(["c"], [15], [1], features={"x": [1.5]}))
    world.log.accept("live", batch(["d"], [30], [1], features={"x": ["text"]}))
    return world


def test_an_hour_is_merged_when_it_is_over_and_reads_as_before(full: World) -> None:
    before = full.log.read("live", 0, 100)
    evidence = [segment.identity for segment in full.log.segments("live", 0, 100)]
    compaction = compaction_of(full)
    assert compaction.due() == []
    full.clock.advance(HOUR + 10 * 60_000)
    assert compaction.due() == ["live"]
    made = compaction.merge("live", actor="service:monitor", fence=no_fence)
    assert [(one.segment_count, one.row_count) for one in made] == [(2, 3), (1, 1)]
    assert full.log.read("live", 0, 100) == before
    assert full.log.get("live", "c").column("feature.x").to_pylist() == [1.5]
    assert [segment.identity for segment in full.log.segments("live", 0, 100)] == evidence
    assert len({segment.digest for segment in full.log.segments("live", 0, 100)}) == 2
    assert compaction.merge("live", actor="service:monitor", fence=no_fence) == []
    assert full.kinds().count("predictions.merged") == 2


def test_what_was_merged_is_freed_an_hour_later_and_nothing_else_is(full: World) -> None:
    before, compaction = full.log.read("live", 0, 100), compaction_of(full)
    arrived = [segment.digest for segment in full.log.segments("live", 0, 100)]
    full.clock.advance(HOUR + 10 * 60_000)
    compaction.merge("live", actor="service:monitor", fence=no_fence)
    assert compaction.free("live", fence=no_fence) == 0
    assert all(full.artifacts.blobs.has(digest) for digest in arrived)
    full.artifacts.bind(
        "model/m", "kept.parquet", blob=Blob(digest=arrived[1], size_bytes=full.artifacts.blobs.size(arrived[1]))
    )
    full.clock.advance(HOUR + 1)
    assert compaction.free("live", fence=no_fence) == 1
    # The second is named by somebody else, and the third was alone: its file is the merged one.
    assert [full.artifacts.blobs.has(digest) for digest in arrived] == [False, True, True]
    assert compaction.due() == []
    assert full.log.read("live", 0, 100) == before


def test_a_crash_before_the_commit_leaves_the_log_as_it_was(full: World) -> None:
    before = full.log.read("live", 0, 100)
    full.clock.advance(HOUR + 10 * 60_000)

    def lost() -> None:
        raise Conflict("the lease is lost")

    with pytest.raises(Conflict):
        compaction_of(full).merge("live", actor="service:monitor", fence=lost)
    assert full.log.read("live", 0, 100) == before
    assert "predictions.merged" not in full.kinds()
    compaction_of(full).merge("live", actor="service:monitor", fence=no_fence)
    assert full.log.read("live", 0, 100) == before


def test_the_same_segments_are_not_merged_twice(full: World) -> None:
    full.clock.advance(HOUR + 10 * 60_000)
    compaction_of(full).merge("live", actor="service:monitor", fence=no_fence)
    store = SqlSegmentStore(full.database)
    with pytest.raises(Conflict):
        store.merge("live", [1, 2], digest=full.log.segments("live", 0, 100)[0].digest, now_ms=1)


def test_a_monitor_sees_no_difference(world: World) -> None:
    world.set_monitor()
    training = pa.table({"x": [float(number) for number in range(100)]})
    world.describe(1, training)
    for day in (1, 2, 3):
        world.label(world.serve(day))
    world.monitors.evaluate("watch")
    reports = world.monitors.reports("watch")
    world.clock.advance(2 * HOUR)
    compaction_of(world).merge("live", actor="service:monitor", fence=no_fence)
    world.clock.advance(2 * HOUR)
    compaction_of(world).free("live", fence=no_fence)
    world.serve(4)
    world.monitors.evaluate("watch")
    kept = world.monitors.reports("watch")[: len(reports)]
    assert [replace(report, revision=0) for report in kept[:-1]] == [
        replace(report, revision=0) for report in reports[:-1]
    ]
    assert world.log.read("live", DAY, 4 * DAY).num_rows == 720


def test_a_merged_file_is_read_without_us(full: World, tmp_path: Path) -> None:
    full.clock.advance(HOUR + 10 * 60_000)
    [made, _] = compaction_of(full).merge("live", actor="service:monitor", fence=no_fence)
    path = tmp_path / "merged.parquet"
    path.write_bytes(b"".join(full.artifacts.blobs.open(made.digest)))
    sums = duckdb.sql(f"SELECT count(*), sum(\"feature.x\") FROM read_parquet('{path}')").fetchall()
    assert sums == [(3, 4.5)]
    assert pd.read_parquet(path)["prediction_id"].tolist() == ["a", "b", "c"]
    assert pq.read_metadata(path).num_row_groups == 1


def test_a_file_that_is_named_stays_and_a_name_that_is_gone_is_said(full: World) -> None:
    full.clock.advance(HOUR + 10 * 60_000)
    compaction_of(full).merge("live", actor="service:monitor", fence=no_fence)
    names = [entry.path for entry in full.artifacts.walk("predictions/live")]
    assert [name.split("/")[1] for name in names] == [
        "000000000001-000000000002.parquet",
        "000000000003-000000000003.parquet",
    ]
    with pytest.raises(NotFound):
        full.artifacts.get("predictions/live", "000000000001.parquet")
