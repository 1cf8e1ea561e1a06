"""Where a model version may come from: what a client may name as its source, as the original's server decides it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest
from tests.protocol.serving import TrackingServer, serve

from flyball.kernel.db import open_database
from flyball.kernel.settings import load_settings
from flyball.server.migrations import upgrade
from flyball.server.platform import open_platform
from flyball.tracking.entities import ModelStatus

API = "/api/2.0/mlflow/"
OWNER = "user:owner"
ABSENT_MODEL = "m-" + "9" * 32


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    settings = load_settings({"FLYBALL_HOME": str(tmp_path_factory.mktemp("sources"))})
    with contextlib.closing(open_database(settings.resolved_database_url)) as database:
        upgrade(database)
    with contextlib.closing(open_platform(settings)) as platform, serve(platform) as url:
        platform.registry.create_model("elec", actor=OWNER)
        platform.registry.create_version("elec", source="s3://bucket/first", run_id="r1", actor=OWNER)
        platform.registry.set_stage("elec", 1, stage="Staging", actor=OWNER)
        platform.registry.create_model("hello", tags={"mlflow.prompt.is_prompt": "true"}, actor=OWNER)
        yield TrackingServer(url=url, token=platform.access.bootstrap_owner(), platform=platform)


@pytest.fixture(scope="module")
def run_uri(server: TrackingServer) -> str:
    """Start a run and return where its files lie."""
    answer = server.request("POST", API + "runs/create", json={"experiment_id": "0"})
    return str(json.loads(answer.data)["run"]["info"]["artifact_uri"])


@pytest.fixture(scope="module")
def model_uri(server: TrackingServer) -> str:
    """Log a model and return where its files lie."""
    made = server.platform.tracking.models.create("0", name="clf", actor=OWNER)
    server.platform.tracking.models.finalize(made.model_id, ModelStatus.READY, actor=OWNER)
    return made.artifact_uri


def create(server: TrackingServer, source: str, **given: object) -> tuple[int, dict[str, object]]:
    body = {"name": "elec", "source": source, **given}
    answer = server.request("POST", API + "model-versions/create", json=body)
    content = json.loads(answer.data)
    return answer.status, content.get("model_version", content)


@pytest.mark.parametrize(
    ("source", "given"),
    [
        ("s3://bucket/model", {}),
        ("s3://bucket/model", {"run_id": "any"}),
        ("gs://bucket/model?version=1", {}),
        ("dbfs:/x//y/", {}),
        ("s3://bucket/m%2e%2e/x", {}),
        ("runs:/r7/model", {"run_id": "r7"}),
        ("runs:/r7", {"run_id": "r7"}),
    ],
)
def test_a_place_that_the_server_never_opens_is_taken_as_it_is(
    server: TrackingServer, source: str, given: dict[str, object]
) -> None:
    status, made = create(server, source, **given)
    assert (status, made["source"], made["run_id"]) == (200, source, given.get("run_id", ""))


@pytest.mark.parametrize(
    ("source", "run_id"), [("models:/elec/1", "r1"), ("models:/elec/Staging", "r1"), ("models:/elec/1", None)]
)
def test_a_source_that_names_a_version_is_followed_and_its_run_taken_over(
    server: TrackingServer, source: str, run_id: str | None
) -> None:
    status, made = create(server, source, **({"run_id": run_id} if run_id else {}))
    assert (status, made["source"], made["run_id"]) == (200, "models:/elec/1", "r1")


def test_a_source_in_the_run_or_the_logged_model_that_is_named_is_taken(
    server: TrackingServer, run_uri: str, model_uri: str
) -> None:
    run_id, model_id = run_uri.split("/")[-2], model_uri.split("/")[-2]
    assert create(server, f"{run_uri}/model", run_id=run_id)[0] == 200
    assert create(server, model_uri, model_id=model_id)[0] == 200
    assert create(server, f"models:/{model_id}", model_id=model_id)[0] == 200


@pytest.mark.parametrize(
    ("source", "given"),
    [
        ("runs:/r7/model", {}),
        ("runs:/r7/model", {"run_id": "other"}),
        ("runs://host/r7/model", {"run_id": "r7"}),
        ("/etc/passwd", {}),
        ("/etc/passwd", {"run_id": "r7"}),
        ("file:///etc", {}),
        ("path/to/model", {}),
        ("#", {}),
        ("s3://bucket/../other", {}),
        ("s3://bucket/%2e%2e/other", {}),
        ("s3://bucket/%252e%252e/other", {}),
        ("s3://bucket", {}),
        ("weird:x", {}),
        ("http://host/model", {}),
        ("https://host/api/2.0/mlflow-artifacts/artifacts/x", {}),
        ("hdfs://node/x", {}),
        ("sftp://host/x", {}),
        ("mlflow-artifacts://host:1/x", {}),
        ("mlflow-artifacts:/0/" + "2" * 32 + "/artifacts/m", {}),
        ("mlflow-artifacts:/0/" + "2" * 32 + "/artifacts/m", {"run_id": "2" * 32}),
        ("models://host/elec/1", {}),
        ("models:/elec", {}),
        ("models:/elec@nobody", {}),
        ("models:/elec/1", {"run_id": "other"}),
        ("models:/elec/1", {"model_id": ABSENT_MODEL}),
        ("models:/elec/Production", {}),
        ("models:/hello/1", {}),
        (f"models:/{ABSENT_MODEL}", {}),
        ("prompt-template", {}),
        ("s3://bucket/m", {"tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}),
        ("http://[bad", {}),
    ],
)
def test_a_place_that_a_request_may_not_name_is_refused(
    server: TrackingServer, source: str, given: dict[str, object]
) -> None:
    before = server.platform.registry.search_versions().items
    status, refusal = create(server, source, **given)
    assert (status, refusal["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert server.platform.registry.search_versions().items == before


def test_a_source_outside_the_run_or_the_model_that_is_named_is_refused(
    server: TrackingServer, run_uri: str, model_uri: str
) -> None:
    run_id, model_id = run_uri.split("/")[-2], model_uri.split("/")[-2]
    for source, given in (
        (model_uri, {"run_id": run_id}),
        (run_uri, {"model_id": model_id}),
        (run_uri + "x", {"run_id": run_id}),
        (f"runs:/{run_id}/m", {"model_id": model_id}),
        (f"models:/{model_id}", {"model_id": ABSENT_MODEL}),
        (run_uri.replace("/0/", "/1/"), {"run_id": run_id}),
    ):
        assert create(server, source, **given)[0] == 400, source


@pytest.mark.parametrize(
    ("source", "given"),
    [("models:/elec/99", {}), ("models:/absent/1", {}), ("s3://bucket/m", {"model_id": ABSENT_MODEL})],
)
def test_a_source_that_is_not_there_is_not_found(server: TrackingServer, source: str, given: dict[str, object]) -> None:
    status, refusal = create(server, source, **given)
    assert (status, refusal["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
