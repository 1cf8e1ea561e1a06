"""The port of leases."""

from __future__ import annotations

from typing import Protocol

from flyball.kernel.leases.entities import Lease


class LeaseStore(Protocol):
    """Keep at most one living lease a name.

    Threads and processes: any number may compete; one wins. Time is that of the clock the store was made with; holders on
    several machines need clocks that agree to well under the time to live.
    """

    def acquire(self, name: str, *, holder: str, ttl_ms: int) -> Lease:
        """Take a free or expired lease.

        Raises:
            Conflict: somebody holds it; the message says who and until when.
        """
        ...

    def renew(self, lease: Lease, *, ttl_ms: int) -> Lease:
        """Extend a lease one still holds.

        Raises:
            LeaseLost: it expired, was swept, or somebody else took it.
        """
        ...

    def release(self, lease: Lease) -> None:
        """Give a lease back; without effect when it is lost already."""
        ...

    def fence(self, lease: Lease) -> None:
        """Check, inside the caller's transaction, that the holder may still write.

        Raises:
            LeaseLost: it may not; the transaction must not commit.
        """
        ...

    def sweep(self) -> list[Lease]:
        """Take away every expired lease and return them; each is returned to one caller only."""
        ...

    def find(self, name: str) -> Lease | None:
        """Return the living lease of a name, None when nobody holds it."""
        ...
