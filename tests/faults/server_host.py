"""Starts real servers quickly: a process that has imported everything forks one for each line on its standard input.

A line is a JSON object of environment variables; the answer is a line with the process id. What a server writes goes to the
host's standard error. The host ends, and kills the last server, when its standard input does.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from flyball.kernel.settings import load_settings
from flyball.server.app import build_app
from flyball.server.serve import run_server


def start(environment: dict[str, str]) -> int:
    """Fork a server; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        run_server(load_settings(environment), supervised=False)
        status = 0
    finally:
        os._exit(status)


def main() -> None:
    """Serve the lines."""
    assert build_app is not None, "imported now, so that no server has to"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system collects what ends
    pid = 0
    for line in sys.stdin:
        pid = start(json.loads(line))
        os.write(1, f"{pid}\n".encode())
    if pid:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return


if __name__ == "__main__":
    main()
