"""The worker's couriers: receivers are told under a lease each, in threads, so that one that hangs keeps nothing else waiting."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from flyball.kernel.errors import FlyballError
from flyball.kernel.leases import Lease, LeaseStore
from flyball.kernel.leases.holding import Holdings
from flyball.kernel.logs import get_logger

AT_ONCE = 4
_log = get_logger("worker")


class Deliverer(Protocol):
    """Somebody who delivers what waits, receiver by receiver."""

    def waiting(self) -> list[str]:
        """Return the receivers for which something is due."""
        ...

    def deliver(self, receiver: str, /, *, fence: Callable[[], None]) -> int:
        """Try what is due for one receiver."""
        ...


class Courier:
    """Starts what is due; any number of workers may have one. `what` names the receivers' leases, and them in the log."""

    def __init__(self, what: str, deliverer: Deliverer, *, leases: LeaseStore, holdings: Holdings) -> None:
        self._what = what
        self._deliverer = deliverer
        self._leases = leases
        self._holdings = holdings
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=what)
        self._running: dict[str, Future[None]] = {}

    def turn(self) -> bool:
        """Start the delivery of what is due, and return whether anything was started."""
        self._running = {receiver: future for receiver, future in self._running.items() if not future.done()}
        started = False
        for receiver in self._deliverer.waiting():
            if receiver in self._running or len(self._running) >= AT_ONCE:
                continue
            lease = self._holdings.take(f"{self._what}/{receiver}")
            if lease is not None:
                self._running[receiver] = self._pool.submit(self._deliver, receiver, lease)
                started = True
        return started

    def close(self) -> None:
        """Wait for the deliveries that are on their way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _deliver(self, receiver: str, lease: Lease) -> None:
        try:
            self._deliverer.deliver(receiver, fence=functools.partial(self._leases.fence, lease))
        except (
            FlyballError
        ) as error:  # the lease was lost, or the store is out of reach: the deliveries are still there
            _log.warning(
                "delivery_left", to=self._what, receiver=receiver, code=error.code.value, message=error.message
            )
        except Exception as error:  # noqa: BLE001 -- the end of this thread: whatever it was goes to the log
            _log.error("delivery_failed", to=self._what, receiver=receiver, exc_info=error)
