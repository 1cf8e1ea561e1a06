"""Shipping a journal: in order, each record once, refusals kept, files before their records."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from urllib.parse import urlencode

import msgspec
import pytest
from tests.protocol.serving import TrackingServer

from flyball.kernel.ids import new_id
from flyball.tracking.entities import RunStatus
from flyball.tracking.shipping import JournalEvent
from flyball.wire.v1 import frames
from flyball.wire.v1 import journals as shapes

ALICE = (("mlflow.user", "alice"),)


def ship(
    server: TrackingServer, journal: str, records: Sequence[shapes.Record], *, first: int = 1, **query: str
) -> shapes.Shipped:
    answer = send(server, journal, records, first=first, **query)
    assert answer[0] == 200, answer[1]
    return msgspec.json.decode(answer[1], type=shapes.Shipped)


def send(
    server: TrackingServer, journal: str, records: Sequence[shapes.Record], *, first: int = 1, **query: str
) -> tuple[int, bytes]:
    body = b"".join(frames.frame(msgspec.msgpack.encode(record)) for record in records)
    path = f"/api/v1/journals/{journal}/records?" + urlencode({"first": first, **query})
    answer = server.request("POST", path, body=body)
    return answer.status, answer.data


def begun(run_id: str, *, experiment: str = "") -> shapes.MakeRun:
    return shapes.MakeRun(run_id, "" if experiment else "0", experiment, "made-here", "alice", 1_000, ALICE)


def test_a_whole_run_arrives(either_server: TrackingServer) -> None:
    run_id, model_id, journal = new_id(), f"m-{new_id()}", new_id()
    records: list[shapes.Record] = [
        begun(run_id, experiment="elec"),
        shapes.Batch(run_id, (shapes.Measured("loss", 0.5, 1, 0),), (("depth", "3"),), (("team", "grid"),)),
        *(shapes.Point(run_id, "loss", 1.0 / step, step, step) for step in range(1, 50)),
        shapes.Inputs(run_id, (shapes.DatasetRow("d", "1", "local", "x", "", "", (("c", "train"),)),)),
        shapes.MakeModel(model_id, "", "elec", "model", "sklearn", run_id, (("p", "1"),)),
        shapes.Outputs(run_id, ((model_id, 3),)),
        shapes.ModelTexts(model_id, (("t", "1"),), (("q", "2"),)),
        shapes.FinishModel(model_id, "READY"),
        shapes.DropTag(run_id, "team"),
        shapes.ChangeRun(run_id, "FINISHED", 2_000, ""),
    ]
    answer = ship(either_server, journal, records)
    assert (answer.applied, answer.refused, answer.missing) == (len(records), [], "")
    tracking = either_server.platform.tracking
    run = tracking.runs.get(run_id)
    assert answer.resolved[run_id].artifact_uri == run.info.artifact_uri
    assert (run.info.status, run.info.end_ms, run.info.name) == (RunStatus.FINISHED, 2_000, "made-here")
    assert run.metrics["loss"].latest.step == 49
    assert len(tracking.log.history(run_id, "loss").items) == 50
    assert dict(run.params) == {"depth": "3"}
    assert "team" not in run.tags
    assert tracking.experiments.get_by_name("elec").experiment_id == run.info.experiment_id
    model = tracking.models.get(model_id)
    assert (model.source_run_id, dict(model.params), dict(model.tags)) == (run_id, {"p": "1", "q": "2"}, {"t": "1"})


def test_a_repeat_is_no_change(either_server: TrackingServer) -> None:
    run_id, journal = new_id(), new_id()
    records: list[shapes.Record] = [
        begun(run_id),
        *(shapes.Batch(run_id, tags=(("turn", str(turn)),)) for turn in range(3)),
    ]
    first = ship(either_server, journal, records)
    ship(either_server, journal, [shapes.Batch(run_id, tags=(("turn", "last"),))], first=5)
    assert ship(either_server, journal, records).applied == 5
    assert first.applied == 4
    assert either_server.platform.tracking.runs.get(run_id).tags["turn"] == "last"
    overlapping: list[shapes.Record] = [
        records[-1],
        shapes.Batch(run_id, tags=(("turn", "x"),)),
        shapes.Batch(run_id, tags=(("a", "b"),)),
    ]
    assert ship(either_server, journal, overlapping, first=4).applied == 6
    assert either_server.platform.tracking.runs.get(run_id).tags["turn"] == "last"


def test_a_gap_is_refused_unless_it_has_a_reason(server: TrackingServer) -> None:
    run_id, journal = new_id(), new_id()
    status, body = send(server, journal, [begun(run_id)], first=3)
    assert (status, b"goes on at 1" in body) == (409, True)
    assert ship(server, journal, [begun(run_id)], first=3, gap="the disk lost them").applied == 3
    kinds = [event.kind for event in server.platform.events.all()]
    assert kinds.count(JournalEvent.GAP_ACCEPTED.value) == 1


def test_what_can_never_be_carried_out_is_refused_and_does_not_stop_the_rest(either_server: TrackingServer) -> None:
    run_id, journal = new_id(), new_id()
    points = [shapes.Point(run_id, "loss", 1.0, step, step) for step in range(20)]
    points[7] = shapes.Point(run_id, "../up", 1.0, 7, 7)
    points[13] = shapes.Point(run_id, "loss", 1.0, -5, 13)
    answer = ship(either_server, journal, [begun(run_id), *points])
    assert answer.applied == 21
    assert [refusal.sequence for refusal in answer.refused] == [9, 15]
    assert len(either_server.platform.tracking.log.history(run_id, "loss").items) == 18
    again = ship(either_server, journal, [begun(run_id), *points])
    assert again.refused == answer.refused
    events = [event for event in either_server.platform.events.all() if event.kind == "journal.record_refused"]
    assert len(events) == 2


def test_all_that_goes_to_a_deleted_run_is_refused_at_once(either_server: TrackingServer) -> None:
    run_id, other, journal = new_id(), new_id(), new_id()
    ship(either_server, journal, [begun(run_id), begun(other)])
    either_server.platform.tracking.runs.delete(run_id, actor="user:owner")
    points = [shapes.Point(run_id, "loss", 1.0, step, step) for step in range(300)]
    answer = ship(either_server, journal, [*points, shapes.Point(other, "loss", 1.0, 1, 1)], first=3)
    assert [refusal.sequence for refusal in answer.refused] == list(range(3, 303))
    assert len(either_server.platform.tracking.log.history(other, "loss").items) == 1
    events = [event for event in either_server.platform.events.all() if event.kind == "journal.record_refused"]
    assert len(events) < 20


def test_a_record_waits_for_a_run_that_another_journal_brings(server: TrackingServer) -> None:
    run_id, early, late = new_id(), new_id(), new_id()
    point = shapes.Point(run_id, "loss", 1.0, 1, 1)
    waiting = ship(server, early, [shapes.MakeExperiment("e", ""), point])
    assert (waiting.applied, run_id in waiting.missing) == (1, True)
    ship(server, late, [begun(run_id)])
    assert ship(server, early, [point], first=2).applied == 2
    unknown = shapes.Point(new_id(), "loss", 1.0, 1, 1)
    refused = ship(server, early, [unknown], first=3, missing="refuse")
    assert (refused.applied, refused.refused[0].code) == (3, "not_found")


def test_a_taken_id_is_refused(server: TrackingServer) -> None:
    run_id = new_id()
    ship(server, new_id(), [begun(run_id)])
    answer = ship(server, new_id(), [begun(run_id)])
    assert [refusal.code for refusal in answer.refused] == ["already_exists"]


def test_a_file_comes_before_its_record(either_server: TrackingServer) -> None:
    run_id, journal = new_id(), new_id()
    ship(either_server, journal, [begun(run_id)])
    digest = hashlib.sha256(b"weights").hexdigest()
    record = shapes.File("run", run_id, "model/weights.bin", digest, 7)
    early = ship(either_server, journal, [record], first=2)
    assert "did not come" in early.refused[0].message
    path = f"/api/v1/runs/{run_id}/files?" + urlencode({"path": "model/weights.bin", "sha256": digest})
    assert either_server.request("PUT", path, body=b"weightS").status == 400
    assert either_server.request("PUT", path, body=b"weights").status == 200
    assert ship(either_server, journal, [record], first=3).refused == []
    assert either_server.platform.artifacts.read(f"run/{run_id}", "model/weights.bin") == b"weights"


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"", b"no record"), (b"torn", b"torn"), (frames.frame(b"\x91\xa1?"), b"none that this release knows")],
)
def test_a_body_that_is_no_shipment_is_refused_whole(shared_server: TrackingServer, body: bytes, said: bytes) -> None:
    answer = shared_server.request("POST", f"/api/v1/journals/{new_id()}/records?first=1", body=body)
    assert answer.status == 400
    assert said in answer.data


def test_shipping_needs_the_permission_to_write(server: TrackingServer, token_for: object) -> None:
    assert callable(token_for)
    reader = token_for("viewer")
    answer = server.request("POST", f"/api/v1/journals/{new_id()}/records?first=1", body=b"", token=reader)
    assert answer.status == 403
