"""The registry over plain HTTP: what the client never sends, and exactly what is answered."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

import pytest
from tests.conftest import empty_postgres
from tests.protocol.serving import TrackingServer, serve

from flyball.kernel.db import open_database
from flyball.kernel.settings import load_settings
from flyball.server.migrations import upgrade
from flyball.server.platform import open_platform

API = "/api/2.0/mlflow/"
MODEL_ID = "m-" + "1" * 32


def send(server: TrackingServer, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
    answer = server.request(method, API + path, json=body)
    return answer.status, json.loads(answer.data)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def registry_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_uri: str
) -> Iterator[str]:
    """Return the URL of one database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('database') / 'flyball.db'}"
        return
    with empty_postgres(postgres_uri) as url:
        yield url


@pytest.fixture(scope="module")
def elec(registry_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """Serve a model with one version, once for all these tests: none of them changes it."""
    home = tmp_path_factory.mktemp("registry")
    settings = load_settings({"FLYBALL_HOME": str(home), "FLYBALL_DATABASE_URL": registry_url})
    with contextlib.closing(open_database(settings.resolved_database_url)) as database:
        upgrade(database)
    with contextlib.closing(open_platform(settings)) as platform, serve(platform) as url:
        platform.artifacts.put(f"model/{MODEL_ID}", "MLmodel", [b"flavors: {}\n"])
        platform.registry.create_model("elec", actor="user:owner")
        platform.registry.create_version("elec", source=f"models:/{MODEL_ID}", actor="user:owner")
        yield TrackingServer(url=url, token=platform.access.bootstrap_owner(), platform=platform)


def test_a_version_is_answered_with_its_empty_texts(elec: TrackingServer) -> None:
    status, answer = send(elec, "GET", "model-versions/get?name=elec&version=1")
    version = answer["model_version"]
    assert isinstance(version, dict)
    times = {version.pop("creation_timestamp"), version.pop("last_updated_timestamp")}
    assert status == 200
    assert all(isinstance(time, int) for time in times)
    assert version == {
        "name": "elec",
        "version": "1",
        "user_id": "user:owner",
        "current_stage": "None",
        "description": "",
        "source": f"models:/{MODEL_ID}",
        "run_id": "",
        "run_link": "",
        "status": "READY",
    }


def test_the_pages_are_answered_too(elec: TrackingServer) -> None:
    answer = elec.request("GET", "/ajax-api/2.0/mlflow/registered-models/get?name=elec")
    assert json.loads(answer.data)["registered_model"]["name"] == "elec"


@pytest.mark.parametrize(
    ("method", "path", "body", "missing"),
    [
        ("POST", "registered-models/create", {}, "name"),
        ("POST", "registered-models/create", {"name": ""}, "name"),
        ("GET", "registered-models/get", None, "name"),
        ("PATCH", "registered-models/update", {"description": "d"}, "name"),
        ("POST", "registered-models/rename", {"name": "elec"}, "new_name"),
        ("DELETE", "registered-models/delete", {}, "name"),
        ("GET", "registered-models/get-latest-versions", None, "name"),
        ("POST", "registered-models/set-tag", {"name": "elec"}, "key"),
        ("DELETE", "registered-models/delete-tag", {"name": "elec"}, "key"),
        ("POST", "registered-models/alias", {"name": "elec", "alias": "a"}, "version"),
        ("GET", "registered-models/alias?name=elec", None, "alias"),
        ("DELETE", "registered-models/alias", {"name": "elec"}, "alias"),
        ("POST", "model-versions/create", {"name": "elec"}, "source"),
        ("GET", "model-versions/get?name=elec", None, "version"),
        ("PATCH", "model-versions/update", {"name": "elec"}, "version"),
        ("DELETE", "model-versions/delete", {"name": "elec"}, "version"),
        ("POST", "model-versions/transition-stage", {"name": "elec", "version": "1"}, "stage"),
        ("POST", "model-versions/set-tag", {"name": "elec", "version": "1"}, "key"),
        ("DELETE", "model-versions/delete-tag", {"name": "elec", "version": "1"}, "key"),
        ("GET", "model-versions/get-download-uri?name=elec", None, "version"),
    ],
)
def test_what_is_missing_is_named(elec: TrackingServer, method: str, path: str, body: object, missing: str) -> None:
    status, answer = send(elec, method, path, body)
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert str(answer["message"]).startswith(f"Missing value for required parameter '{missing}'")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "registered-models/create", {"name": "elec"}, 400, "RESOURCE_ALREADY_EXISTS"),
        ("POST", "registered-models/create", {"name": "a/b"}, 400, "INVALID_PARAMETER_VALUE"),
        ("POST", "registered-models/create", {"name": 7}, 400, "INVALID_PARAMETER_VALUE"),
        ("POST", "registered-models/create", {"name": "j", "deployment_job_id": "x"}, 501, "NOT_IMPLEMENTED"),
        ("GET", "registered-models/get?name=absent", None, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "registered-models/search?max_results=0", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "registered-models/search?max_results=1001", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "registered-models/search?max_results=x", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "registered-models/search?page_token=x", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "registered-models/search?order_by=x", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "registered-models/alias?name=elec&alias=absent", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "registered-models/alias?name=absent&alias=a", None, 404, "RESOURCE_DOES_NOT_EXIST"),
        (
            "POST",
            "registered-models/alias",
            {"name": "elec", "alias": "v1", "version": "1"},
            400,
            "INVALID_PARAMETER_VALUE",
        ),
        (
            "POST",
            "registered-models/alias",
            {"name": "elec", "alias": "a", "version": "9"},
            404,
            "RESOURCE_DOES_NOT_EXIST",
        ),
        ("DELETE", "registered-models/delete", {"name": "absent"}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("POST", "model-versions/create", {"name": "absent", "source": "s3://b/m"}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "model-versions/get?name=elec&version=9", None, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "model-versions/get?name=elec&version=0", None, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "model-versions/get?name=elec&version=-1", None, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("DELETE", "model-versions/delete?name=absent&version=1", None, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "registered-models/alias?name=elec&alias=a%20b", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "registered-models/search?filter=creation_timestamp%3E1", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "registered-models/search?order_by=creation_timestamp", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "model-versions/search?order_by=run_id", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "model-versions/get?name=elec&version=one", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "model-versions/get?name=elec&version=99999999999999999999", None, 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "model-versions/search?filter=metrics.x%3E1", None, 400, "INVALID_PARAMETER_VALUE"),
    ],
)
def test_bad_requests_are_answered_with_their_code(
    elec: TrackingServer, method: str, path: str, body: object, status: int, code: str
) -> None:
    answered, answer = send(elec, method, path, body)
    assert (answered, answer["error_code"]) == (status, code)


def test_versions_ordered_by_number_come_by_name_where_it_is_the_same(elec: TrackingServer) -> None:
    registry = elec.platform.registry
    for name in ("zeta", "beta"):
        registry.create_model(name, actor="user:owner")
        registry.create_version(name, source="s3://b/m", actor="user:owner")
    asked = "model-versions/search?filter=source_path%3D's3://b/m'"
    for order, names in (("", ["beta", "zeta"]), ("&order_by=version_number", ["beta", "zeta"]),
                         ("&order_by=name%20DESC", ["zeta", "beta"])):  # fmt: skip
        _, answer = send(elec, "GET", asked + order)
        assert [each["name"] for each in answer["model_versions"]] == names  # type: ignore[attr-defined]
    for name in ("zeta", "beta"):
        registry.delete_model(name, actor="user:owner")


def test_the_time_of_a_model_moves_with_its_versions_and_not_with_their_descriptions(elec: TrackingServer) -> None:
    registry = elec.platform.registry
    registry.create_model("timed", actor="user:owner")
    moves: list[bool] = []
    for path, body in (
        ("model-versions/create", {"name": "timed", "source": "s3://b/m"}),
        ("model-versions/transition-stage", {"name": "timed", "version": "1", "stage": "Staging"}),
        ("model-versions/update", {"name": "timed", "version": "1", "description": "d"}),
        ("model-versions/delete", {"name": "timed", "version": "1"}),
    ):
        before = registry.get_model("timed").updated_ms
        time.sleep(0.003)
        method = {"update": "PATCH", "delete": "DELETE"}.get(path.split("/")[1], "POST")
        assert send(elec, method, path, body)[0] == 200
        moves.append(registry.get_model("timed").updated_ms > before)
    assert moves == [True, True, False, True]


def test_a_deletion_is_read_from_the_query_when_it_has_no_body(elec: TrackingServer) -> None:
    registry = elec.platform.registry
    registry.create_model("doomed", actor="user:owner")
    registry.create_version("doomed", source="models:/elec/1", actor="user:owner")
    assert send(elec, "DELETE", "model-versions/delete?name=doomed&version=1") == (200, {})
    status, answer = send(elec, "GET", "registered-models/get?name=doomed")
    assert (status, set(answer["registered_model"])) == (  # type: ignore[call-overload]
        200,
        {"name", "creation_timestamp", "last_updated_timestamp", "user_id"},
    )


def test_a_body_that_is_no_json_counts_as_empty(elec: TrackingServer) -> None:
    answer = elec.request("DELETE", API + "registered-models/delete", body=b"{")
    assert answer.status == 400
    assert b"Missing value for required parameter 'name'" in answer.data


def test_latest_versions_are_asked_by_get_and_by_post(elec: TrackingServer) -> None:
    for answer in (
        send(elec, "GET", "registered-models/get-latest-versions?name=elec&stages=None&stages=Staging"),
        send(elec, "POST", "registered-models/get-latest-versions", {"name": "elec", "stages": ["None"]}),
    ):
        assert answer[0] == 200
        assert [each["version"] for each in answer[1]["model_versions"]] == ["1"]  # type: ignore[attr-defined]


def test_nobody_reads_the_registry_without_a_token(elec: TrackingServer) -> None:
    answer = elec.request("GET", API + "registered-models/get?name=elec", token="wrong")
    assert answer.status == 401
