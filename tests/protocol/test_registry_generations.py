"""Clients of another generation get a remedy; what is not offered is taken by the genuine client for "not there", quickly."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import urllib3
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tests.protocol.serving import TrackingServer

API = "/api/2.0/mlflow/"
# Seven repetitions with their pauses would take minutes.
QUICK_S = 120.0
# The client's own answer to a server that lacks something, as it is set where people use it: seven repetitions.
RETRIES = "7"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Serve from SQLite: what is tried here never reaches a database."""
    return f"sqlite:///{tmp_path / 'flyball.db'}"


def ask(
    server: TrackingServer, user_agent: str, path: str = API + "experiments/get-by-name?experiment_name=x"
) -> tuple[int, str]:
    answer = urllib3.request(
        "GET",
        server.url + path,
        headers={"authorization": f"Bearer {server.token}", "user-agent": user_agent},
        retries=False,
        timeout=QUICK_S,
    )
    return answer.status, answer.data.decode()


@pytest.mark.parametrize("version", ["2.0.0", "2.22.1", "3.0.0rc1", mlflow.__version__, "3.99.0.dev0"])
def test_clients_of_the_known_generations_are_served(tracking_server: TrackingServer, version: str) -> None:
    status, text = ask(tracking_server, f"mlflow-python-client/{version}")
    assert (status, json.loads(text)["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize("agent", ["curl/8.5", "", "mlflow-java-client/2.1", "my-tool (mlflow)"])
def test_other_makes_are_served(tracking_server: TrackingServer, agent: str) -> None:
    assert ask(tracking_server, agent)[0] == 404


@pytest.mark.parametrize(("version", "age"), [("1.30.1", "old"), ("0.9", "old"), ("4.0.0", "new"), ("12.1", "new")])
def test_a_client_of_another_generation_gets_a_remedy(tracking_server: TrackingServer, version: str, age: str) -> None:
    for path in (API + "runs/search", API + "registered-models/search", "/api/2.0/mlflow-artifacts/artifacts?path=x"):
        status, text = ask(tracking_server, f"mlflow-python-client/{version}", path)
        if path.endswith("runs/search"):
            continue  # asked by GET, it is no path
        refusal = json.loads(text)
        assert (status, refusal["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert f"{version} is too {age}" in refusal["message"]
        assert "pip install 'mlflow>=2,<4'" in refusal["message"]


def test_the_open_routes_answer_every_client(tracking_server: TrackingServer) -> None:
    for path in ("/health", "/version", "/api/3.0/mlflow/server-info"):
        assert ask(tracking_server, "mlflow-python-client/1.30.1", path)[0] == 200


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count what the client sends, with the repetitions that it makes where people use it."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", RETRIES)
    sent: list[str] = []
    original = urllib3.connectionpool.HTTPConnectionPool._make_request

    def counting(pool: object, connection: object, method: str, url: str, *args: object, **more: object) -> object:
        sent.append(f"{method} {url}")
        return original(pool, connection, method, url, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(urllib3.connectionpool.HTTPConnectionPool, "_make_request", counting)
    return sent


def traced() -> None:
    def double(x: int) -> int:
        with mlflow.start_span("inner") as span:
            span.set_inputs({"x": x})
        return 2 * x

    assert mlflow.trace(double)(2) == 4
    mlflow.flush_trace_async_logging()


ABSENT: dict[str, Callable[[MlflowClient], object]] = {
    "search_traces": lambda client: client.search_traces(locations=["0"]),
    "get_trace": lambda client: client.get_trace("tr-" + "0" * 32),
    "delete_traces": lambda client: client.delete_traces("0", trace_ids=["tr-1"]),
    "set_trace_tag": lambda client: client.set_trace_tag("tr-1", "k", "v"),
    "log_feedback": lambda _client: mlflow.log_feedback(trace_id="tr-1", name="good", value=True),
    "log_expectation": lambda _client: mlflow.log_expectation(trace_id="tr-1", name="good", value="x"),
    "list_workspaces": lambda _client: mlflow.list_workspaces(),
    "create_workspace": lambda _client: mlflow.create_workspace("team"),
    "list_scorers": lambda _client: mlflow.genai.list_scorers(experiment_id="0"),
}


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_what_is_not_offered_fails_clearly_quickly_and_is_not_repeated(
    tracking_server: TrackingServer, counted: list[str], name: str
) -> None:
    started = time.monotonic()
    with pytest.raises(MlflowException):
        ABSENT[name](MlflowClient(tracking_server.url))
    assert time.monotonic() - started < QUICK_S
    assert 1 <= len(counted) <= 4, counted


def test_a_traced_function_works_and_nothing_hangs(tracking_server: TrackingServer, counted: list[str]) -> None:
    started = time.monotonic()
    traced()
    assert time.monotonic() - started < QUICK_S
    assert 1 <= len(counted) <= 8, counted


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/3.0/mlflow/traces"),
        ("GET", "/api/3.0/mlflow/traces/tr-1"),
        ("POST", "/api/3.0/mlflow/traces/search"),
        ("POST", "/v1/traces"),
        ("POST", "/api/2.0/mlflow/traces"),
        ("POST", "/api/3.0/mlflow/traces/tr-1/assessments"),
        ("GET", "/api/3.0/mlflow/workspaces"),
        ("GET", "/api/3.0/mlflow/scorers/list"),
        ("POST", "/api/3.0/mlflow/issues"),
        ("GET", "/api/3.0/mlflow/label-schemas"),
        ("GET", "/api/3.0/mlflow/review-queues"),
        ("POST", "/api/3.0/mlflow/prompt-optimization/jobs"),
        ("GET", "/ajax-api/3.0/jobs"),
        ("GET", "/api/2.0/gateway/routes"),
        ("GET", "/api/3.0/mlflow/gateway/endpoints/list"),
        ("POST", "/graphql"),
    ],
)
def test_a_path_that_is_not_offered_is_404_without_an_error_code(
    tracking_server: TrackingServer, method: str, path: str
) -> None:
    answer = tracking_server.request(method, path, json={} if method == "POST" else None)
    assert answer.status == 404
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(answer.data)


def test_a_file_of_the_proxy_is_no_folder_with_something_in_it(tracking_server: TrackingServer) -> None:
    with mlflow.start_run() as run:
        mlflow.log_text("hi", "d/f.txt")
    listed = "/api/2.0/mlflow-artifacts/artifacts?path=" + run.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    for path, names in (("/d/f.txt", []), ("/d", ["f.txt"]), ("", ["d"]), ("/none", [])):
        found = json.loads(tracking_server.request("GET", listed + path).data).get("files", [])
        assert [each["path"] for each in found] == names, path


def test_server_info_says_that_there_are_no_workspaces(tracking_server: TrackingServer) -> None:
    info = json.loads(tracking_server.request("GET", "/api/3.0/mlflow/server-info").data)
    assert (info["workspaces_enabled"], info["trace_archival_enabled"]) == (False, False)
