"""Leases in memory: the specification, and the double for tests."""

from __future__ import annotations

import dataclasses
import threading

from flyball.kernel.clock import Clock
from flyball.kernel.errors import Conflict, LeaseLost
from flyball.kernel.leases.entities import Lease


class MemoryLeaseStore:
    """A dictionary under a lock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, Lease] = {}
        self._tokens: dict[str, int] = {}
        self._lock = threading.RLock()

    def acquire(self, name: str, *, holder: str, ttl_ms: int) -> Lease:
        with self._lock:
            current = self.find(name)
            if current is not None:
                raise Conflict(f"'{name}' is held by {current.holder} until {current.expires_ms}", field=name)
            self._tokens[name] = self._tokens.get(name, 0) + 1
            expires_ms = self._clock.now_ms() + ttl_ms
            self._held[name] = Lease(name=name, holder=holder, token=self._tokens[name], expires_ms=expires_ms)
            return self._held[name]

    def renew(self, lease: Lease, *, ttl_ms: int) -> Lease:
        with self._lock:
            self.fence(lease)
            self._held[lease.name] = dataclasses.replace(lease, expires_ms=self._clock.now_ms() + ttl_ms)
            return self._held[lease.name]

    def release(self, lease: Lease) -> None:
        with self._lock:
            current = self._held.get(lease.name)
            if current is not None and current.token == lease.token:
                del self._held[lease.name]

    def fence(self, lease: Lease) -> None:
        with self._lock:
            current = self.find(lease.name)
            if current is None or current.token != lease.token:
                raise LeaseLost(
                    f"{lease.holder} lost the lease on '{lease.name}'; its work must not be written", field=lease.name
                )

    def sweep(self) -> list[Lease]:
        with self._lock:
            now = self._clock.now_ms()
            expired = [lease for lease in self._held.values() if lease.expires_ms <= now]
            for lease in expired:
                del self._held[lease.name]
            return expired

    def find(self, name: str) -> Lease | None:
        lease = self._held.get(name)
        return lease if lease is not None and lease.expires_ms > self._clock.now_ms() else None
