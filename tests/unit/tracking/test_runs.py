from __future__ import annotations

import math
import re

import pytest

from flyball.kernel.clock import ManualClock
from flyball.kernel.errors import InvalidInput, NotFound
from flyball.kernel.events import EventLog, ref
from flyball.tracking.entities import Lifecycle, Metric, RunId, RunStatus, View
from flyball.tracking.service import Tracking

OWNER = "user:owner"
UNKNOWN = "0" * 32


def test_a_run_without_a_name_gets_one_and_its_tag(tracking: Tracking, clock: ManualClock) -> None:
    run = tracking.runs.create("0", tags=[("mlflow.user", "ada")], actor=OWNER)
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d{1,3}", run.info.name)
    assert run.tags == {"mlflow.user": "ada", "mlflow.runName": run.info.name}
    assert (run.info.user_id, run.info.start_ms, run.info.status) == ("ada", clock.now_ms(), RunStatus.RUNNING)
    assert run.info.artifact_uri == f"mlflow-artifacts:/0/{run.info.run_id}/artifacts"
    assert tracking.runs.get(run.info.run_id) == run


def test_a_name_that_contradicts_its_tag_is_refused(tracking: Tracking) -> None:
    with pytest.raises(InvalidInput, match="different values"):
        tracking.runs.create("0", name="a", tags=[("mlflow.runName", "b")], actor=OWNER)
    assert tracking.runs.search(["0"]).items == ()


def test_name_and_name_tag_follow_each_other(tracking: Tracking, run_id: RunId) -> None:
    tracking.runs.update(run_id, name="second", actor=OWNER)
    assert tracking.runs.get(run_id).tags["mlflow.runName"] == "second"
    tracking.log.set_tag(run_id, "mlflow.runName", "third", actor=OWNER)
    assert tracking.runs.get_info(run_id).name == "third"


@pytest.mark.parametrize("text", [UNKNOWN, "", "x", "nul\x00", "A" * 32])
def test_an_id_that_is_no_run_is_not_found(tracking: Tracking, text: str) -> None:
    for verb in (tracking.runs.get, tracking.runs.get_info):
        with pytest.raises(NotFound, match="not found"):
            verb(text)
    with pytest.raises(NotFound):
        tracking.runs.delete(text, actor=OWNER)
    with pytest.raises(NotFound):
        tracking.log.history(text, "m")


def test_a_deleted_run_cannot_be_written_to_until_it_is_restored(tracking: Tracking, run_id: RunId) -> None:
    tracking.runs.delete(run_id, actor=OWNER)
    for write in (
        lambda: tracking.log.log_batch(run_id, params=[("a", "1")], actor=OWNER),
        lambda: tracking.runs.update(run_id, status=RunStatus.FINISHED, actor=OWNER),
        lambda: tracking.lineage.log_inputs(run_id, actor=OWNER),
    ):
        with pytest.raises(InvalidInput, match="must be in the 'active' state"):
            write()
    assert tracking.runs.get_info(run_id).lifecycle is Lifecycle.DELETED
    tracking.runs.restore(run_id, actor=OWNER)
    tracking.log.log_batch(run_id, params=[("a", "1")], actor=OWNER)
    assert tracking.runs.get(run_id).params == {"a": "1"}


def test_ending_a_run_puts_the_digest_of_what_it_logged_on_record(
    tracking: Tracking, run_id: RunId, events: EventLog
) -> None:
    def finish() -> object:
        tracking.runs.update(run_id, status=RunStatus.FINISHED, actor=OWNER)
        return events.history(ref("run", run_id))[-1].payload["digest"]

    first = finish()
    assert finish() == first
    tracking.log.log_batch(run_id, metrics=[Metric(key="m", value=math.nan, timestamp_ms=1, step=2**62)], actor=OWNER)
    assert finish() != first
    assert events.verify().intact


def test_what_is_logged_after_the_end_is_on_record(tracking: Tracking, run_id: RunId, events: EventLog) -> None:
    tracking.log.log_batch(run_id, params=[("a", "1")], actor=OWNER)
    tracking.runs.update(run_id, status=RunStatus.FAILED, actor=OWNER)
    tracking.log.log_batch(run_id, params=[("b", "1")], tags=[("t", "1")], actor=OWNER)
    last = events.history(ref("run", run_id))[-1]
    assert (last.kind, last.payload) == ("run.amended", {"metrics": [], "params": ["b"], "tags": ["t"]})
    assert [event.kind for event in events.history(ref("run", run_id))] == [
        "run.created",
        "run.finished",
        "run.amended",
    ]


def test_a_run_that_goes_on_has_no_end(tracking: Tracking, run_id: RunId) -> None:
    assert tracking.runs.update(run_id, status=RunStatus.FINISHED, end_ms=7, actor=OWNER).end_ms == 7
    assert tracking.runs.update(run_id, status=RunStatus.FAILED, actor=OWNER).end_ms == 7
    assert tracking.runs.update(run_id, status=RunStatus.RUNNING, actor=OWNER).end_ms is None


def test_a_run_of_a_pipeline_points_at_it_whenever_it_is_tagged(tracking: Tracking, events: EventLog) -> None:
    at_start = tracking.runs.create("0", tags=[("flyball.pipeline_run", "p1")], actor=OWNER).info.run_id
    later = tracking.runs.create("0", actor=OWNER).info.run_id
    for _ in range(2):
        tracking.log.set_tag(later, "flyball.pipeline_run", "p1", actor=OWNER)
    edges = events.store.edges_to(ref("pipeline-run", "p1"))
    assert [(edge.subject, edge.relation) for edge in edges] == [
        (ref("run", at_start), "made-by"),
        (ref("run", later), "made-by"),
    ]


def test_runs_are_searched_sorted_and_paged(tracking: Tracking, clock: ManualClock) -> None:
    ids = {}
    for name, value, rate in (("a", 0.5, "0.1"), ("b", 0.9, "0.2"), ("c", None, "0.1")):
        clock.advance(1)
        run_id = tracking.runs.create("0", name=name, actor=OWNER).info.run_id
        ids[name] = run_id
        points = [] if value is None else [Metric(key="acc", value=value, timestamp_ms=1)]
        tracking.log.log_batch(
            run_id, metrics=points, params=[("rate", rate)], tags=[("Kind", f"X{name}")], actor=OWNER
        )

    def names(text: str = "", *order: str) -> str:
        return "".join(run.info.name for run in tracking.runs.search(["0"], filter_text=text, order_by=order).items)

    assert names() == "cba"
    assert names("metrics.acc > 0.4 AND params.rate = '0.1'") == "a"
    assert names("metrics.acc != 0.5") == "b"
    assert names("params.missing != 'x'") == ""
    assert names("params.missing IS NULL", "attributes.run_name") == "abc"
    assert names("tags.Kind LIKE 'x%'") == ""
    assert names("tags.Kind ILIKE 'x_'", "params.rate", "metrics.acc DESC") == "acb"
    assert names("tags.Kind LIKE 'X[ab]'") == ""
    assert names(f"run_id IN ('{ids['a']}', '{ids['b']}')") == "ba"
    assert names("", "metrics.acc") == "abc"
    assert names("", "end_time", "metrics.acc DESC") == "bac"
    tracking.runs.delete(ids["b"], actor=OWNER)
    assert [run.info.name for run in tracking.runs.search(["0"], view=View.DELETED_ONLY).items] == ["b"]
    first = tracking.runs.search(["0", "77"], max_results=1)
    second = tracking.runs.search(["0"], max_results=1, page_token=first.next_token)
    assert [run.info.name for page in (first, second) for run in page.items] == ["c", "a"]
    assert second.next_token is None
    assert tracking.runs.search([]).items == ()
