from __future__ import annotations

import math

import pytest

from flyball.kernel.errors import InvalidInput, NotFound
from flyball.kernel.events import EventLog
from flyball.tracking.entities import Metric, RunId
from flyball.tracking.log_entries import LogEntry
from flyball.tracking.service import Tracking

OWNER = "user:owner"


def point(key: str = "m", value: float = 1.0, **more: int | str) -> Metric:
    return Metric(key=key, value=value, timestamp_ms=int(more.pop("timestamp_ms", 0)), **more)  # type: ignore[arg-type]


def test_a_batch_is_kept_whole(tracking: Tracking, run_id: RunId) -> None:
    tracking.log.log_batch(
        run_id, metrics=[point(), point(value=2.0, step=1)], params=[("a/b c", "1")], tags=[("t", "")], actor=OWNER
    )
    run = tracking.runs.get(run_id)
    assert (run.params, run.tags["t"], run.metrics["m"].latest.value) == ({"a/b c": "1"}, "", 2.0)


@pytest.mark.parametrize(
    "batch",
    [
        {"metrics": [point(), point(key="../up")]},
        {"metrics": [point(), point(key="")]},
        {"metrics": [point(), point(key="a//b")]},
        {"metrics": [point(), point(key="x" * 251)]},
        {"metrics": [point(), point(key="semi;colon")]},
        {"metrics": [point(), point(timestamp_ms=-1)]},
        {"metrics": [point()] * 1_001},
        {"params": [("a", "1"), ("a", "2")]},
        {"params": [(f"p{at}", "1") for at in range(101)]},
        {"params": [("a", "nul\x00")]},
        {"tags": [(f"t{at}", "1") for at in range(101)]},
        {"tags": [("t", "1"), ("..", "1")]},
        {"metrics": [point()] * 950, "params": [(f"p{at}", "1") for at in range(60)]},
        {"params": [("fixed", "other")], "metrics": [point()], "tags": [("t", "1")]},
    ],
)
def test_a_batch_with_one_bad_entry_leaves_nothing(
    tracking: Tracking, run_id: RunId, batch: dict[str, list[object]]
) -> None:
    tracking.log.log_batch(run_id, params=[("fixed", "1")], actor=OWNER)
    before = tracking.runs.get(run_id)
    with pytest.raises(InvalidInput):
        tracking.log.log_batch(run_id, actor=OWNER, **batch)  # type: ignore[arg-type]
    assert tracking.runs.get(run_id) == before


def test_a_param_never_changes(tracking: Tracking, run_id: RunId) -> None:
    for _ in range(2):
        tracking.log.log_batch(run_id, params=[("a", "1")], actor=OWNER)
    with pytest.raises(InvalidInput, match=r"Param with key='a' was already logged with value='1' for run ID="):
        tracking.log.log_param(run_id, "a", "2", actor=OWNER)
    with pytest.raises(InvalidInput, match=r"logged='\[{'key': 'a', 'old_value': '1', 'new_value': '2'}\]' for run"):
        tracking.log.log_batch(run_id, params=[("b", "1"), ("a", "2")], actor=OWNER)


def test_long_values_are_cut_as_mlflow_cuts_them(tracking: Tracking, run_id: RunId) -> None:
    for _ in range(2):
        tracking.log.log_batch(run_id, params=[("p", "x" * 7_000)], tags=[("t", "y" * 9_000)], actor=OWNER)
    run = tracking.runs.get(run_id)
    assert (len(run.params["p"]), len(run.tags["t"])) == (6_000, 8_000)


def test_a_metric_of_a_model_becomes_the_models_too(tracking: Tracking, run_id: RunId) -> None:
    model = tracking.models.create("0", name="m", source_run_id=run_id, actor=OWNER)
    measured = point("acc", 0.9, model_id=model.model_id, dataset_name="test", dataset_digest="1")
    tracking.log.log_batch(run_id, metrics=[measured], actor=OWNER)
    (kept,) = tracking.models.get(model.model_id).metrics
    assert (kept.value, kept.run_id, kept.dataset_name) == (0.9, run_id, "test")
    assert tracking.runs.get(run_id).metrics["acc"].latest.value == 0.9


def test_a_metric_of_an_unknown_model_leaves_nothing(tracking: Tracking, run_id: RunId) -> None:
    for model_id in ("m-x", f"m-{'0' * 32}"):
        with pytest.raises(NotFound, match="Logged model"):
            tracking.log.log_batch(run_id, metrics=[point(model_id=model_id)], actor=OWNER)
    assert tracking.runs.get(run_id).metrics == {}


def test_a_tag_is_deleted_once(tracking: Tracking, run_id: RunId) -> None:
    tracking.log.set_tag(run_id, "t", "1", actor=OWNER)
    tracking.log.delete_tag(run_id, "t", actor=OWNER)
    assert "t" not in tracking.runs.get(run_id).tags
    with pytest.raises(NotFound, match="No tag with name: t"):
        tracking.log.delete_tag(run_id, "t", actor=OWNER)


def test_points_are_no_events(tracking: Tracking, run_id: RunId, events: EventLog) -> None:
    before = len(list(events.all()))
    tracking.log.log_batch(run_id, metrics=[point(step=at) for at in range(1_000)], actor=OWNER)
    assert len(list(events.all())) == before


def test_a_history_is_paged(tracking: Tracking, run_id: RunId) -> None:
    points = [point(value=math.inf if at == 1 else float(at), step=at, timestamp_ms=at) for at in range(5)]
    tracking.log.log_batch(run_id, metrics=points, actor=OWNER)
    first = tracking.log.history(run_id, "m", max_results=3)
    rest = tracking.log.history(run_id, "m", max_results=3, page_token=first.next_token)
    assert [*first.items, *rest.items] == points
    assert rest.next_token is None
    assert tracking.log.history(run_id, "m").items == tuple(points)
    assert tracking.log.history(run_id, "never").items == ()
    with pytest.raises(InvalidInput):
        tracking.log.history(run_id, "m", max_results=0)


def test_an_entry_sees_what_the_entry_before_it_did_to_the_run(tracking: Tracking, run_id: RunId) -> None:
    first = tracking.runs.get_info(run_id).name
    entries = [LogEntry.of_batch(run_id, tags=[("mlflow.runName", name)], actor=OWNER) for name in ("another", first)]
    assert tracking.log.log_entries(entries) == [None, None]
    run = tracking.runs.get(run_id)
    assert (run.info.name, run.tags["mlflow.runName"]) == (first, first)
