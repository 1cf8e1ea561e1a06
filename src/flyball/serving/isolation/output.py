"""What a model's process prints goes to our log, within limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import IO

from flyball.kernel.logs import get_logger

LONGEST_LINE = 2_000
# A traceback has room; a model that prints a line for each of a thousand requests a second has not.
LINES_AT_ONCE = 200
PER_S = 10.0

_log = get_logger("isolation")


class PrintedLines:
    """Read the lines of a pipe in a thread, until everybody who could write to it has ended."""

    def __init__(self, pipe: IO[bytes], *, model: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self._pipe = pipe
        self._model = model
        self._now_s = now_s
        self._since_s = now_s()
        self._lines = 0
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="model-output", daemon=True)
        self._thread.start()

    def finish(self, timeout_s: float) -> None:
        """Wait for the end of the pipe, but no longer than this."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        with self._pipe:
            # Read by pieces of a limited length: a line without an end must not fill the memory.
            while piece := self._pipe.readline(LONGEST_LINE):
                self._say(piece.decode(errors="replace").rstrip())
        self._tell_dropped()

    def _say(self, line: str) -> None:
        if self._now_s() - self._since_s > PER_S:
            self._tell_dropped()
            self._since_s, self._lines = self._now_s(), 0
        self._lines += 1
        if self._lines > LINES_AT_ONCE:
            self._dropped += 1
        elif line:
            _log.info("model_said", model=self._model, line=line)

    def _tell_dropped(self) -> None:
        if self._dropped:
            _log.warning("model_says_too_much", model=self._model, dropped_lines=self._dropped)
        self._dropped = 0
