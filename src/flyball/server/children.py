"""One supervised process: its start, the reason of its end, its back-off, and its orderly end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from flyball.kernel.logs import get_logger

_log = get_logger("supervisor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a supervisor looks, restarts and loses patience, in seconds."""

    look_every_s: float = 0.2
    # The first restart comes fast because most crashes are single ones; a crash loop must not eat the machine.
    first_delay_s: float = 0.5
    longest_delay_s: float = 30.0
    # A child that lived this long has recovered: its next crash starts again at the first delay.
    healthy_s: float = 60.0
    # Longer than the server's own patience with requests in flight, so that it ends by itself.
    drain_s: float = 15.0


class Child:
    """A process that is to run until it is asked to end."""

    def __init__(self, name: str, command: Sequence[str], *, pace: Pace) -> None:
        self.name = name
        self.command = command
        self._pace = pace
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._delay_s = pace.first_delay_s
        self._not_before = 0.0
        self._starts = 0
        self._patience_ends: float | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None while it waits for its restart."""
        return self._process.pid if self._process is not None else None

    def tend(self, now: float) -> None:
        """Notice an end, say why, and start (again) when it is time. `now` is monotonic time in seconds."""
        if self._process is not None and self._process.poll() is not None:
            self._note_end(exit_reason(self._process.returncode), now)
        if self._process is None and now >= self._not_before:
            self._start(now)

    def ask_to_end(self) -> None:
        """Send SIGTERM; the process has its drain time from now on."""
        if self._process is not None and self._patience_ends is None:
            self._patience_ends = time.monotonic() + self._pace.drain_s
            self._process.terminate()

    def has_ended(self) -> bool:
        """Tell whether the process is gone; one that did not drain in its time is killed."""
        if self._process is None:
            return True
        if self._process.poll() is not None:
            _log.info("stopped", child=self.name, reason=exit_reason(self._process.returncode))
            self._forget()
            return True
        if self._patience_ends is not None and time.monotonic() >= self._patience_ends:
            _log.error("did_not_drain", child=self.name, after_s=self._pace.drain_s)
            self.kill()
            self._patience_ends = time.monotonic() + self._pace.drain_s
        return False

    def kill(self) -> None:
        """Kill the process and those that it started in its group."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _start(self, now: float) -> None:
        # Its own session: Ctrl-C in the terminal reaches the supervisor only, which then drains the children in order.
        try:
            process = subprocess.Popen(list(self.command), stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
        except OSError as error:
            self._note_end(f"could not be started: {error}", now)
            return
        self._process, self._started = process, now
        self._starts += 1
        _log.info("started", child=self.name, pid=process.pid, restarts=self._starts - 1)

    def _note_end(self, reason: str, now: float) -> None:
        if now - self._started > self._pace.healthy_s:
            self._delay_s = self._pace.first_delay_s
        _log.warning("child_ended", child=self.name, reason=reason, restart_in_s=self._delay_s)
        self._not_before = now + self._delay_s
        self._delay_s = min(self._delay_s * 2, self._pace.longest_delay_s)
        self._forget()

    def _forget(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None


def exit_reason(code: int) -> str:
    """Say in words how a process ended.

    >>> exit_reason(-9), exit_reason(3)
    ('killed by signal 9 (Killed)', 'exited with status 3')
    """
    if code >= 0:
        return f"exited with status {code}"
    return f"killed by signal {-code} ({signal.strsignal(-code) or 'unknown'})"
