"""The registry through the official MLflow client."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LogisticRegression
from tests.protocol.serving import TrackingServer

ROWS = pd.DataFrame({"a": np.linspace(-1, 1, 40), "b": np.tile([0.0, 1.0], 20)})
LABELS = (ROWS["a"] > 0).astype(int)
REQUIREMENTS = ["scikit-learn", "skops"]

pytestmark = pytest.mark.usefixtures("tracking_server")


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Serve from SQLite: what depends on the database is tried at the stores, and once in `test_registry_postgres.py`."""
    return f"sqlite:///{tmp_path / 'flyball.db'}"


def fitted() -> LogisticRegression:
    return LogisticRegression().fit(ROWS, LABELS)


def log(name: str | None = None) -> mlflow.models.model.ModelInfo:
    return mlflow.sklearn.log_model(
        fitted(), name="clf", pip_requirements=REQUIREMENTS, registered_model_name=name, input_example=ROWS.head(2)
    )


@pytest.fixture
def client(tracking_server: TrackingServer) -> MlflowClient:
    return MlflowClient(tracking_server.url)


@pytest.fixture
def elec(client: MlflowClient) -> MlflowClient:
    """A model with two versions, both of one logged model."""
    with mlflow.start_run():
        info = log("elec")
    mlflow.register_model(info.model_uri, "elec")
    return client


def test_a_model_is_registered_as_it_is_logged_and_loaded_by_every_name(
    client: MlflowClient, tracking_server: TrackingServer
) -> None:
    with mlflow.start_run() as run:
        info = log("elec")
    assert info.registered_model_version == "1"
    found = client.get_model_version("elec", "1")
    assert (found.run_id, found.status, found.current_stage) == (run.info.run_id, "READY", "None")
    kept = tracking_server.platform.registry.get_version("elec", 1)
    assert kept.model_id == info.model_id
    assert kept.digest == tracking_server.platform.artifacts.tree_digest(f"model/{info.model_id}")
    client.set_registered_model_alias("elec", "champion", "1")
    expected = fitted().predict(ROWS)
    for uri in ("models:/elec/1", "models:/elec@champion", "models:/elec/latest"):
        assert np.array_equal(mlflow.sklearn.load_model(uri).predict(ROWS), expected)
    assert np.array_equal(mlflow.pyfunc.load_model("models:/elec@champion").predict(ROWS), expected)


def test_register_model_makes_the_next_version_of_a_name_that_exists(elec: MlflowClient) -> None:
    versions = elec.search_model_versions("name = 'elec'")
    assert [each.version for each in versions] == ["2", "1"]
    assert {each.run_id for each in versions} == {versions[0].run_id}
    assert versions[0].run_id
    assert elec.get_model_version_download_uri("elec", "2").startswith("mlflow-artifacts:/0/models/m-")


def test_a_model_is_registered_by_its_run_and_by_its_id(client: MlflowClient) -> None:
    with mlflow.start_run() as run:
        info = log()
    by_run = mlflow.register_model(f"runs:/{run.info.run_id}/clf", "elec")
    by_id = mlflow.register_model(f"models:/{info.model_id}", "elec")
    assert (by_run.version, by_id.version) == ("1", "2")
    assert by_id.run_id == run.info.run_id
    expected = fitted().predict(ROWS)
    for version in (1, 2):
        assert np.array_equal(mlflow.sklearn.load_model(f"models:/elec/{version}").predict(ROWS), expected)


def test_a_version_is_copied_to_another_model(elec: MlflowClient) -> None:
    copied = elec.copy_model_version("models:/elec/2", "copies")
    assert (copied.name, copied.version, copied.source) == ("copies", "1", "models:/elec/2")
    assert copied.run_id == elec.get_model_version("elec", "2").run_id
    assert np.array_equal(mlflow.sklearn.load_model("models:/copies/1").predict(ROWS), fitted().predict(ROWS))


def test_creating_a_model_twice_is_resource_already_exists(client: MlflowClient) -> None:
    client.create_registered_model("elec", tags={"team": "grid"}, description="d")
    with pytest.raises(MlflowException, match="already exists") as caught:
        client.create_registered_model("elec")
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"


def test_models_are_read_changed_renamed_and_deleted(elec: MlflowClient) -> None:
    elec.update_registered_model("elec", description="prices")
    elec.set_registered_model_tag("elec", "team", "grid")
    elec.set_registered_model_tag("elec", "old", "1")
    elec.delete_registered_model_tag("elec", "old")
    elec.set_registered_model_alias("elec", "champion", "2")
    found = elec.get_registered_model("elec")
    assert (found.description, found.tags, found.aliases) == ("prices", {"team": "grid"}, {"champion": "2"})
    assert [each.version for each in found.latest_versions] == ["2"]
    elec.rename_registered_model("elec", "power")
    assert elec.get_model_version_by_alias("power", "champion").version == "2"
    elec.delete_registered_model("power")
    with pytest.raises(MlflowException) as caught:
        elec.get_registered_model("power")
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_versions_are_changed_and_deleted(elec: MlflowClient) -> None:
    elec.update_model_version("elec", "1", description="first")
    elec.set_model_version_tag("elec", "1", "checked", "yes")
    elec.set_model_version_tag("elec", "1", "old", "1")
    elec.delete_model_version_tag("elec", "1", "old")
    found = elec.get_model_version("elec", "1")
    assert (found.description, found.tags) == ("first", {"checked": "yes"})
    elec.set_registered_model_alias("elec", "champion", "2")
    elec.delete_model_version("elec", "2")
    assert elec.get_registered_model("elec").aliases == {}
    with pytest.raises(MlflowException) as caught:
        elec.get_model_version("elec", "2")
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert mlflow.register_model("models:/elec/1", "elec").version == "3"


def test_aliases_move_and_are_removed(elec: MlflowClient) -> None:
    elec.set_registered_model_alias("elec", "champion", "1")
    elec.set_registered_model_alias("elec", "champion", "2")
    assert elec.get_model_version_by_alias("elec", "champion").version == "2"
    assert elec.get_model_version("elec", "2").aliases == ["champion"]
    elec.delete_registered_model_alias("elec", "champion")
    with pytest.raises(MlflowException, match="alias champion not found") as caught:
        elec.get_model_version_by_alias("elec", "champion")
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.filterwarnings("ignore:.*stages:FutureWarning")
def test_stages_are_answered(elec: MlflowClient) -> None:
    elec.transition_model_version_stage("elec", "1", "Production")
    moved = elec.transition_model_version_stage("elec", "2", "production", archive_existing_versions=True)
    assert moved.current_stage == "Production"
    assert elec.get_model_version("elec", "1").current_stage == "Archived"
    assert [each.version for each in elec.get_latest_versions("elec", ["Production"])] == ["2"]
    assert [each.version for each in elec.get_latest_versions("elec")] == ["1", "2"]
    loaded = mlflow.sklearn.load_model("models:/elec/Production")
    assert np.array_equal(loaded.predict(ROWS), fitted().predict(ROWS))
    with pytest.raises(MlflowException) as caught:
        elec.transition_model_version_stage("elec", "1", "Nowhere")
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_models_are_searched_page_by_page(client: MlflowClient) -> None:
    for name in ("b-two", "a-one", "c-two"):
        client.create_registered_model(name, tags={"kind": name[2:]})
    assert [each.name for each in client.search_registered_models()] == ["a-one", "b-two", "c-two"]
    page = client.search_registered_models(max_results=2, order_by=["name DESC"])
    assert [each.name for each in page] == ["c-two", "b-two"]
    rest = client.search_registered_models(max_results=2, order_by=["name DESC"], page_token=page.token)
    assert ([each.name for each in rest], rest.token) == (["a-one"], "")
    found = client.search_registered_models("tags.kind = 'two' AND name LIKE 'b%'")
    assert [each.name for each in found] == ["b-two"]
    with pytest.raises(MlflowException) as caught:
        client.search_registered_models("name = 'a' OR name = 'b'")
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_versions_are_searched(elec: MlflowClient) -> None:
    run_id = elec.get_model_version("elec", "1").run_id
    elec.set_model_version_tag("elec", "1", "checked", "yes")
    assert [each.version for each in elec.search_model_versions(f"run_id = '{run_id}'")] == ["2", "1"]
    assert [each.version for each in elec.search_model_versions("tags.checked = 'yes'")] == ["1"]
    ordered = elec.search_model_versions("name = 'elec'", order_by=["version_number ASC"], max_results=1)
    assert [each.version for each in ordered] == ["1"]
    assert ordered.token


def test_prompts_are_kept_apart_from_models(client: MlflowClient) -> None:
    first = mlflow.genai.register_prompt("greeting", "Hello {{name}}")
    second = mlflow.genai.register_prompt("greeting", "Hi {{name}}")
    assert (first.version, second.version) == (1, 2)
    mlflow.genai.set_prompt_alias("greeting", alias="live", version=1)
    assert mlflow.genai.load_prompt("prompts:/greeting@live").template == "Hello {{name}}"
    assert mlflow.genai.load_prompt("prompts:/greeting/2").format(name="Ann") == "Hi Ann"
    assert client.search_registered_models() == []
    assert [each.name for each in mlflow.genai.search_prompts()] == ["greeting"]


def test_prompts_live_their_whole_life(client: MlflowClient) -> None:
    mlflow.genai.register_prompt("greeting", "Hello {{name}}", commit_message="first", tags={"tone": "warm"})
    chat = [{"role": "system", "content": "be {{mood}}"}, {"role": "user", "content": "{{question}}"}]
    mlflow.genai.register_prompt("chat", chat, response_format={"type": "object"})
    assert mlflow.genai.load_prompt("chat", version=1).template == chat
    assert mlflow.genai.load_prompt("prompts:/greeting@latest").commit_message == "first"
    assert mlflow.genai.load_prompt("absent", allow_missing=True) is None
    client.set_prompt_tag("greeting", "team", "grid")
    client.set_prompt_version_tag("greeting", 1, "checked", "yes")
    assert client.get_prompt("greeting").tags["team"] == "grid"
    assert client.get_prompt_version("greeting", 1).tags == {"tone": "warm", "checked": "yes"}
    client.delete_prompt_tag("greeting", "team")
    client.delete_prompt_version_tag("greeting", 1, "checked")
    assert [each.name for each in mlflow.genai.search_prompts("name LIKE 'gr%'")] == ["greeting"]
    assert [each.version for each in client.search_prompt_versions("greeting")] == [1]
    assert list(client.search_model_versions()) == []
    mlflow.genai.set_prompt_alias("greeting", alias="live", version=1)
    assert client.get_prompt_version_by_alias("greeting", "live").version == 1
    mlflow.genai.delete_prompt_alias("greeting", alias="live")
    with pytest.raises(MlflowException, match="alias live not found"):
        mlflow.genai.load_prompt("prompts:/greeting@live")
    client.delete_prompt_version("greeting", "1")
    client.delete_prompt("greeting")
    with pytest.raises(MlflowException, match="not found"):
        mlflow.genai.load_prompt("greeting", version=1)


def test_a_model_and_a_prompt_cannot_have_one_name(client: MlflowClient) -> None:
    mlflow.genai.register_prompt("greeting", "Hello")
    client.create_registered_model("elec")
    with pytest.raises(MlflowException, match="already taken by a prompt") as caught:
        client.create_registered_model("greeting")
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"
    with pytest.raises(MlflowException, match="elec"):
        mlflow.genai.register_prompt("elec", "Hello")


def test_files_elsewhere_are_registered_and_found_but_not_known(
    client: MlflowClient, tracking_server: TrackingServer
) -> None:
    client.create_registered_model("elec")
    made = client.create_model_version("elec", "s3://bucket/model", tags={"from": "afar"}, description="d")
    assert (made.version, made.source, made.run_id, made.status) == ("1", "s3://bucket/model", "", "READY")
    assert client.get_model_version_download_uri("elec", "1") == "s3://bucket/model"
    assert tracking_server.platform.registry.get_version("elec", 1).digest == ""


def test_the_logged_model_knows_which_versions_were_made_of_it(
    elec: MlflowClient, tracking_server: TrackingServer
) -> None:
    model_id = tracking_server.platform.registry.get_version("elec", 1).model_id
    listed = json.loads(mlflow.get_logged_model(model_id).tags["mlflow.modelVersions"])
    assert {(each["name"], each["version"]) for each in listed} == {("elec", "1"), ("elec", "2")}
    tracking_server.platform.tracking.models.set_tags(model_id, [("mlflow.modelVersions", "no list")], actor="user:x")
    elec.create_model_version("elec", f"models:/{model_id}", model_id=model_id)
    listed = json.loads(mlflow.get_logged_model(model_id).tags["mlflow.modelVersions"])
    assert listed == [{"name": "elec", "version": "3"}]


def test_latest_is_no_alias_and_means_the_newest_version(elec: MlflowClient) -> None:
    elec.set_registered_model_alias("elec", "champion", "1")
    assert elec.get_model_version_by_alias("elec", "latest").version == "2"
    assert elec.get_model_version_by_alias("elec", "champion").aliases == ["champion"]
    copied = elec.copy_model_version("models:/elec@champion", "copies")
    assert copied.source == "models:/elec/1"
    with pytest.raises(MlflowException, match="reserved"):
        elec.set_registered_model_alias("elec", "Latest", "1")
