"""What is past its age goes with its labels, file by file; what is held stays, and a crash leaves nothing half-gone."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest
from tests.unit.monitoring.conftest import DAY, HOUR, World

from flyball.artifacts.entities import Blob
from flyball.kernel.canonical import Digest
from flyball.kernel.errors import Conflict, InvalidInput
from flyball.monitoring.compaction import Compaction
from flyball.monitoring.entities import Label, Segment
from flyball.monitoring.retention import Expired, Hold, Retention
from flyball.monitoring.sql import SqlRetentionStore, SqlSegmentStore

Batch = Callable[..., pa.Table]
FOR_EVER = 1 << 60
KEPT_DAYS = 30


def no_fence() -> None:
    """Let everybody write."""


def retention_of(world: World, *, days: int = KEPT_DAYS, hold: Hold | None = None) -> Retention:
    return Retention(
        SqlRetentionStore(world.database),
        keep_ms=days * DAY,
        holds=lambda _endpoint: hold or Hold(),
        artifacts=world.artifacts,
        events=world.events,
        clock=world.clock,
        database=world.database,
    )


def merge(world: World) -> None:
    """Bring everything that lies loose into files, and free what they were."""
    compaction = Compaction(
        SqlSegmentStore(world.database),
        artifacts=world.artifacts,
        events=world.events,
        clock=world.clock,
        database=world.database,
    )
    for _ in range(2):
        world.clock.advance(2 * HOUR)
        compaction.merge("live", actor="service:monitor", fence=no_fence)
        compaction.free("live", fence=no_fence)


def expire(retention: Retention) -> list[Expired]:
    return retention.expire("live", actor="service:monitor", fence=no_fence)


def fill(world: World, batch: Batch) -> World:
    """One file of two batches, and a younger one 20 days later; with a label each, and a shadow's answer that came late."""
    world.clock.advance(400 * DAY - world.clock.now_ms() % DAY)
    now = world.clock.now_ms()
    world.log.accept("live", batch(["a", "b"], [now, now], [1, 0]))
    world.log.accept("live", batch(["c"], [now], [1]))
    merge(world)
    world.clock.advance(20 * DAY)
    later = world.clock.now_ms()
    world.log.accept("live", batch(["d"], [later], [1]))
    world.log.accept("live", batch(["b"], [later], [1], role="shadow"))
    merge(world)
    for name in ("a", "b", "d"):
        world.label([Label(prediction_id=name, value=1.0, time_ms=later)])
    return world


@pytest.fixture
def filled(world: World, batch: Batch) -> World:
    return fill(world, batch)


def rows_of(world: World) -> list[str]:
    names: list[str] = world.log.read("live", 0, FOR_EVER).column("prediction_id").to_pylist()
    return sorted(names)


def files_of(world: World) -> list[str]:
    return [entry.path for entry in world.artifacts.walk("predictions/live")]


def test_a_file_goes_with_its_labels_when_all_of_it_is_past_its_age(everywhere: World, batch: Batch) -> None:
    world = fill(everywhere, batch)
    (old,) = {one.digest for one in world.log.segments("live", 0, FOR_EVER) if one.arrival <= 2}
    retention = retention_of(world)
    assert (retention.due(), expire(retention), len(files_of(world))) == ([], [], 2)
    world.clock.advance(11 * DAY)
    assert retention.due() == ["live"]
    (gone,) = expire(retention)
    assert gone == Expired(endpoint="live", digest=old, predictions=3, labels=1)
    assert rows_of(world) == ["d"]
    assert len(files_of(world)) == 1
    assert world.artifacts.blobs.has(old)
    assert retention.sweep("live", fence=no_fence) == 1
    assert not world.artifacts.blobs.has(old)
    assert (retention.due(), expire(retention), retention.sweep("live", fence=no_fence)) == ([], [], 0)
    event = next(one for one in world.events.all() if one.kind == "predictions.expired")
    assert (event.payload["predictions"], event.payload["labels"], event.payload["keep_days"]) == (3, 1, KEPT_DAYS)
    # The shadow's answer to b is younger, and so b's label stays; who was asked for a is not known any more.
    assert [one.prediction_id for one in world.log.label_history("live", "b")] == ["b"]
    with pytest.raises(InvalidInput, match="a"):
        world.label([Label(prediction_id="a", value=1.0, time_ms=1)])


def test_without_an_age_everything_stays(filled: World) -> None:
    filled.clock.advance(4_000 * DAY)
    retention = retention_of(filled, days=0)
    assert (retention.due(), expire(retention), retention.sweep("live", fence=no_fence)) == ([], [], 0)
    assert rows_of(filled) == ["a", "b", "c", "d"]


def test_old_rows_that_came_lately_stay(world: World, batch: Batch) -> None:
    world.clock.advance(400 * DAY)
    world.log.accept("live", batch(["a"], [1], [1]))
    merge(world)
    assert expire(retention_of(world)) == []


def held_by(files: dict[Digest, list[Segment]], old: Digest) -> list[Hold]:
    file = files[old]
    return [
        Hold(everything=True),
        Hold(from_ms=file[0].max_ms),
        Hold(spans=((file[0].min_ms, file[0].min_ms + 1),)),
        Hold(digests=frozenset({old})),
        Hold(digests=frozenset({file[1].identity})),
    ]


def test_what_is_held_stays_until_it_is_not_held_any_more(filled: World) -> None:
    filled.clock.advance(11 * DAY)
    files: dict[Digest, list[Segment]] = {}
    for segment in filled.log.segments("live", 0, FOR_EVER):
        files.setdefault(segment.digest, []).append(segment)
    old = next(digest for digest, file in files.items() if file[0].arrival == 1)
    for hold in held_by(files, old):
        assert expire(retention_of(filled, hold=hold)) == []
    first = files[old][0].min_ms
    elsewhere = Hold(
        from_ms=first + 1, spans=((first + 1, FOR_EVER), (0, first)), digests=frozenset({Digest("0" * 64)})
    )
    assert [one.digest for one in expire(retention_of(filled, hold=elsewhere))] == [old]


def test_who_lost_the_lease_removes_nothing(filled: World) -> None:
    filled.clock.advance(11 * DAY)

    def lost() -> None:
        raise Conflict("the lease is lost")

    retention = retention_of(filled)
    with pytest.raises(Conflict):
        retention.expire("live", actor="service:monitor", fence=lost)
    assert rows_of(filled) == ["a", "b", "c", "d"]
    assert "predictions.expired" not in filled.kinds()
    expire(retention)
    with pytest.raises(Conflict):
        retention.sweep("live", fence=lost)
    assert retention.due() == ["live"]
    assert retention.sweep("live", fence=no_fence) == 1


def test_bytes_that_something_else_names_stay(filled: World) -> None:
    filled.clock.advance(11 * DAY)
    retention = retention_of(filled)
    (gone,) = expire(retention)
    kept = filled.artifacts.blobs
    filled.artifacts.bind(
        "dataset/d/1", "data.parquet", blob=Blob(digest=gone.digest, size_bytes=kept.size(gone.digest))
    )
    assert retention.sweep("live", fence=no_fence) == 1
    assert kept.has(gone.digest)
