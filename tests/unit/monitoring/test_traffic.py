"""A window is merged from stretches that were summarised once, and says what its rows say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.monitoring.conftest import DAY, HOUR, World, predictions

from flyball.monitoring import traffic as module
from flyball.monitoring.compaction import Compaction
from flyball.monitoring.entities import FaultKind, WindowReport
from flyball.monitoring.inputs import summarise_traffic
from flyball.monitoring.sketches import sketch_table
from flyball.monitoring.sql import SqlRetentionStore, SqlSegmentStore, SqlStretchStore
from flyball.monitoring.summaries import merge_summaries
from flyball.monitoring.summary_codec import unpack
from flyball.registry.entities import EvidenceKind

ROWS = 600


@pytest.fixture(autouse=True)
def _many_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEWEST_ROWS", 100)


def _reference(world: World) -> None:
    generator = np.random.default_rng(0)
    training = pa.table(
        {"x": generator.normal(0, 1, 2_000), "kind": generator.choice(["a", "b"], 2_000), "label": [1, 0] * 1_000}
    )
    world.describe(1, training)
    sketches = sketch_table(training, features=["x", "kind"], predictions=training["label"].combine_chunks())
    world.shelf.kept["model", 1] = {
        **world.shelf.kept["model", 1],
        EvidenceKind.SKETCHES: world.artifacts.put_json(sketches.to_json()),
    }


def _batch(start: int, stop: int, *, day: int = 0) -> pa.Table:
    """Rows of a day that a generator fixes, whoever cuts them into batches."""
    generator = np.random.default_rng(day + 1)
    times = [day * DAY + row * DAY // ROWS for row in range(ROWS)]
    x, kind = generator.normal(0.7, 1, ROWS), generator.choice(["a", "b"], ROWS, p=[0.8, 0.2])
    answers = (generator.random(ROWS) < 0.9).astype(int)
    return predictions(
        [f"d{day}-{row}" for row in range(start, stop)],
        times[start:stop],
        answers[start:stop].tolist(),
        features={"x": x[start:stop].tolist(), "kind": kind[start:stop].tolist()},
    )


def _report(world: World, cuts: list[int]) -> WindowReport:
    for start, stop in zip([0, *cuts], [*cuts, ROWS], strict=True):
        world.log.accept("live", _batch(start, stop))
        world.monitors.evaluate("watch")
    world.log.accept("live", _batch(0, 10, day=1))
    (report,) = world.monitors.evaluate("watch")
    return report


def _stretches(world: World) -> list[tuple[int, int, int]]:
    found = SqlStretchStore(world.database).list("live", start_ms=0, end_ms=DAY)
    return [(one.after, one.through, one.rows) for one in found]


def test_a_window_is_summarised_as_it_fills_and_reported_as_from_its_rows(world: World) -> None:
    _reference(world)
    world.set_monitor()
    report = _report(world, [150, 170, 400])
    assert _stretches(world) == [(0, 1, 150), (1, 3, 250), (3, 4, 200)]
    whole = summarise_traffic(world.log.read("live", 0, DAY))
    kept = SqlStretchStore(world.database).list("live", start_ms=0, end_ms=DAY)
    merged = merge_summaries([unpack(one.content) for one in kept])
    assert merged.rows == whole.rows == ROWS
    for name, column in whole.columns.items():
        assert merged.columns[name].as_categories().counts == column.as_categories().counts, name
    assert {one.feature: one.drifted for one in report.drift} == {"x": True, "kind": True}
    assert [one.feature for one in report.outputs] == ["prediction"]
    assert report.outputs[0].drifted
    assert "sketches" in report.evidence


def test_the_report_does_not_depend_on_how_the_rows_came(world: World) -> None:
    _reference(world)
    world.set_monitor()
    one = _report(world, [150, 170, 400])
    SqlStretchStore(world.database).prune("live", length_ms=DAY, keep=0)
    assert _stretches(world) == []
    world.set_monitor(monitor="again")
    (first, *_rest) = world.monitors.evaluate("again")
    assert replace(first, monitor="watch", evidence={}) == replace(one, evidence={})
    assert _stretches(world) == [(0, 5, ROWS)]


def test_segments_that_were_merged_into_one_file_are_told_apart(world: World) -> None:
    _reference(world)
    world.set_monitor()
    for start, stop in ((0, 150), (150, 210)):
        world.log.accept("live", _batch(start, stop))
        world.monitors.evaluate("watch")
    assert _stretches(world) == [(0, 1, 150)]
    world.clock.advance(3 * HOUR)
    segments = SqlSegmentStore(world.database)
    Compaction(
        segments, artifacts=world.artifacts, events=world.events, clock=world.clock, database=world.database
    ).merge("live", actor="service:tester", fence=lambda: None)
    world.log.accept("live", _batch(210, ROWS))
    world.log.accept("live", _batch(0, 10, day=1))
    world.monitors.evaluate("watch")
    assert _stretches(world) == [(0, 1, 150), (1, 4, 450)]


def test_a_window_that_is_over_is_kept_as_one_stretch(world: World) -> None:
    _reference(world)
    world.set_monitor()
    _report(world, [150, 400])
    world.log.accept("live", _batch(10, 20, day=2))
    matured = world.monitors.evaluate("watch")
    assert [one.start_ms for one in matured] == [0, DAY]
    assert _stretches(world) == [(0, 3, ROWS)]


def test_rows_that_come_when_traffic_is_a_window_further_are_late(world: World) -> None:
    _reference(world)
    world.set_monitor(label_maturity="0d")
    world.log.accept("live", _batch(0, 150))
    world.log.accept("live", _batch(0, 200, day=2))
    world.log.accept("live", _batch(150, ROWS))
    report = next(one for one in world.monitors.evaluate("watch") if one.start_ms == 0)
    (stale,) = [fault for fault in report.faults if fault.kind is FaultKind.STALE]
    assert (stale.feature, stale.share) == ("rows", 0.75)
    world.log.accept("live", _batch(200, ROWS, day=2))
    assert not any(one.faults for one in world.monitors.evaluate("watch"))


def test_what_is_removed_from_the_log_is_in_no_summary_either(world: World) -> None:
    _reference(world)
    world.set_monitor()
    _report(world, [150])
    kept = SqlStretchStore(world.database)
    assert len(_stretches(world)) == 2
    SqlRetentionStore(world.database).expire("live", [2])
    assert _stretches(world) == []
    assert kept.list("live", start_ms=DAY, end_ms=2 * DAY) == []
