"""A child process that does parts for the local runner."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from flyball.kernel.runners.ports import Work
from flyball.kernel.runners.worker import receive, send
from flyball.kernel.settings import PREFIX


class Child:
    """A running worker. One thread asks it; any thread may kill it."""

    def __init__(self, work: Work) -> None:
        reading, writing = os.pipe()
        self._answers = os.fdopen(reading, "rb")
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- our own module in our own interpreter
                [sys.executable, "-m", "flyball.kernel.runners.worker", str(writing)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[writing],
                env=without_settings(os.environ),
            )
        except BaseException:
            self._answers.close()
            raise
        finally:
            os.close(writing)
        self._send(msgspec.json.encode(work))

    def ask(self, content: bytes) -> bytes | None:
        """Send a part and return the answer; None when the child ended without one."""
        self._send(content)
        return receive(self._answers)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self._process.kill()

    def leave(self) -> int:
        """Let it end, as it does when nothing more comes, and return its status."""
        with self._process, self._answers, suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        return self._process.returncode

    def _send(self, content: bytes) -> None:
        assert self._process.stdin is not None
        # One that has ended cannot be written to; that there is no answer says so.
        with suppress(BrokenPipeError):
            send(self._process.stdin, content)


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out our settings: a token has no business beside a model's files.

    >>> without_settings({"PATH": "/bin", "FLYBALL_TOKEN": "t"})
    {'PATH': '/bin'}
    """
    return {key: value for key, value in environ.items() if not key.startswith(PREFIX)}
