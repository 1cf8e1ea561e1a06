"""The plugin of the official MLflow client: tracking URIs `flyball://host:port` and `flyball+file:///folder`.

The MLflow client imports this package whenever it is imported itself, so it loads nothing until one of these URIs is used.
"""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyball.integrations.mlflow.session import Session

FILE_SCHEME = "flyball+file"
SCHEMES = {"flyball": "http", "flyball+https": "https", FILE_SCHEME: ""}
"""The schemes of our tracking URIs, each with the one that the server is reached by."""
_sessions: dict[str, Session] = {}


def tracking_store(store_uri: str, artifact_uri: str | None = None) -> Any:  # noqa: ANN401, ARG001 -- MLflow's type, its names
    """Open the tracking store of a `flyball` URI."""
    from flyball.integrations.mlflow.opening import open_tracking_store

    return open_tracking_store(store_uri)


def registry_store(store_uri: str, tracking_uri: str | None = None) -> Any:  # noqa: ANN401, ARG001 -- as above
    """Open the model registry of a `flyball` URI."""
    from flyball.integrations.mlflow.opening import open_registry_store

    return open_registry_store(store_uri)


def artifact_repository(artifact_uri: str, **named: str | None) -> Any:  # noqa: ANN401 -- as above
    """Open the artifacts of a run; those of a server that is reached by another URI are left to MLflow's own class."""
    from mlflow.tracking._tracking_service.utils import get_tracking_uri

    tracking_uri = named.get("tracking_uri") or get_tracking_uri()
    if tracking_uri.partition(":")[0] not in SCHEMES:
        from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

        return MlflowArtifactsRepository(artifact_uri, **named)
    from flyball.integrations.mlflow.opening import open_artifact_repository

    return open_artifact_repository(artifact_uri, tracking_uri, named.get("registry_uri"))


def close_sessions() -> None:
    """Ship what can be shipped, and say in one line what is left."""
    for session in list(_sessions.values()):
        session.close()


# Registered when MLflow loads its plugins, which is before it registers its own: handlers run in reverse, so the run that
# MLflow ends at exit is still taken.
atexit.register(close_sessions)
