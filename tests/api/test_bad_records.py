"""What is wrong only beside what is there already: labels, datasets and versions that do not fit, over HTTP."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
import urllib3
from tests.protocol.serving import TrackingServer
from tests.unit.monitoring.conftest import predictions
from tests.unit.retraining.documents import LOOP, POLICY

from flyball.kernel.errors import ErrorCode
from flyball.server.routing import Dialect, Route
from flyball.server.table import all_routes

LABELS = "/api/v1/endpoints/live/labels"
OURS = [route for route in all_routes() if route.dialect is Dialect.V1 and route.path.startswith("/api/v1/")]
STRAY = "no_such_key"


def refused(answer: urllib3.BaseHTTPResponse) -> tuple[int, str, str | None, str]:
    error = answer.json()["error"]
    return answer.status, error["code"], error.get("field"), error["message"]


def label(name: str, value: object, time_ms: object = 50) -> dict[str, object]:
    return {"prediction_id": name, "value": value, "time_ms": time_ms}


@pytest.mark.parametrize("route", OURS, ids=lambda route: f"{route.method} {route.path}")
def test_no_route_takes_a_key_it_does_not_know(shared_server: TrackingServer, route: Route) -> None:
    path = re.sub(r"\{[a-z_]+(:path)?\}", "1", route.path)
    before = shared_server.platform.audit.verify()
    in_query = shared_server.request(route.method, f"{path}?{STRAY}=1")
    assert refused(in_query)[:3] == (400, ErrorCode.UNKNOWN_KEY, STRAY)
    if route.method not in {"GET", "DELETE"} and not route.streamed:
        in_body = refused(shared_server.request(route.method, path, json={STRAY: 1}))
        code, field = (ErrorCode.UNKNOWN_KEY, STRAY) if route.request else (ErrorCode.INVALID_INPUT, "body")
        assert in_body[:3] == (400, code, field)
    assert shared_server.platform.audit.verify() == before


def test_no_part_of_a_request_takes_a_key_it_does_not_know() -> None:
    shapes = {shape for route in OURS if route.request for shape in parts_of(route.request)}
    assert len(shapes) > 10
    assert [shape.__name__ for shape in shapes if not shape.__struct_config__.forbid_unknown_fields] == []


def parts_of(shape: Any) -> set[type[msgspec.Struct]]:
    """Return a shape and every shape within it."""
    if isinstance(shape, type) and issubclass(shape, msgspec.Struct):
        within = get_type_hints(shape).values()
        return {shape}.union(*(parts_of(one) for one in within))
    return set().union(*(parts_of(one) for one in get_args(shape)))


@pytest.fixture
def live(either_server: TrackingServer) -> TrackingServer:
    """A server that has seen two predictions of an endpoint, the first of them labelled."""
    either_server.platform.predictions.accept("live", predictions(["a", "b"], [1, 2], [1, 0]))
    assert either_server.request("POST", LABELS, json={"labels": [label("a", 1)]}).status == 200
    return either_server


@pytest.mark.parametrize(
    ("batch", "status", "code", "field", "words"),
    [
        ([label("b", 1), label("ghost", 1)], 400, "invalid_input", "prediction_id", "'ghost'; no label .* repeat"),
        ([label("b", 1), label("a", 0)], 409, "conflict", "labels", "'a'; ask to revise"),
        ([label("b", 1), label("b", 0)], 400, "invalid_input", "labels", "two labels for prediction 'b'"),
        ([label("b", "up")], 400, "invalid_input", "value", "cannot be compared .* a number"),
        ([label("b", 1), label("b", 1, "x")], 400, "invalid_input", "labels[1].time_ms", "int"),
        ([label("b", 1) | {"valu": 1}], 400, "unknown_key", "valu", "did you mean value"),
        ([{"prediction_id": "b", "value": 1}], 400, "invalid_input", "labels[0].time_ms", "missing required"),
    ],
)
def test_labels_that_do_not_fit_are_refused_whole(
    live: TrackingServer, batch: list[object], status: int, code: str, field: str, words: str
) -> None:
    before = live.platform.audit.verify()
    found = refused(live.request("POST", LABELS, json={"labels": batch}))
    assert found[:3] == (status, code, field)
    assert re.search(words, found[3])
    assert live.platform.predictions.read("live", 0, 9).column("label").to_pylist() == [1, None]
    assert live.platform.audit.verify() == before


def test_a_label_that_is_no_number_is_refused(live: TrackingServer) -> None:
    raw = b'{"labels": [{"prediction_id": "b", "value": NaN, "time_ms": 1}]}'
    assert refused(live.request("POST", LABELS, body=raw))[:3] == (400, "invalid_input", "body")
    assert live.platform.predictions.read("live", 0, 9).column("label").to_pylist() == [1, None]


def test_the_same_label_again_is_no_second_one_and_revising_is_said_aloud(live: TrackingServer) -> None:
    again = live.request("POST", LABELS, json={"labels": [label("a", 1)]}).json()
    assert again == {"added": 0, "unchanged": 1, "revised": 0, "not_captured": 0}
    revised = live.request("POST", LABELS, json={"labels": [label("a", 0)], "revise": True}).json()
    assert revised == {"added": 0, "unchanged": 0, "revised": 1, "not_captured": 0}


@pytest.fixture
def guarded(server: TrackingServer) -> TrackingServer:
    """A server with a loop, one model version, and datasets with and without what the loop judges by."""
    platform = server.platform
    platform.gatekeeper.publish(POLICY, actor="user:owner")
    platform.requests.put_loop(LOOP, actor="user:owner")
    run = server.request("POST", "/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]
    server.request(
        "PUT", f"/api/2.0/mlflow-artifacts/artifacts/0/{run['run_id']}/artifacts/model/MLmodel", body=b"flavors: {}\n"
    )
    server.request("POST", "/api/2.0/mlflow/registered-models/create", json={"name": "price"})
    made = {"name": "price", "source": f"runs:/{run['run_id']}/model", "run_id": run["run_id"]}
    assert server.request("POST", "/api/2.0/mlflow/model-versions/create", json=made).status == 200
    for name, content in (("whole", b"x,up,time_ms\n1,1,1\n"), ("bare", b"x,label\n1,1\n")):
        path = f"/api/v1/datasets/{name}?source=here&format=csv"
        assert server.request("POST", path, body=content).status == 200
    return server


@dataclasses.dataclass(frozen=True)
class Case:
    change: dict[str, object]
    status: int
    field: str
    words: str


@pytest.mark.parametrize(
    "case",
    [
        Case({"holdout": "bare/1"}, 400, "holdout", "bare/1 lacks 'up' and 'time_ms', .* it has: x, label"),
        Case({"recent": "bare/1"}, 400, "recent", "bare/1 lacks 'up' and 'time_ms'"),
        Case({"recent": "bare"}, 400, "recent", "expected <name>/<number>"),
        Case({"training": "gone/1"}, 404, "training", "no dataset 'gone'; list what there is"),
        Case({"holdout": "whole/7"}, 404, "holdout", "no version 7; its newest is 1"),
        Case({"version": 9}, 404, "version", "version=9"),
    ],
    ids=lambda case: str(case.change),
)
def test_a_promotion_that_could_never_be_judged_opens_no_request(guarded: TrackingServer, case: Case) -> None:
    before = guarded.platform.audit.verify()
    body = {"version": 1, "training": "whole/1", "holdout": "whole/1"} | case.change
    found = refused(guarded.request("POST", "/api/v1/loops/price/promotions", json=body))
    assert (found[0], found[2]) == (case.status, case.field)
    assert re.search(case.words, found[3])
    assert guarded.platform.requests.list() == []
    assert guarded.platform.audit.verify() == before


def test_a_promotion_that_can_be_judged_is_opened(guarded: TrackingServer) -> None:
    body = {"version": 1, "training": "bare/1", "holdout": "whole/1"}
    assert guarded.request("POST", "/api/v1/loops/price/promotions", json=body).json()["state"] == "evaluating"
