from __future__ import annotations

import dataclasses

import pytest

from flyball.kernel.errors import InvalidInput, NotFound
from flyball.kernel.events import EventLog, ref
from flyball.tracking.entities import DatasetInput, LoggedDataset, Metric, ModelId, ModelOutput, ModelStatus, RunId
from flyball.tracking.search import Field, Ordering
from flyball.tracking.service import Tracking

OWNER = "user:owner"
ELEC = DatasetInput(
    dataset=LoggedDataset(name="elec2", digest="1", source_type="flyball", source="dataset-version:elec2/3"),
    tags={"mlflow.data.context": "training"},
)


@pytest.mark.parametrize("source", ["dataset-version:elec2/3", '{"url": "dataset-version:elec2/3"}'])
def test_a_run_points_at_the_dataset_version_it_used(
    tracking: Tracking, run_id: RunId, events: EventLog, source: str
) -> None:
    used = dataclasses.replace(ELEC, dataset=dataclasses.replace(ELEC.dataset, source=source))
    tracking.lineage.log_inputs(run_id, datasets=[used, used], actor=OWNER)
    assert tracking.runs.get(run_id).datasets == (used,)
    (edge,) = events.store.edges_from(ref("run", run_id))
    assert (edge.relation, edge.object) == ("used", ref("dataset-version", "elec2/3"))


def test_a_dataset_from_elsewhere_has_no_edge(tracking: Tracking, run_id: RunId, events: EventLog) -> None:
    used = dataclasses.replace(ELEC, dataset=dataclasses.replace(ELEC.dataset, source="s3://bucket/elec2/3"))
    tracking.lineage.log_inputs(run_id, datasets=[used], actor=OWNER)
    assert events.store.edges_from(ref("run", run_id)) == []


@pytest.mark.parametrize(
    "change", [{"name": ""}, {"digest": ""}, {"digest": "x" * 37}, {"source": ""}, {"name": "nul\x00"}]
)
def test_a_dataset_that_lacks_a_part_is_refused(tracking: Tracking, run_id: RunId, change: dict[str, str]) -> None:
    bad = dataclasses.replace(ELEC, dataset=dataclasses.replace(ELEC.dataset, **change))
    with pytest.raises(InvalidInput):
        tracking.lineage.log_inputs(run_id, datasets=[ELEC, bad], actor=OWNER)
    assert tracking.runs.get(run_id).datasets == ()


def test_a_model_points_at_the_run_that_made_it(tracking: Tracking, run_id: RunId, events: EventLog) -> None:
    own = tracking.models.create("0", name="own", source_run_id=run_id, actor=OWNER)
    other = tracking.models.create("0", name="other", actor=OWNER)
    outputs = [ModelOutput(model_id=own.model_id), ModelOutput(model_id=other.model_id, step=2)]
    tracking.lineage.log_outputs(run_id, outputs, actor=OWNER)
    assert set(tracking.runs.get(run_id).model_outputs) == set(outputs)
    edges = events.store.edges_to(ref("run", run_id))
    assert [(edge.subject, edge.relation) for edge in edges] == [
        (ref("logged-model", own.model_id), "made-by"),
        (ref("logged-model", other.model_id), "made-by"),
    ]


def test_an_unknown_model_is_neither_input_nor_output(tracking: Tracking, run_id: RunId) -> None:
    unknown = ModelId(f"m-{'0' * 32}")
    with pytest.raises(NotFound):
        tracking.lineage.log_outputs(run_id, [ModelOutput(model_id=unknown)], actor=OWNER)
    with pytest.raises(NotFound):
        tracking.lineage.log_inputs(run_id, model_ids=[unknown], actor=OWNER)
    assert tracking.runs.get(run_id).model_outputs == ()


def test_a_model_is_pending_until_its_upload_has_ended(tracking: Tracking, events: EventLog) -> None:
    model = tracking.models.create("0", name="clf", model_type="sklearn", params=[("a", "1")], actor=OWNER)
    assert (model.status, model.artifact_uri) == (
        ModelStatus.PENDING,
        f"mlflow-artifacts:/0/models/{model.model_id}/artifacts",
    )
    with pytest.raises(InvalidInput):
        tracking.models.finalize(model.model_id, ModelStatus.PENDING, actor=OWNER)
    assert tracking.models.finalize(model.model_id, ModelStatus.READY, actor=OWNER).status is ModelStatus.READY
    assert [event.kind for event in events.history(ref("logged-model", model.model_id))] == [
        "logged_model.created",
        "logged_model.finalized",
    ]


def test_a_deleted_model_is_not_found(tracking: Tracking) -> None:
    model = tracking.models.create("0", name="clf", actor=OWNER)
    tracking.models.delete(model.model_id, actor=OWNER)
    with pytest.raises(NotFound):
        tracking.models.get(model.model_id)
    assert tracking.models.get(model.model_id, deleted=True).name == "clf"
    assert tracking.models.search(["0"]).items == ()


@pytest.mark.parametrize("name", ["a/b", "a:b", "a.b", "a%b", 'a"b', "a'b"])
def test_a_model_name_that_reads_as_a_path_is_refused(tracking: Tracking, name: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid model name"):
        tracking.models.create("0", name=name, actor=OWNER)


def test_params_of_a_model_never_change_and_tags_do(tracking: Tracking) -> None:
    model_id = tracking.models.create("0", name="clf", params=[("a", "1")], actor=OWNER).model_id
    tracking.models.log_params(model_id, [("a", "1"), ("b", "2")], actor=OWNER)
    with pytest.raises(InvalidInput, match="Changing param values"):
        tracking.models.log_params(model_id, [("c", "3"), ("a", "2")], actor=OWNER)
    for value in ("1", "2"):
        tracking.models.set_tags(model_id, [("t", value)], actor=OWNER)
    found = tracking.models.get(model_id)
    assert (found.params, found.tags) == ({"a": "1", "b": "2"}, {"t": "2"})
    tracking.models.delete_tag(model_id, "t", actor=OWNER)
    with pytest.raises(NotFound):
        tracking.models.delete_tag(model_id, "t", actor=OWNER)


def test_models_are_searched_and_sorted(tracking: Tracking, run_id: RunId) -> None:
    ids = {}
    for name, value in (("low", 0.1), ("high", 0.9), ("none", None)):
        model_id = tracking.models.create("0", name=name, params=[("p", name)], actor=OWNER).model_id
        ids[name] = model_id
        if value is not None:
            measured = tracking.models.get(model_id)
            tracking.log.log_batch(run_id, metrics=[_metric(measured.model_id, value)], actor=OWNER)
    by_accuracy = [Ordering(field=Field.METRIC, key="acc", ascending=False, dataset=("test", None))]

    def names(text: str = "") -> list[str]:
        return [found.name for found in tracking.models.search(["0"], filter_text=text, order_by=by_accuracy).items]

    assert names() == ["high", "low", "none"]
    assert names("metrics.acc < 0.5") == ["low"]
    assert names("params.p = 'none' AND status = 'PENDING'") == ["none"]
    assert names("name IN ('low', 'high') AND creation_timestamp > 0") == ["high", "low"]


def _metric(model_id: str, value: float) -> Metric:
    return Metric(key="acc", value=value, timestamp_ms=1, model_id=model_id, dataset_name="test")
