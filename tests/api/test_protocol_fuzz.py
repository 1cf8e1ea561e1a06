"""No request of the MLflow protocol, however bent, is answered by a fault of the server's own.

`make fuzz MINUTES=30` searches longer, with other requests each time; a finding names its seed, which finds it again.
"""

from __future__ import annotations

import dataclasses
import os
import time
import uuid
from collections.abc import Iterator, Mapping

import psycopg
import pytest
import urllib3
from _pytest.mark.structures import ParameterSet
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from tests.api.accepted_requests import recipe_of
from tests.api.conftest import served, settings_for
from tests.api.furniture import furnished
from tests.api.protocol_requests import Attempt, accepted, attempts
from tests.protocol.serving import TrackingServer

from flyball.server.mlflow.routes import ROUTES
from flyball.server.routing import Route

# Of each route on each database.
EXAMPLES = {"sqlite": 6, "postgresql": 3}
MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
PATIENCE_S = 60.0
NOT_OFFERED = 501
# The client takes a 404 without an error code for "no such endpoint", and looks for an older one.
UNKNOWN_PATH = b"Not Found\n"


def named(route: Route) -> ParameterSet:
    return pytest.param(route, id=f"{route.method} {route.path}")


def is_twin(route: Route) -> bool:
    return route.path.startswith("/ajax-api/")


# The twins of the web pages are the routes that they double, under another address.
PROTOCOL = [named(route) for route in ROUTES if not is_twin(route)]


def test_a_twin_is_its_original_under_another_address() -> None:
    originals = {(route.method, route.path): route for route in ROUTES}
    twins = [route for route in ROUTES if is_twin(route)]
    assert len(twins) > 90
    for twin in twins:
        original = originals.get((twin.method, twin.path.replace("/ajax-api/", "/api/", 1)))
        assert original is None or dataclasses.replace(original, path=twin.path) == twin


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def fuzzed(
    request: pytest.FixtureRequest, postgres_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrackingServer]:
    home = tmp_path_factory.mktemp("protocol") / "home"
    name = f"flyball_{uuid.uuid4().hex}"
    url = f"sqlite:///{home / 'flyball.db'}"
    if request.param == "postgresql":
        with psycopg.connect(postgres_uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        url = postgres_uri.replace("/postgres?", f"/{name}?").replace("postgresql:", "postgresql+psycopg:")
    with served(settings_for(url, home)) as server:
        yield server
        found = server.platform.audit.verify()
        assert found.intact, found.reason


def send(server: TrackingServer, attempt: Attempt, known: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
    method, address, body = attempt.filled(known)
    headers = {**attempt.headers, "authorization": f"Bearer {server.token}", "connection": "close"}
    return urllib3.request(
        method, server.url + address, body=body, headers=headers, retries=False, timeout=PATIENCE_S, redirect=False
    )


def answered_well(attempt: Attempt, answer: urllib3.BaseHTTPResponse) -> bool:
    """Say whether the client can take the answer: no fault of the server, and each refusal in the protocol's words."""
    if answer.status < 400 or attempt.method == "HEAD":
        return answer.status < 500 or answer.status == NOT_OFFERED
    if answer.status == 404 and answer.data == UNKNOWN_PATH:
        return True
    if answer.status == 405:
        return bool(answer.headers["allow"])
    error = answer.json()
    named = isinstance(error["error_code"], str) and isinstance(error["message"], str)
    return named and (answer.status < 500 or (answer.status, error["error_code"]) == (NOT_OFFERED, "NOT_IMPLEMENTED"))


def fuzz(route: Route, server: TrackingServer, *, examples: int, number: int) -> None:
    """Send that many requests to a route, after one that it accepts; the number decides which."""
    known = furnished(server)
    answer = send(server, accepted(route), known)
    assert answer.status == recipe_of(route).status, answer.data

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate] if MINUTES == 0 else [Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(attempt=attempts(route))
    def tried(attempt: Attempt) -> None:
        answer = send(server, attempt, known)
        note(f"seed {number}: {attempt!r} is answered {answer.status} {answer.data[:300]!r}")
        assert answered_well(attempt, answer)

    tried()


@pytest.mark.parametrize("route", PROTOCOL)
def test_no_request_of_the_protocol_breaks_the_server(
    route: Route, fuzzed: TrackingServer, request: pytest.FixtureRequest
) -> None:
    if MINUTES == 0:
        kind = request.node.callspec.params["fuzzed"]
        fuzz(route, fuzzed, examples=EXAMPLES[kind], number=0)
    until = time.monotonic() + MINUTES * 60 / len(PROTOCOL) / len(EXAMPLES)
    while time.monotonic() < until:
        fuzz(route, fuzzed, examples=20, number=time.time_ns())


# What the search found once: each was answered by a fault of the server's own.
FOUND = (b"[" * 20_000, b'{"a":' * 20_000, b"\xff", b'{"\\ud800": null}')


@pytest.mark.parametrize(
    "route", [named(route) for route in ROUTES if route.method not in {"GET", "HEAD"} and not is_twin(route)]
)
def test_what_was_found_once_is_found_no_more(route: Route, fuzzed: TrackingServer) -> None:
    texts = b", ".join(
        f'"{name}": "\\ud800"'.encode() for name in ("name", "run_id", "key", "experiment_id", "model_id")
    )
    for body in (*FOUND, b"{" + texts + b"}", b'{"experiment_ids": ["\\ud800"], "run_ids": ["\\ud800"]}'):
        attempt = Attempt(
            method=route.method, path=route.path, query="", body=body, headers={"content-type": "application/json"}
        )
        answer = send(fuzzed, attempt, {})
        assert answered_well(attempt, answer), (body[:80], answer.data)
