"""The model registry of a `flyball` URI: MLflow's own, which is asked after what was logged is shipped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlflow.store.model_registry.rest_store import RestStore

from flyball.integrations.mlflow.known import KnownModel, KnownRun
from flyball.integrations.mlflow.session import Session


class RegistryStore(RestStore):  # type: ignore[misc]
    """The registry over HTTP; it fails at once where the server is away."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.host_creds)
        self._session = session

    def create_model_version(self, name: str, source: str, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 -- MLflow's signature
        """Register files, by where the server has them."""
        known = next((one for one in self._made() if f"{source}/".startswith(f"{one.artifact_uri}/")), None)
        tail = source.removeprefix(known.artifact_uri) if known is not None else ""
        self._session.settle()
        if known is not None:  # the experiment may have been known by name only until now
            source = known.artifact_uri + tail
        return super().create_model_version(name, source, *arguments, **named)

    def _made(self) -> Iterator[KnownRun | KnownModel]:
        yield from (run for run in list(self._session.runs.values()) if run.artifact_uri)
        yield from list(self._session.models.values())

    def _call_endpoint(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 -- MLflow's signature
        """Ask the server, at once or not at all."""
        self._session.settle()
        return super()._call_endpoint(*arguments, **named)
