from __future__ import annotations

import pytest

from flyball.server.dispatch import RouteTable
from flyball.server.routing import PUBLIC, Answer, Call, Route
from flyball.server.table import all_routes


def route(method: str, path: str) -> Route:
    def handler(_call: Call[None]) -> Answer:
        raise AssertionError

    return Route(method=method, path=path, permission=PUBLIC, handler=handler, summary=path)


TABLE = RouteTable(
    [
        route("GET", "/runs/{run}"),
        route("GET", "/runs/search"),
        route("POST", "/runs/search"),
        route("PUT", "/files/{path:path}"),
        route("DELETE", "/runs/{run}/tags/{key:path}"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "expected", "params"),
    [
        ("GET", "/runs/search", "/runs/search", {}),
        ("POST", "/runs/search", "/runs/search", {}),
        ("HEAD", "/runs/search", "/runs/search", {}),
        ("GET", "/runs/a b", "/runs/{run}", {"run": "a b"}),
        ("PUT", "/files/a/b/c", "/files/{path:path}", {"path": "a/b/c"}),
        ("DELETE", "/runs/1/tags/x/y", "/runs/{run}/tags/{key:path}", {"run": "1", "key": "x/y"}),
    ],
)
def test_a_literal_path_goes_before_a_template(method: str, path: str, expected: str, params: dict[str, str]) -> None:
    match = TABLE.find(method, path)
    assert match is not None
    assert (match.route.path, match.path_params) == (expected, params)


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/runs/search"), ("GET", "/runs"), ("GET", "/runs/a/b"), ("GET", "")]
)
def test_what_nobody_serves_has_no_route(method: str, path: str) -> None:
    assert TABLE.find(method, path) is None


def test_the_methods_of_a_path_are_those_of_every_route_that_matches_it() -> None:
    assert TABLE.methods("/runs/search") == ["GET", "HEAD", "POST"]
    assert TABLE.methods("/nowhere") == []


def test_every_route_of_the_server_is_found_by_its_own_path() -> None:
    table = RouteTable(all_routes())
    for wanted in all_routes():
        match = table.find(wanted.method, wanted.path.replace("{", "").replace(":path}", "").replace("}", ""))
        assert match is not None
        assert match.route.handler is wanted.handler
