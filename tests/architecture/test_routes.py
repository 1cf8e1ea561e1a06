"""The route table: a permission on each route, each path once, a document that says what is served."""

from __future__ import annotations

import json
from collections import Counter

from tests.architecture.source import ROOT

from flyball.governance.permissions import Permission
from flyball.server.openapi import document
from flyball.server.routing import PUBLIC, Dialect, Route
from flyball.server.table import all_routes

# Answers that say nothing about what is kept here, and the one that turns a one-time code into a session.
MOST_PUBLIC = 8


def test_every_route_declares_a_permission() -> None:
    routes = all_routes()
    assert len(routes) > 100
    known = {PUBLIC, *(permission.value for permission in Permission)}
    assert [_name(route) for route in routes if str(route.permission) not in known] == []


def test_few_routes_answer_without_an_identity_and_none_of_them_changes_models_or_data() -> None:
    public = {route.path for route in all_routes() if route.permission == PUBLIC}
    assert len(public) <= MOST_PUBLIC, sorted(public)
    words = ("runs", "models", "artifacts", "datasets", "tokens", "endpoints", "policies", "events")
    assert [path for path in public if any(word in path for word in words)] == []


def test_a_method_and_path_are_served_once() -> None:
    counted = Counter((route.method, route.path) for route in all_routes())
    assert [key for key, times in counted.items() if times > 1] == []


def test_reading_needs_no_permission_to_write() -> None:
    wrong = [
        _name(route) for route in all_routes() if route.method == "GET" and str(route.permission).endswith(":write")
    ]
    assert wrong == []


def test_changing_needs_more_than_the_permission_to_read() -> None:
    wrong = [
        _name(route)
        for route in all_routes()
        if route.method in {"PUT", "PATCH", "DELETE"} and str(route.permission).endswith(":read")
    ]
    assert wrong == []


def test_every_mlflow_path_answers_for_the_pages_too() -> None:
    served = {(route.method, route.path) for route in all_routes()}
    api = [each for each in served if each[1].startswith(("/api/2.0/", "/api/3.0/"))]
    assert len(api) > 50
    assert [each for each in api if (each[0], "/ajax-api/" + each[1].removeprefix("/api/")) not in served] == []


def test_every_route_says_in_a_sentence_what_it_does() -> None:
    assert [_name(route) for route in all_routes() if not route.summary.strip()] == []


def test_the_registry_answers_every_verb_of_the_protocol() -> None:
    served = {(route.method, route.path.removeprefix("/api/2.0/mlflow/")) for route in all_routes()}
    model = {
        "POST": ("create", "rename", "get-latest-versions", "set-tag", "alias"),
        "PATCH": ("update",),
        "DELETE": ("delete", "delete-tag", "alias"),
        "GET": ("get", "search", "get-latest-versions", "alias"),
    }
    version = {
        "POST": ("create", "transition-stage", "set-tag"),
        "PATCH": ("update",),
        "DELETE": ("delete", "delete-tag"),
        "GET": ("get", "search", "get-download-uri"),
    }
    wanted = {(method, f"registered-models/{verb}") for method, verbs in model.items() for verb in verbs}
    wanted |= {(method, f"model-versions/{verb}") for method, verbs in version.items() for verb in verbs}
    assert wanted <= served


def test_the_published_document_is_current() -> None:
    published = json.loads((ROOT / "schemas" / "openapi.json").read_text(encoding="utf-8"))
    assert published == json.loads(json.dumps(document())), "run: make openapi"


def test_the_document_has_every_route_of_v1_with_its_permission() -> None:
    ours = [route for route in all_routes() if route.dialect is Dialect.V1 and route.path.startswith("/api/v1/")]
    operations = [operation for path in document()["paths"].values() for operation in path.values()]
    assert Counter(operation["x-permission"] for operation in operations) == Counter(
        str(route.permission) for route in ours
    )


def _name(route: Route) -> str:
    return f"{route.method} {route.path}"
