"""A real server on loopback, and the official MLflow client pointed at it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

# Read by the client when it is first imported; nothing of a test run is sent anywhere.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
# Models of a few rows: threads of numeric libraries would only wait for each other, and for the other test workers.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import mlflow
import pytest
from tests.protocol.serving import TrackingServer, serve

from flyball.kernel.db import open_database
from flyball.kernel.settings import load_settings
from flyball.server.migrations import upgrade
from flyball.server.platform import open_platform


@pytest.fixture
def tracking_server(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrackingServer]:
    """Serve a fresh platform, and point the client at it with a bearer token."""
    with contextlib.closing(open_database(database_url)) as database:
        upgrade(database)
    settings = load_settings({"FLYBALL_HOME": str(tmp_path / "home"), "FLYBALL_DATABASE_URL": database_url})
    with contextlib.closing(open_platform(settings)) as platform, serve(platform) as url:
        server = TrackingServer(url=url, token=platform.access.bootstrap_owner(), platform=platform)
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", server.token)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # `set_experiment` leaves its choice in the environment and in the module; both are put back after the test.
        monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
        monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
        mlflow.set_tracking_uri(url)
        yield server
        while mlflow.active_run() is not None:
            mlflow.end_run()
