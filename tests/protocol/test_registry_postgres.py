"""A model's way from training to `models:/name@alias` on PostgreSQL, through the official MLflow client."""

from __future__ import annotations

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tests.protocol.serving import TrackingServer
from tests.protocol.test_registry_client import ROWS, fitted, log


@pytest.fixture
def database_url(postgres_url: str) -> str:
    return postgres_url


def test_a_model_is_registered_found_moved_and_loaded(tracking_server: TrackingServer) -> None:
    client = MlflowClient(tracking_server.url)
    with mlflow.start_run() as run:
        info = log("elec")
    mlflow.register_model(info.model_uri, "elec")
    client.set_registered_model_alias("elec", "champion", "1")
    client.set_registered_model_alias("elec", "champion", "2")
    client.set_model_version_tag("elec", "1", "checked", "yes")
    loaded = mlflow.sklearn.load_model("models:/elec@champion")
    assert list(loaded.predict(ROWS)) == list(fitted().predict(ROWS))
    assert [each.version for each in client.search_model_versions(f"run_id = '{run.info.run_id}'")] == ["2", "1"]
    assert [each.name for each in client.search_registered_models("name ILIKE 'EL%'")] == ["elec"]
    with pytest.raises(MlflowException, match="already exists") as caught:
        client.create_registered_model("elec")
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"
    client.delete_registered_model("elec")
    assert tracking_server.platform.events.verify().intact
