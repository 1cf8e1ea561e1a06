"""What the protocol has and this server does not: said plainly, with a status that the client does not repeat."""

from __future__ import annotations

from flyball.governance.permissions import Permission
from flyball.kernel.errors import Unsupported
from flyball.server.mlflow.rows import PROXY_PREFIX, row
from flyball.server.routing import Answer, Call


def direct_transfer(_call: Call[None]) -> Answer:
    """Refuse uploads in parts and presigned addresses.

    Raises:
        Unsupported: always; clients that read server-info do not ask.
    """
    raise Unsupported(
        "multipart and presigned transfers are not offered here; send and fetch whole files by their path"
    )


_READ, _WRITE = Permission.ARTIFACTS_READ, Permission.ARTIFACTS_WRITE

ROUTES = (
    row("POST", PROXY_PREFIX + "mpu/create/{path:path}", permission=_WRITE, handler=direct_transfer),
    row("POST", PROXY_PREFIX + "mpu/complete/{path:path}", permission=_WRITE, handler=direct_transfer),
    row("POST", PROXY_PREFIX + "mpu/abort/{path:path}", permission=_WRITE, handler=direct_transfer),
    row("GET", PROXY_PREFIX + "presigned/{path:path}", permission=_READ, handler=direct_transfer),
    row("POST", "artifacts/presigned-upload-url", permission=_WRITE, handler=direct_transfer),
    row("POST", "artifacts/presigned-download-url", permission=_READ, handler=direct_transfer),
)
