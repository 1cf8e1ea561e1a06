"""Children that find heavy libraries loaded already.

A server process of Python's own `multiprocessing` imports them once, and forks for every child: a start costs
milliseconds instead of the seconds that scientific libraries take to import. Only the modules named are shared; user code is
never loaded there, so a child sees it as it is on disk.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO


class WarmChild:
    """A running child, in a session of its own. What it prints comes out of `stdout`; `stdin` is open until closed."""

    def __init__(self, entry: Callable[[], None], *, folder: Path, environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("forkserver")
        ours_in, theirs_in = os.pipe()[::-1]
        ours_out, theirs_out = os.pipe()
        ends = Connection(theirs_in, writable=False), Connection(theirs_out, readable=False)
        # Never a daemon of multiprocessing: those may not have children, and a step may start some.
        self._process = context.Process(target=_enter, args=(entry, str(folder), dict(environment), *ends))
        self._process.start()
        for end in ends:
            end.close()
        self.stdin: IO[bytes] = os.fdopen(ours_in, "wb")
        self.stdout: IO[bytes] = os.fdopen(ours_out, "rb", buffering=0)

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group."""
        return self._process.pid or 0

    @property
    def returncode(self) -> int:
        """The exit status, negative for a signal; meaningful once the child has ended."""
        return self._process.exitcode or 0

    def has_ended(self) -> bool:
        """Tell whether the child itself has ended; others of its group may still run."""
        return not self._process.is_alive()

    def end_group(self) -> None:
        """Kill whatever is left of the child's group, and collect the child."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.join()
        with suppress(BrokenPipeError):
            self.stdin.close()


def warm_up(modules: Sequence[str], *, environment: Mapping[str, str]) -> None:
    """Start the server process and let it import the modules; those that are not installed are passed over.

    Call it once, before the process has threads and before the first child. `environment` is all that the server process and
    its children can find out about this process's environment.
    """
    forkserver.set_forkserver_preload(list(modules))
    kept = os.environ.copy()
    os.environ.clear()
    os.environ.update(environment)
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _enter(
    entry: Callable[[], None], folder: str, environment: dict[str, str], given: Connection, printed: Connection
) -> None:
    """Become a plain process: own session, own environment and folder, standard streams on the pipes."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for source, targets in ((given, (0,)), (printed, (1, 2))):
        for target in targets:
            os.dup2(source.fileno(), target)
        source.close()
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 -- a standard stream lives as long as the process
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    sys.path[:] = [
        part for part in sys.path if part
    ]  # as with `python -P`: the working directory holds values, not code
    entry()
