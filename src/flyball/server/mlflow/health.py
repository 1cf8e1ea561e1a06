"""Whether the server is up, and what it can do, for clients that do not know yet who they are."""

from __future__ import annotations

from starlette.responses import PlainTextResponse

from flyball.server.mlflow.rows import row
from flyball.server.routing import PUBLIC, Answer, Call
from flyball.wire.mlflow.artifacts import ServerInfo

PROTOCOL_VERSION = "3.17.2"
"""The release of MLflow whose protocol this is; clients compare it with their own."""


def health(_call: Call[None]) -> Answer:
    """Say that the server answers."""
    return PlainTextResponse("OK")


def version(_call: Call[None]) -> Answer:
    """Name the version of the protocol."""
    return PlainTextResponse(PROTOCOL_VERSION)


def server_info(_call: Call[None]) -> ServerInfo:
    """Say what this server can do."""
    return ServerInfo(
        store_type="SqlStore",
        workspaces_enabled=False,
        trace_archival_enabled=False,
        multipart_uploads_enabled=False,
        multipart_downloads_enabled=False,
    )


ROUTES = (
    row("GET", "/health", permission=PUBLIC, handler=health),
    row("GET", "/version", permission=PUBLIC, handler=version),
    row("GET", "/api/3.0/mlflow/server-info", permission=PUBLIC, handler=server_info, response=ServerInfo),
)
