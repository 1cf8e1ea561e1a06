"""The prediction log keeps what was answered, joins what was true, and refuses what is neither."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from tests.unit.monitoring.conftest import World

from flyball.artifacts.ports import BlobStore
from flyball.kernel.errors import Conflict, InvalidInput, NotFound, UnknownKey
from flyball.monitoring.entities import Accepted, Label, LabelReceipt, Outcomes

Batch = Callable[..., pa.Table]


def _label(name: str, value: object = 1, time_ms: int = 99) -> Label:
    return Label(prediction_id=name, value=value, time_ms=time_ms)  # type: ignore[arg-type]


def test_predictions_come_back_by_time_with_their_labels(everywhere: World, batch: Batch) -> None:
    log = everywhere.log
    log.accept("live", batch(["b", "a"], [20, 10], [1, 0], features={"x": [2.0, 1.0]}))
    log.accept("live", batch(["c"], [15], [1], features={"x": [1.5]}))
    receipt = log.add_labels("live", [_label("a", 0), _label("b", 0)], revise=False, actor="service:feed")
    assert receipt == LabelReceipt(added=2, unchanged=0, revised=0)
    found = log.read("live", 10, 21).select(["prediction_id", "feature.x", "prediction", "label", "label_time_ms"])
    assert found.to_pylist() == [
        {"prediction_id": "a", "feature.x": 1.0, "prediction": 0, "label": 0, "label_time_ms": 99},
        {"prediction_id": "c", "feature.x": 1.5, "prediction": 1, "label": None, "label_time_ms": None},
        {"prediction_id": "b", "feature.x": 2.0, "prediction": 1, "label": 0, "label_time_ms": 99},
    ]


def test_the_end_of_a_span_is_not_in_it(world: World, batch: Batch) -> None:
    world.log.accept("live", batch(["a", "b"], [10, 20], [1, 1]))
    assert world.log.read("live", 10, 20).column("prediction_id").to_pylist() == ["a"]


def test_a_span_without_predictions_is_an_empty_table(world: World) -> None:
    found = world.log.read("live", 0, 10)
    assert found.num_rows == 0
    assert {"prediction_id", "time_ms", "role", "prediction", "label"} <= set(found.column_names)
    assert world.log.outcomes("live", 1, 0, 10) == Outcomes(rows=0, hits=0)


@pytest.mark.parametrize(
    ("answers", "label", "kind"),
    [
        ([1, 0], 1, pa.int64()),
        ([1, 0], 0.5, pa.float64()),
        ([1.5, 0.0], 1.5, pa.float64()),
        ([True, False], True, pa.bool_()),
        (["up", "down"], "up", pa.string()),
    ],
)
def test_a_label_has_the_type_of_its_prediction(
    world: World, batch: Batch, answers: list[object], label: object, kind: pa.DataType
) -> None:
    world.log.accept("live", batch(["a", "b"], [1, 2], answers))
    world.log.add_labels("live", [_label("a", label)], revise=False, actor="service:feed")
    found = world.log.read("live", 0, 9).column("label")
    assert (found.type, found.to_pylist()) == (kind, [label, None])


def test_lists_of_two_number_types_become_one(world: World, batch: Batch) -> None:
    for name, values in {"a": [1, 2], "b": [0.5]}.items():
        table = batch([name], [1], [1])
        for column in ("tensor.image", "output.more", "probabilities"):
            table = table.append_column(column, pa.array([values]))
        world.log.accept("live", table)
    found = world.log.read("live", 0, 9)
    assert found.column("tensor.image").to_pylist() == [[1.0, 2.0], [0.5]]
    assert found.schema.field("output.more").type.value_type == pa.float64()


def test_a_list_among_the_features_is_refused(world: World, batch: Batch) -> None:
    table = batch(["a"], [1], [1]).append_column("feature.x", pa.array([[1.0]]))
    with pytest.raises(InvalidInput, match=r"feature\.x"):
        world.log.accept("live", table)


def test_a_batch_that_is_shipped_again_is_kept_once(everywhere: World, batch: Batch) -> None:
    first = batch(["a", "b"], [1, 2], [1, 1])
    assert everywhere.log.add("live", first) == Accepted(rows=2, duplicates=0)
    assert everywhere.log.add("live", first) == Accepted(rows=0, duplicates=2)
    mixed = batch(["b", "c", "c"], [2, 3, 3], [0, 1, 0])
    assert everywhere.log.add("live", mixed) == Accepted(rows=1, duplicates=2)
    found = everywhere.log.read("live", 0, 9)
    assert found.select(["prediction_id", "prediction"]).to_pylist() == [
        {"prediction_id": "a", "prediction": 1},
        {"prediction_id": "b", "prediction": 1},
        {"prediction_id": "c", "prediction": 1},
    ]


def test_an_id_may_serve_two_endpoints(world: World, batch: Batch) -> None:
    world.log.accept("one", batch(["a"], [1], [1]))
    assert world.log.add("two", batch(["a"], [2], [0])) == Accepted(rows=1, duplicates=0)
    assert world.log.read("two", 0, 9).column("prediction").to_pylist() == [0]


def test_an_empty_batch_is_no_work(world: World, batch: Batch) -> None:
    empty = batch(["a"], [1], [1]).slice(0, 0)
    assert world.log.add("live", empty) == Accepted(rows=0, duplicates=0)
    assert world.log.find_stream("live") is None


def test_batches_of_many_threads_are_all_kept_once(everywhere: World, batch: Batch) -> None:
    tables = [batch([f"{place}", "same"], [place, 50], [1, 1]) for place in range(6)]
    threads = [threading.Thread(target=everywhere.log.accept, args=("live", table)) for table in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = everywhere.log.read("live", 0, 99).column("prediction_id").to_pylist()
    assert sorted(found) == [*"012345", "same"]


def test_a_shadows_answer_stands_beside_the_callers(world: World, batch: Batch) -> None:
    world.log.accept("live", batch(["a"], [1], [1], version=1))
    world.log.accept("live", batch(["a"], [1], [0], version=2, role="shadow"))
    world.log.add_labels("live", [_label("a", 0)], revise=False, actor="service:feed")
    assert world.log.read("live", 0, 9).column("version").to_pylist() == [1]
    assert world.log.read_all("live", 0, 9).column("version").to_pylist() == [1, 2]
    assert world.log.outcomes("live", 1, 0, 9) == Outcomes(rows=1, hits=0)
    assert world.log.outcomes("live", 2, 0, 9) == Outcomes(rows=1, hits=1)


def test_outcomes_count_labelled_rows_of_one_version(everywhere: World, batch: Batch) -> None:
    log = everywhere.log
    log.accept("live", batch(["a", "b", "c", "d"], [1, 2, 3, 40], [1, 1, 1, 1], version=2, role="canary"))
    log.accept("live", batch(["e"], [2], [1], version=1))
    labels = [_label("a", 1), _label("b", 0), _label("d", 1), _label("e", 1)]
    log.add_labels("live", labels, revise=False, actor="service:feed")
    assert log.outcomes("live", 2, 0, 40) == Outcomes(rows=2, hits=1)


def test_outcomes_compare_numbers_as_numbers(world: World, batch: Batch) -> None:
    world.log.accept("live", batch(["a", "b"], [1, 2], [1, 2]))
    world.log.add_labels("live", [_label("a", 1.0), _label("b", 2.5)], revise=False, actor="service:feed")
    assert world.log.outcomes("live", 1, 0, 9) == Outcomes(rows=2, hits=1)


def test_segments_of_different_features_and_types_stack(world: World, batch: Batch) -> None:
    world.log.accept("live", batch(["a"], [1], [1], features={"x": [1], "y": ["k"]}))
    world.log.accept("live", batch(["b"], [2], [1], features={"x": [2.5], "z": [True]}))
    world.log.accept("live", batch(["c"], [3], [1], features={"z": ["odd"]}))
    found = world.log.read("live", 0, 9)
    assert found.column("feature.x").to_pylist() == [1.0, 2.5, None]
    assert found.column("feature.y").to_pylist() == ["k", None, None]
    assert found.column("feature.z").to_pylist() == [None, "true", "odd"]


def test_reading_opens_only_segments_that_hold_a_row_of_the_span(
    world: World, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in range(5):
        world.log.accept("live", batch([f"p{place}"], [place * 10], [1]))
    opened: list[str] = []
    blobs: BlobStore = world.artifacts.blobs
    fetch = blobs.fetch

    def spy(digest: Any) -> Any:
        opened.append(digest)
        return fetch(digest)

    monkeypatch.setattr(blobs, "fetch", spy)
    assert world.log.read("live", 20, 31).column("prediction_id").to_pylist() == ["p2", "p3"]
    assert len(opened) == 2


def test_a_prediction_is_found_by_its_id_with_its_label(everywhere: World, batch: Batch) -> None:
    everywhere.log.accept("live", batch(["a", "b"], [1, 2], [1, 0], version=3))
    everywhere.log.add_labels("live", [_label("b", 1)], revise=False, actor="service:feed")
    (row,) = everywhere.log.get("live", "b").to_pylist()
    assert (row["prediction_id"], row["version"], row["prediction"], row["label"]) == ("b", 3, 0, 1)
    with pytest.raises(NotFound, match="'ghost'"):
        everywhere.log.get("live", "ghost")


def test_labels_may_be_revised_and_every_revision_stays(everywhere: World, batch: Batch) -> None:
    log = everywhere.log
    log.accept("live", batch(["a"], [1], [1]))
    log.add_labels("live", [_label("a", 1)], revise=False, actor="service:feed")
    with pytest.raises(Conflict, match="another label"):
        log.add_labels("live", [_label("a", 0)], revise=False, actor="service:feed")
    receipt = log.add_labels("live", [_label("a", 0, 120)], revise=True, actor="user:owner")
    assert receipt == LabelReceipt(added=0, unchanged=0, revised=1)
    assert [(label.revision, label.value) for label in log.label_history("live", "a")] == [(1, 1.0), (2, 0.0)]
    assert log.read("live", 0, 9).column("label").to_pylist() == [0]


def test_a_batch_with_one_unknown_prediction_is_refused_whole(everywhere: World, batch: Batch) -> None:
    everywhere.log.accept("live", batch(["a"], [1], [1]))
    before = everywhere.kinds()
    with pytest.raises(InvalidInput, match="'ghost'; no label of the batch was taken"):
        everywhere.log.add_labels("live", [_label("a"), _label("ghost")], revise=False, actor="service:feed")
    assert everywhere.log.read("live", 0, 9).column("label").to_pylist() == [None]
    assert everywhere.kinds() == before


def test_a_batch_of_labels_leaves_one_event_and_the_same_batch_again_none(everywhere: World, batch: Batch) -> None:
    everywhere.log.accept("live", batch(["a", "b"], [1, 2], [1, 1]))
    labels = [_label("a"), _label("b")]
    everywhere.log.add_labels("live", labels, revise=False, actor="service:feed")
    again = everywhere.log.add_labels("live", labels, revise=False, actor="service:feed")
    assert again == LabelReceipt(added=0, unchanged=2, revised=0)
    (event,) = everywhere.events.all()
    assert (event.kind, event.actor, event.subject) == ("labels.added", "service:feed", "endpoint:live")
    assert (event.payload["added"], event.payload["revised"]) == (2, 0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"time_ms": pa.array([-5, 1], pa.int64())}, "time_ms"),
        ({"time_ms": pa.array([None, 1], pa.int64())}, "time_ms"),
        ({"time_ms": pa.array([1.0, 2.0])}, "time_ms"),
        ({"role": pa.array(["champion", "king"])}, "role"),
        ({"prediction_id": pa.array(["", "b"])}, "prediction_id"),
        ({"prediction_id": pa.array(["x" * 300, "b"])}, "prediction_id"),
        ({"prediction": pa.array([None, 1], pa.int64())}, "prediction"),
        ({"score": pa.array(["a", "b"])}, "score"),
        ({"feature.x": pa.array([[1], [2]])}, "feature.x"),
        ({"colour": pa.array([1, 2])}, "colour"),
    ],
)
def test_a_batch_that_is_no_batch_of_predictions_is_refused(
    world: World, batch: Batch, change: dict[str, pa.Array], field: str
) -> None:
    table = batch(["a", "b"], [1, 2], [1, 1], features={"x": [1.0, 2.0]})
    for name, column in change.items():
        place = table.column_names.index(name) if name in table.column_names else None
        table = table.append_column(name, column) if place is None else table.set_column(place, name, column)
    with pytest.raises(InvalidInput) as caught:
        world.log.accept("live", table)
    assert caught.value.field == field
    assert world.log.find_stream("live") is None


def test_a_missing_column_and_an_unknown_one_are_told_apart(world: World, batch: Batch) -> None:
    table = batch(["a"], [1], [1])
    with pytest.raises(InvalidInput, match="lacks the column 'role'"):
        world.log.accept("live", table.drop_columns(["role"]))
    with pytest.raises(UnknownKey, match="latency_ms"):
        world.log.accept("live", table.append_column("latency", pa.array([1.0])))
    with pytest.raises(InvalidInput, match="two columns"):
        world.log.accept("live", table.append_column("role", pa.array(["champion"])))


@pytest.mark.parametrize("endpoint", ["", "a/b", "../up", "a b", "x" * 101])
def test_an_impossible_endpoint_is_refused(world: World, batch: Batch, endpoint: str) -> None:
    with pytest.raises(InvalidInput, match="no name"):
        world.log.accept(endpoint, batch(["a"], [1], [1]))
    with pytest.raises(InvalidInput, match="no name"):
        world.log.add_labels(endpoint, [_label("a")], revise=False, actor="service:feed")


def test_labels_of_predictions_that_were_not_drawn_are_left_out_and_counted(world: World, batch: Batch) -> None:
    world.log.accept("live", batch(["prediction-1"], [10], [1]))
    labels = [_label("prediction-1"), _label("prediction-4")]  # of a half, only the first is drawn
    with pytest.raises(InvalidInput, match="prediction-4"):
        world.log.add_labels("live", labels, revise=False, actor="service:feed")
    receipt = world.log.add_labels("live", labels, revise=False, actor="service:feed", share=0.5)
    assert receipt == LabelReceipt(added=1, unchanged=0, revised=0, not_captured=1)


def test_a_label_of_a_prediction_that_should_have_been_drawn_is_still_refused(world: World) -> None:
    with pytest.raises(InvalidInput, match="prediction-1"):
        world.log.add_labels("live", [_label("prediction-1")], revise=False, actor="service:feed", share=0.5)
