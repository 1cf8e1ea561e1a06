"""The thread that ships: this process's journal, and those that others left behind; it waits longer while the server is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from flyball.client.client import Client
from flyball.client.journal.folder import JournalFolder, journals_in
from flyball.client.journal.orphans import ship_orphan
from flyball.client.journal.shipper import Shipper, Step
from flyball.client.journal.writer import Writer
from flyball.kernel.errors import FlyballError, Unavailable

GATHER_S = 0.05
"""What is written within this time goes in one shipment; the beginning of a run goes at once."""
IDLE_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 15.0


class Courier:
    """Ship in the background. Every method may be called from any thread."""

    def __init__(
        self,
        folder: JournalFolder,
        writer: Writer,
        *,
        connect: Callable[[], Client],
        shipper: Callable[[Client], Shipper],
        tell: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._connect = connect
        self._make_shipper = shipper
        self._tell = tell
        self._shipper: Shipper | None = None
        self._client: Client | None = None
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._stopped = threading.Event()
        self._waiting = False
        self._round = 0
        self._changed = threading.Condition()
        self._fault: tuple[int, FlyballError] | None = None
        self._pause_s = 0.0
        self._thread = threading.Thread(target=self._run, name="flyball-journal-courier", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something to ship."""
        if not self._wake.is_set():
            self._wake.set()

    def hurry(self) -> None:
        """Say that it should be shipped at once."""
        self._hurry.set()
        self._wake.set()

    @property
    def applied(self) -> int:
        """The last sequence that the server is known to have carried out."""
        return self._shipper.applied if self._shipper else 0

    def flush(self, timeout_s: float) -> None:
        """Wait until all that is written by now is shipped.

        Raises:
            Unavailable: the server is away, or it takes longer.
        """
        target, deadline = self._writer.position.sequence, time.monotonic() + timeout_s
        with self._changed:
            begun = self._round
        self.hurry()
        with self._changed:
            while self.applied < target:
                if self._fault is not None and self._fault[0] > begun:
                    raise Unavailable(f"not shipped yet: {self._fault[1].message}") from self._fault[1]
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    waits = self._shipper.tally.waits_for if self._shipper else ""
                    reason = f"it waits for {waits}" if waits else "it takes longer"
                    raise Unavailable(f"{target - self.applied} records are not shipped yet: {reason}")
                self._changed.wait(left_s)

    def stop(self) -> None:
        """Begin nothing more, and wait a moment for what is under way."""
        self._stopped.set()
        self.hurry()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._rest()
            if self._stopped.is_set():
                return
            with self._changed:
                self._round += 1
            fault = self._try_round()
            with self._changed:
                self._note(fault)
                self._changed.notify_all()

    def _rest(self) -> None:
        """Wait for something to do; longer after a fault, but not when somebody is in a hurry."""
        if self._pause_s or self._waiting:
            self._hurry.wait(self._pause_s or FIRST_PAUSE_S)
        else:
            self._wake.wait(IDLE_S)
            self._hurry.wait(GATHER_S)
        self._wake.clear()
        self._hurry.clear()

    def _try_round(self) -> FlyballError | None:
        try:
            self._ship()
        except FlyballError as error:
            return error
        except Exception as error:  # noqa: BLE001 -- the thread must live on, whatever one round met
            return FlyballError(f"{type(error).__name__}: {error}")
        return None

    def _ship(self) -> None:
        if self._client is None or self._shipper is None:
            self._client = self._connect()
            self._shipper = self._make_shipper(self._client)
        while not self._stopped.is_set() and (step := self._shipper.step()) is Step.SHIPPED:
            with self._changed:
                self._changed.notify_all()
        self._waiting = step is Step.WAITING
        for other in journals_in(self._folder.root):
            mine = other.origin.journal == self._folder.origin.journal
            if not mine and other.origin.server == self._folder.origin.server and not self._is_called():
                ship_orphan(other, self._client, tell=self._tell, until=self._is_called)

    def _is_called(self) -> bool:
        """Tell whether the own journal has something to ship, which goes before what others left."""
        return self._stopped.is_set() or self._hurry.is_set() or (self._wake.is_set() and not self._waiting)

    def _note(self, fault: FlyballError | None) -> None:
        if fault is None:
            if self._fault is not None:
                self._tell("the server takes records again")
            self._fault, self._pause_s = None, 0.0
            return
        if self._fault is None:
            self._tell(f"what is logged is kept in {self._folder.path} and sent later: {fault.message}")
        self._fault = (self._round, fault)
        self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
