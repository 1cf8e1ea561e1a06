"""The worker's courier: webhooks are told under a lease each, in threads, so that one that hangs keeps nothing else waiting."""

from __future__ import annotations

import functools
from concurrent.futures import Future, ThreadPoolExecutor

from flyball.kernel.errors import FlyballError
from flyball.kernel.leases import Lease, LeaseStore
from flyball.kernel.leases.holding import Holdings
from flyball.kernel.logs import get_logger
from flyball.registry.webhooks.delivery import Deliverer

AT_ONCE = 4
_log = get_logger("worker")


class Courier:
    """Starts what is due; any number of workers may have one."""

    def __init__(self, deliverer: Deliverer, *, leases: LeaseStore, holdings: Holdings) -> None:
        self._deliverer = deliverer
        self._leases = leases
        self._holdings = holdings
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook")
        self._running: dict[str, Future[None]] = {}

    def turn(self) -> bool:
        """Start the delivery of what is due, and return whether anything was started."""
        self._running = {webhook: future for webhook, future in self._running.items() if not future.done()}
        started = False
        for webhook_id in self._deliverer.waiting():
            if webhook_id in self._running or len(self._running) >= AT_ONCE:
                continue
            lease = self._holdings.take(f"webhook/{webhook_id}")
            if lease is not None:
                self._running[webhook_id] = self._pool.submit(self._deliver, webhook_id, lease)
                started = True
        return started

    def close(self) -> None:
        """Wait for the deliveries that are on their way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _deliver(self, webhook_id: str, lease: Lease) -> None:
        try:
            self._deliverer.deliver(webhook_id, fence=functools.partial(self._leases.fence, lease))
        except (
            FlyballError
        ) as error:  # the lease was lost, or the store is out of reach: the deliveries are still there
            _log.warning("webhook_left", webhook=webhook_id, code=error.code.value, message=error.message)
        except Exception as error:  # noqa: BLE001 -- the end of this thread: whatever it was goes to the log
            _log.error("webhook_failed", webhook=webhook_id, exc_info=error)
