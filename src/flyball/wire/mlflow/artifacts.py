"""Messages about artifacts; the files themselves travel as raw bytes."""

from __future__ import annotations

from flyball.wire.mlflow.message import Message


class FileInfo(Message):
    """A file or a folder; a folder has no size."""

    path: str
    is_dir: bool
    file_size: int | None = None


class ListArtifacts(Message):
    """Request: list a folder of the proxy, by its path from the proxy's root."""

    path: str | None = None


class Files(Message):
    """Answer: what is directly in the folder, by base names."""

    files: tuple[FileInfo, ...] = ()


class ListRunArtifacts(Message):
    """Request: list a folder of a run."""

    run_id: str | None = None
    run_uuid: str | None = None
    path: str | None = None
    page_token: str | None = None


class VersionFile(Message):
    """Request: a file of a registered model's version."""

    name: str | None = None
    version: str | None = None
    path: str | None = None


class ModelFile(Message):
    """Request: a file of a logged model."""

    artifact_file_path: str | None = None


class RunFiles(Message):
    """Answer: what is directly in the folder of a run or a logged model, by paths from its root."""

    root_uri: str
    files: tuple[FileInfo, ...] = ()


class ServerInfo(Message):
    """Answer: what this server can do."""

    store_type: str
    workspaces_enabled: bool
    trace_archival_enabled: bool
    multipart_uploads_enabled: bool
    multipart_downloads_enabled: bool
