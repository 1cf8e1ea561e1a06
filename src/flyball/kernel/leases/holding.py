"""Hold leases for as long as a process works: taken when first needed, renewed in the background, given back at its end."""

from __future__ import annotations

import threading

from flyball.kernel.errors import Conflict, FlyballError
from flyball.kernel.leases.entities import Lease
from flyball.kernel.leases.ports import LeaseStore


class Holdings:
    """The leases of one process. Safe to share between threads.

    A lease that was lost is forgotten: the next `take` competes for it again, and whatever was begun under the old token
    is refused by the fence.
    """

    def __init__(self, leases: LeaseStore, *, holder: str, ttl_ms: int) -> None:
        self._leases = leases
        self._holder = holder
        self._ttl_ms = ttl_ms
        self._held: dict[str, Lease] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="renew-leases", daemon=True)
        self._renewer.start()

    def take(self, name: str) -> Lease | None:
        """Return the lease of a name, held already or acquired now; None while somebody else holds it."""
        with self._lock:
            if name not in self._held:
                try:
                    self._held[name] = self._leases.acquire(name, holder=self._holder, ttl_ms=self._ttl_ms)
                except Conflict:
                    return None
            return self._held[name]

    def close(self) -> None:
        """Give every lease back."""
        self._ended.set()
        self._renewer.join()
        for lease in self._held.values():
            self._leases.release(lease)
        self._held.clear()

    def _renew(self) -> None:
        # A third of the time to live: two renewals may fail before a lease is lost.
        while not self._ended.wait(self._ttl_ms / 3000):
            for lease in list(self._held.values()):
                self._renew_one(lease)

    def _renew_one(self, lease: Lease) -> None:
        try:
            renewed = self._leases.renew(lease, ttl_ms=self._ttl_ms)
        except FlyballError:
            renewed = None
        with self._lock:
            if renewed is None:
                self._held.pop(lease.name, None)
            else:
                self._held[lease.name] = renewed
