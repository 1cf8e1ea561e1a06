from __future__ import annotations

import json
from typing import Any

import pytest
import urllib3
from tests.api.conftest import MAX_REQUEST_BYTES
from tests.protocol.serving import TrackingServer

IDENTITY = {"name": "user:ann", "role": "viewer"}
TOKEN = {"identity": "user:owner", "label": "ci", "expires_in_s": 60}


def refusal(answer: urllib3.BaseHTTPResponse) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    assert error["message"]
    return answer.status, error["code"], error.get("field")


def send(server: TrackingServer, path: str, raw: bytes) -> urllib3.BaseHTTPResponse:
    return server.request("POST", path, body=raw)


@pytest.mark.parametrize(
    ("path", "body", "code", "field"),
    [
        ("identities", {**IDENTITY, "rol": "x"}, "unknown_key", "rol"),
        ("identities", {"name": "user:ann"}, "invalid_input", "role"),
        ("identities", {"name": 5, "role": "viewer"}, "invalid_input", "name"),
        ("identities", {"name": "ann", "role": "viewer"}, "invalid_input", "name"),
        ("identities", {"name": "user:ann", "role": "god"}, "invalid_input", "role"),
        ("identities", ["user:ann"], "invalid_input", None),
        ("identities", None, "invalid_input", None),
        ("identities", {"name": "user:\0", "role": "viewer"}, "invalid_input", "body"),
        ("tokens", {**TOKEN, "expires_in_s": "60"}, "invalid_input", "expires_in_s"),
        ("tokens", {**TOKEN, "expires_in_s": 1.5}, "invalid_input", "expires_in_s"),
        ("tokens", {**TOKEN, "expires_in_s": 10**30}, "invalid_input", "expires_in_s"),
        ("tokens", {**TOKEN, "expires_in_s": 0}, "invalid_input", "expires_in_s"),
        ("tokens", {**TOKEN, "label": ""}, "invalid_input", "label"),
        ("tokens", {**TOKEN, "permissions": ["tracking:reed"]}, "unknown_key", "tracking:reed"),
        ("tokens", {**TOKEN, "identity": "user:nobody"}, "not_found", "identity"),
        ("policies", {"document": "policy: [\n"}, "invalid_input", None),
        ("policies", {"document": "policy: p\npolicy: q\n"}, "invalid_input", "policy"),
        ("policies", {"document": "policy: p\nrules:\n- rule: no_such_rule\n"}, "invalid_input", None),
        ("monitors", {"document": "monitor: m\nwindw: 7d\n"}, "unknown_key", "windw"),
        ("loops", {"document": "loop: l\nendpoint: 5\n"}, "invalid_input", None),
        ("pipeline-runs", {"pipeline": "no colon", "parameters": {}}, "invalid_input", "pipeline"),
        ("pipeline-runs", {"pipeline": "a:b", "parameters": []}, "invalid_input", "parameters"),
        ("pipeline-runs", {"pipeline": "a:b", "parameters": {"d": {"dataset": "x"}}}, "invalid_input", "parameters"),
        ("runs/r/datasets", {"dataset": "elec"}, "invalid_input", "dataset"),
        ("runs/r/datasets", {"dataset": "elec/0"}, "invalid_input", "dataset"),
        ("endpoints/e/labels", {"labels": [{"prediction_id": "a", "value": 1, "time_ms": -1}]}, "invalid_input", None),
        ("endpoints/e/labels", {"labels": [{"prediction_id": "a", "value": {}, "time_ms": 1}]}, "invalid_input", None),
        ("loops/l/promotions", {"version": 0, "training": "a/1", "holdout": "a/1"}, "invalid_input", "version"),
        ("loops/l/promotions", {"version": 1, "training": "a", "holdout": "a/1"}, "invalid_input", "training"),
        ("approvals/a/approve", {"digest": 5}, "invalid_input", "digest"),
        ("alerts/a/acknowledge", {"reason": "x"}, "unknown_key", "reason"),
        ("alerts/a/resolve", {"note": 5}, "invalid_input", "note"),
        ("studies/a/cancel", {"reason": "x"}, "invalid_input", "body"),
        ("login-links", {"for": "x"}, "invalid_input", "body"),
    ],
)  # fmt: skip
def test_a_request_that_does_not_fit_is_refused_with_its_field_and_leaves_nothing(
    shared_server: TrackingServer, path: str, body: object, code: str, field: str | None
) -> None:
    before = shared_server.platform.audit.verify()
    status, found_code, found_field = refusal(shared_server.request("POST", f"/api/v1/{path}", json=body))
    assert (status, found_code) == (404 if code == "not_found" else 400, code)
    assert field is None or found_field == field
    assert shared_server.platform.audit.verify() == before


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"name": "user:ann", "role": NaN}', 400),
        (b'{"name": "user:ann", "role": Infinity}', 400),
        (b'{"name": "\xff", "role": "viewer"}', 400),
        (b'{"name": "\\ud800", "role": "viewer"}', 400),
        (b'\xef\xbb\xbf{"name": "user:ann", "role": "viewer"}', 400),
        (b"name=user:ann&role=viewer", 400),
        (b'{"name": "user:ann", "role": "viewer"}{}', 400),
        (b"[" * 50_000, 400),
        (b'{"name": "' + b"x" * MAX_REQUEST_BYTES + b'"}', 413),
    ],
)
def test_a_body_that_is_no_json_or_too_large_is_refused(shared_server: TrackingServer, raw: bytes, status: int) -> None:
    before = shared_server.platform.audit.verify()
    answer = send(shared_server, "/api/v1/identities", raw)
    assert refusal(answer)[0] in {status, 413}
    assert shared_server.platform.audit.verify() == before


@pytest.mark.parametrize("inner", [b"[" * 20_000 + b"]" * 20_000, b'"\xff"', b"1e999", b"NaN", b"0123"])
def test_what_is_kept_as_it_came_is_checked_as_well(shared_server: TrackingServer, inner: bytes) -> None:
    raw = b'{"pipeline": "a:b", "parameters": {"p": ' + inner + b"}}"
    assert refusal(send(shared_server, "/api/v1/pipeline-runs", raw))[0] in {400, 413}


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("events?limt=5", "limt"),
        ("events?limit=x", "limit"),
        ("events?limit=0", "limit"),
        ("events?limit=100000", "limit"),
        ("events?after=-1", "after"),
        ("events?after=" + "9" * 30, "after"),
        ("events?after=1&after=2", "after"),
        ("events?subject=%00", "subject"),
        ("datasets?name=elec", "name"),
        ("me?x=", "x"),
        ("datasets/elec/one", "dataset"),
        ("datasets/elec/0", "dataset"),
        ("models/elec/one", "version"),
        ("policies/p/one", "version"),
        ("endpoints/%00", "endpoint"),
    ],
)
def test_a_query_or_path_that_does_not_fit_names_its_field(
    shared_server: TrackingServer, path: str, field: str
) -> None:
    status, _, found = refusal(shared_server.request("GET", f"/api/v1/{path}"))
    assert (status, found) == (400, field)


def test_keys_in_the_query_of_a_change_are_refused_too(shared_server: TrackingServer) -> None:
    answer = shared_server.request("POST", "/api/v1/identities?dry_run=1", json=IDENTITY)
    assert refusal(answer) == (400, "unknown_key", "dry_run")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", None),
        ("?source=here", None),
        ("?source=&format=csv", "source"),
        ("?source=here&format=xlsx", "format"),
        ("?source=here&format=csv&sheet=1", "sheet"),
        ("?source=here&source=there&format=csv", "source"),
    ],
)
def test_an_upload_that_does_not_say_what_it_is_makes_no_dataset(
    shared_server: TrackingServer, query: str, field: str | None
) -> None:
    answer = send(shared_server, f"/api/v1/datasets/elec{query}", b"a,b\n1,2\n")
    assert answer.status == 400
    assert field is None or refusal(answer)[2] == field
    assert shared_server.request("GET", "/api/v1/datasets").json() == {"datasets": []}


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("elec", b"", 400),
        ("elec", b"a,a\n1,2\n", 400),
        ("elec", b"a,b\n1,2\n3\n", 400),
        ("el%20ec", b"a,b\n1,2\n", 400),
        ("..", b"a,b\n1,2\n", 404),
        ("elec", b"a,b\n" + b"1,2\n" * MAX_REQUEST_BYTES, 413),
    ],
)
def test_an_upload_that_cannot_be_read_makes_no_dataset(
    shared_server: TrackingServer, name: str, content: bytes, status: int
) -> None:
    answer = send(shared_server, f"/api/v1/datasets/{name}?source=here&format=csv", content)
    assert answer.status == status, answer.data
    assert shared_server.request("GET", "/api/v1/datasets").json() == {"datasets": []}


def test_text_that_looks_like_an_escaped_nul_is_kept(server: TrackingServer) -> None:
    label = "a \\u0000 b"  # a backslash and letters
    made = server.request("POST", "/api/v1/tokens", json={**TOKEN, "label": label})
    assert made.json()["token"]["label"] == label


def test_a_second_identity_of_a_name_is_a_conflict_on_both_databases(either_server: TrackingServer) -> None:
    assert either_server.request("POST", "/api/v1/identities", json=IDENTITY).status == 200
    before = either_server.platform.audit.verify()
    assert refusal(either_server.request("POST", "/api/v1/identities", json=IDENTITY))[:2] == (409, "already_exists")
    assert either_server.platform.audit.verify() == before


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("DELETE", "me", 405, "GET, HEAD"),
        ("PUT", "identities", 405, "GET, HEAD, POST"),
        ("OPTIONS", "tokens/x", 405, "DELETE"),
        ("GET", "nowhere", 404, None),
        ("GET", "me/", 404, None),
    ],
)
def test_what_is_not_served_says_so_in_our_words(
    shared_server: TrackingServer, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = shared_server.request(method, f"/api/v1/{path}")
    assert (refusal(answer)[0], answer.headers.get("allow")) == (status, allow)


def test_repeating_an_upload_is_the_same_version(server: TrackingServer) -> None:
    def add() -> Any:
        return json.loads(send(server, "/api/v1/datasets/elec?source=here&format=csv", b"a,b\n1,2\n").data)

    assert add() == add()
    assert add()["version"] == 1
