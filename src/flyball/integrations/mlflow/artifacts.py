"""The artifacts of runs and logged models: files are copied into the journal, and read from the server."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Literal

from mlflow.store.artifact.artifact_repo import ArtifactRepository, verify_artifact_path
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

from flyball.integrations.mlflow.session import Session, as_mlflow_error
from flyball.kernel.errors import InvalidInput

_RUN = re.compile(r"(?P<base>mlflow-artifacts:/+(?:.+?/)??(?P<id>[0-9a-f]{32})/artifacts)(?:/(?P<path>.*))?")
_MODEL = re.compile(r"(?P<base>mlflow-artifacts:/+(?:.+?/)??models/(?P<id>m-[0-9a-f]{32})/artifacts)(?:/(?P<path>.*))?")


class JournalArtifacts(ArtifactRepository):  # type: ignore[misc]
    """The files of one run or logged model, or of a folder of them."""

    def __init__(self, artifact_uri: str, session: Session, registry_uri: str | None = None) -> None:
        super().__init__(artifact_uri, session.address.uri, registry_uri)
        self._session = session
        found = [match for match in (_RUN.fullmatch(artifact_uri), _MODEL.fullmatch(artifact_uri)) if match]
        if not found:
            raise as_mlflow_error(InvalidInput(f"{artifact_uri} leads to no run and no logged model"))
        first = min(found, key=lambda match: len(match["base"]))
        self._owner: Literal["run", "model"] = "model" if first.re is _MODEL else "run"
        self._owner_id, self._folder = first["id"], (first["path"] or "").strip("/")

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Copy a file into the journal."""
        verify_artifact_path(artifact_path)
        self._keep(Path(local_file), artifact_path or "")

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Copy a folder into the journal."""
        verify_artifact_path(artifact_path)
        root = Path(local_dir)
        for source in sorted(root.rglob("*")):
            if source.is_file():
                below = source.relative_to(root).parent.as_posix()
                self._keep(source, posixpath.normpath(posixpath.join(artifact_path or "", below)))

    def _keep(self, source: Path, folder: str) -> None:
        path = posixpath.normpath(posixpath.join(self._folder, folder, source.name))
        self._session.keep_file(self._owner, self._owner_id, path, source)

    def list_artifacts(self, path: str | None = None) -> Any:  # noqa: ANN401 -- MLflow's type
        """List a folder on the server."""
        return self._remote().list_artifacts(path)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete files on the server."""
        self._remote().delete_artifacts(artifact_path)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        """Fetch a file from the server."""
        self._remote()._download_file(remote_file_path, local_path)  # noqa: SLF001 -- the hook that MLflow's base class names

    def _remote(self) -> Any:  # noqa: ANN401 -- MLflow's type
        """Return MLflow's own repository for the same files, once the server has them."""
        self._session.settle()
        known = self._session.runs.get(self._owner_id) or self._session.models.get(self._owner_id)
        uri = posixpath.join(known.artifact_uri, self._folder) if known and known.artifact_uri else self.artifact_uri
        return MlflowArtifactsRepository(uri.rstrip("/"), self._session.address.server)
