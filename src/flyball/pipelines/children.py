"""The child process as its parent handles it, and the plain way to start one: a fresh interpreter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol, TypeAlias

from flyball.kernel.errors import Unavailable

CHILD_MODULE = "flyball.pipelines.child"


class Child(Protocol):
    """A process that runs `flyball.pipelines.child.main`, first of its own process group. One thread uses it.

    Its working directory and environment are those it was started with. What it prints comes out of `stdout`. The end of
    `stdin` tells it that its parent has died, so the parent holds that open.
    """

    stdin: IO[bytes]
    stdout: IO[bytes]

    @property
    def returncode(self) -> int:
        """The exit status, negative for a signal; known after `end_group`."""
        ...

    def has_ended(self) -> bool:
        """Tell whether the child itself has ended; others of its group may still run."""
        ...

    def end_group(self) -> None:
        """Kill whatever is left of the group, collect the child, and close `stdin`."""
        ...


StartChild: TypeAlias = Callable[[Path, Mapping[str, str]], Child]
"""Start a child in a folder, with an environment."""


class FreshChild:
    """A child in an interpreter of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- our own module in our own interpreter
                # -P keeps the working directory, where values lie, off the import path.
                [sys.executable, "-P", "-m", CHILD_MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )
        except BlockingIOError as error:
            raise Unavailable(f"the machine cannot start another process now: {error}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.stdin: IO[bytes] = self._process.stdin
        self.stdout: IO[bytes] = self._process.stdout

    @property
    def returncode(self) -> int:
        return self._process.returncode

    def has_ended(self) -> bool:
        # Left uncollected: as long as the child is a zombie, nobody else can get its number, and with it our killpg.
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # nobody is left (macOS says PermissionError for a zombie)
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with suppress(BrokenPipeError):
            self.stdin.close()
