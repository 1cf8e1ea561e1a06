"""Send figures in regular turns from a thread of their own: whoever is measured never waits for whoever reads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from flyball.kernel.errors import Unavailable
from flyball.kernel.logs import get_logger
from flyball.kernel.telemetry.families import Family

# How long the end of a process waits for its last figures to be taken.
LAST_S = 5
_log = get_logger("telemetry")


class FamilySink(Protocol):
    """Takes families away. Called by one thread at a time."""

    def send(self, families: Sequence[Family]) -> None:
        """Send what there is now.

        Raises:
            Unavailable: it was not taken; the next turn sends newer figures.
        """
        ...

    def close(self) -> None:
        """End whatever is open."""
        ...


class Reporter:
    """Reads and sends every `every_s` seconds, and once more at the end; a failure is logged once until it works again."""

    def __init__(self, read: Callable[[], Sequence[Family]], sink: FamilySink, *, every_s: float) -> None:
        self._read = read
        self._sink = sink
        self._every_s = every_s
        self._ended = threading.Event()
        self._complained = False
        self._thread = threading.Thread(target=self._run, name="report-figures", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send what there is a last time, and end; a receiver that is away holds nobody longer than `LAST_S`."""
        self._ended.set()
        self._thread.join(LAST_S)
        self._sink.close()  # what is still trying gives up

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            self._turn()
        self._turn()

    def _turn(self) -> None:
        try:
            families = self._read()
            if families:  # nothing at all is what somebody reads whose turn it is not
                self._sink.send(families)
        except Unavailable as error:
            if not self._complained:
                _log.warning("figures_not_sent", message=error.message)
            self._complained = True
        except Exception as error:  # noqa: BLE001 -- the end of this turn: figures must not end what they are about
            _log.error("figures_not_read", exc_info=error)
        else:
            self._complained = False
