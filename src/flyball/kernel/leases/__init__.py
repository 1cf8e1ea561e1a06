"""Leases: who may act on a long thing, until when, and with which fencing token."""

from flyball.kernel.leases.entities import Lease
from flyball.kernel.leases.ports import LeaseStore

__all__ = ["Lease", "LeaseStore"]
