from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
import urllib3
from tests.protocol.serving import TrackingServer

from flyball.governance.permissions import ROLES, Permission, Role
from flyball.kernel.canonical import parse_json
from flyball.server.routing import PUBLIC, Dialect, Route
from flyball.server.table import all_routes

TokenFor = Callable[..., str]
GUARDED = [route for route in all_routes() if route.permission != PUBLIC]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def path_of(route: Route) -> str:
    return re.sub(r"\{[^}]+\}", "x", route.path)


def events_of(server: TrackingServer) -> int:
    return server.platform.audit.verify().count


def code_of(answer: urllib3.BaseHTTPResponse, dialect: Dialect) -> str:
    body = answer.json()
    return str(body["error_code"]) if dialect is Dialect.MLFLOW else str(body["error"]["code"])


def test_every_guarded_route_refuses_a_caller_without_a_token(server: TrackingServer) -> None:
    assert len(GUARDED) > 100
    pool = urllib3.PoolManager()
    before = events_of(server)
    for route in GUARDED:
        answer = pool.request(route.method, server.url + path_of(route), retries=False)
        assert (answer.status, code_of(answer, route.dialect).lower()) == (401, "unauthenticated"), route.path
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert events_of(server) == before


def test_every_guarded_route_refuses_a_token_that_lacks_exactly_its_permission(
    server: TrackingServer, token_for: TokenFor
) -> None:
    tokens = {
        permission: token_for("owner", permissions=[one for one in Permission if one is not permission])
        for permission in {route.permission for route in GUARDED}
    }
    pool = urllib3.PoolManager()
    before = events_of(server)
    for route in GUARDED:
        headers = {"authorization": f"Bearer {tokens[route.permission]}"}
        answer = pool.request(route.method, server.url + path_of(route), headers=headers, retries=False)
        assert (answer.status, code_of(answer, route.dialect).lower()) == (403, "permission_denied"), route.path
        assert str(route.permission) in answer.data.decode()
    assert events_of(server) == before


@pytest.mark.parametrize("role", list(Role))
def test_a_role_reaches_the_routes_of_its_permissions_and_no_other(server: TrackingServer, role: Role) -> None:
    name = f"service:{role}" if role is Role.SERVICE else f"user:{role}-x"
    server.platform.access.create_identity(name, role, actor="user:owner")
    _, secret = server.platform.access.issue(name, expires_in_s=60, label="t", actor="user:owner")
    pool = urllib3.PoolManager()
    for route in GUARDED:
        if route.path.startswith("/ajax-api/"):
            continue  # twins of the routes under /api/
        headers = {"authorization": f"Bearer {secret}"}
        answer = pool.request(route.method, server.url + path_of(route), headers=headers, retries=False)
        allowed = route.permission in ROLES[role]
        assert (answer.status != 403) is allowed, (route.method, route.path, answer.status)
        assert answer.status < 500 or answer.status == 501, (route.method, route.path, answer.data)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer"},
        {"authorization": "Bearer nonsense"},
        {"authorization": "Bearer fb_" + "0" * 32 + "_x"},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic bm9jb2xvbg=="},
        {"authorization": "Digest x"},
        {"authorization": "Bearer \xff\xfe"},
        {"cookie": "flyball_session=fb_00_11"},
    ],
)
def test_a_malformed_credential_is_refused_like_none(shared_server: TrackingServer, headers: dict[str, str]) -> None:
    answer = urllib3.request("GET", f"{shared_server.url}/api/v1/me", headers=headers, retries=False, timeout=60)
    assert answer.status == 401


def test_the_token_is_accepted_as_basic_password_too(shared_server: TrackingServer) -> None:
    headers = urllib3.make_headers(basic_auth=f"anybody:{shared_server.token}")
    answer = urllib3.request("GET", f"{shared_server.url}/api/v1/me", headers=headers, retries=False, timeout=60)
    assert answer.json()["identity"] == "user:owner"


def test_an_expired_and_a_revoked_token_open_nothing(server: TrackingServer, token_for: TokenFor) -> None:
    short = token_for("viewer", expires_in_s=1)
    made = server.request(
        "POST", "/api/v1/tokens", json={"identity": "user:viewer", "label": "ci", "expires_in_s": 600}
    ).json()
    assert server.request("GET", "/api/v1/me", token=made["secret"]).status == 200
    assert server.request("DELETE", f"/api/v1/tokens/{made['token']['id']}").json() == {"done": True}
    assert server.request("GET", "/api/v1/me", token=made["secret"]).status == 401
    time.sleep(1.1)
    answer = server.request("GET", "/api/v1/me", token=short)
    assert (answer.status, "expired" in answer.json()["error"]["message"]) == (401, True)


def test_no_list_and_no_database_file_holds_a_secret(server: TrackingServer) -> None:
    made = server.request(
        "POST", "/api/v1/tokens", json={"identity": "user:owner", "label": "ci", "expires_in_s": 600}
    ).json()
    secret_part = made["secret"].split("_", 2)[2]
    assert secret_part not in server.request("GET", "/api/v1/tokens").data.decode()
    assert secret_part not in b"".join(server.platform.audit.export()).decode()
    kept = b"".join(path.read_bytes() for path in server.platform.settings.home.glob("flyball.db*"))
    assert secret_part.encode() not in kept


def test_a_token_makes_no_token_that_may_do_more_than_itself(server: TrackingServer, token_for: TokenFor) -> None:
    narrow = token_for("owner", permissions=["access:admin", "tracking:read"])
    wish = {"identity": "user:owner", "label": "wider", "expires_in_s": 60}
    refused = server.request("POST", "/api/v1/tokens", json=wish, token=narrow)
    assert (refused.status, refused.json()["error"]["field"]) == (403, "permissions")
    granted = server.request("POST", "/api/v1/tokens", json={**wish, "permissions": ["tracking:read"]}, token=narrow)
    assert granted.json()["token"]["permissions"] == ["tracking:read"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["/", "/health", "/api/v1/me", "/api/2.0/mlflow/experiments/search", "/nowhere"])
def test_a_foreign_host_name_is_refused_on_every_method(shared_server: TrackingServer, method: str, path: str) -> None:
    headers = {"host": "evil.example", "authorization": f"Bearer {shared_server.token}"}
    answer = urllib3.request(method, shared_server.url + path, headers=headers, retries=False, timeout=60)
    assert answer.status == 403
    assert method == "HEAD" or b"FLYBALL_ALLOWED_HOSTS" in answer.data


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://[", "file://"])
def test_a_foreign_origin_is_refused_on_every_method(shared_server: TrackingServer, method: str, origin: str) -> None:
    headers = {"origin": origin, "authorization": f"Bearer {shared_server.token}"}
    answer = urllib3.request(method, f"{shared_server.url}/api/v1/me", headers=headers, retries=False, timeout=60)
    assert answer.status == 403


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST:80", "[::1]:5757"])
def test_the_names_of_this_machine_are_served(shared_server: TrackingServer, name: str) -> None:
    answer = urllib3.request("GET", f"{shared_server.url}/health", headers={"host": name}, retries=False, timeout=60)
    assert answer.status == 200


def test_the_server_s_own_origin_is_accepted(shared_server: TrackingServer) -> None:
    answer = urllib3.request(
        "GET", f"{shared_server.url}/health", headers={"origin": shared_server.url}, retries=False, timeout=60
    )
    assert answer.status == 200


def test_a_login_link_opens_one_session_that_scripts_cannot_read(server: TrackingServer) -> None:
    path = server.request("POST", "/api/v1/login-links").json()["path"]
    opened = urllib3.request("GET", server.url + path, redirect=False, retries=False, timeout=60)
    cookie = opened.headers["set-cookie"]
    assert (opened.status, opened.headers["location"]) == (303, "/")
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
    session = {"cookie": cookie.split(";")[0]}
    me = urllib3.request("GET", f"{server.url}/api/v1/me", headers=session, retries=False, timeout=60)
    assert me.json()["identity"] == "user:owner"
    again = urllib3.request("GET", server.url + path, redirect=False, retries=False, timeout=60)
    assert (again.status, again.headers.get("set-cookie")) == (401, None)
    longer = urllib3.request("POST", f"{server.url}/api/v1/login-links", headers=session, retries=False, timeout=60)
    assert longer.status == 409  # a session does not prolong itself


def test_a_session_ends_with_the_token_it_was_opened_by(server: TrackingServer, token_for: TokenFor) -> None:
    secret = token_for("viewer")
    path = server.request("POST", "/api/v1/login-links", token=secret).json()["path"]
    opened = urllib3.request("GET", server.url + path, redirect=False, retries=False, timeout=60)
    session = {"cookie": opened.headers["set-cookie"].split(";")[0]}
    assert urllib3.request("GET", f"{server.url}/api/v1/me", headers=session, retries=False, timeout=60).status == 200
    server.request("DELETE", f"/api/v1/tokens/{secret.split('_')[1]}")
    assert urllib3.request("GET", f"{server.url}/api/v1/me", headers=session, retries=False, timeout=60).status == 401


def test_a_session_s_cookie_does_not_help_another_site(server: TrackingServer) -> None:
    path = server.request("POST", "/api/v1/login-links").json()["path"]
    opened = urllib3.request("GET", server.url + path, redirect=False, retries=False, timeout=60)
    headers = {"cookie": opened.headers["set-cookie"].split(";")[0], "origin": "http://127.0.0.1:1"}
    before = events_of(server)
    answer = urllib3.request(
        "POST",
        f"{server.url}/api/v1/identities",
        headers=headers,
        json={"name": "user:eve", "role": "owner"},
        timeout=60,
    )
    assert (answer.status, events_of(server)) == (403, before)


def test_every_change_is_recorded_with_who_made_it(server: TrackingServer, token_for: TokenFor) -> None:
    token = token_for("owner")
    server.request("POST", "/api/v1/identities", json={"name": "user:ann", "role": "viewer"}, token=token)
    found = server.request("GET", "/api/v1/events?limit=1000").json()["events"][-1]
    assert (found["actor"], found["kind"], found["subject"]) == ("user:owner", "identity.created", "identity:user:ann")
    lines = server.request("GET", "/api/v1/audit/export").data.splitlines()
    assert [parse_json(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))  # type: ignore[index,call-overload]
