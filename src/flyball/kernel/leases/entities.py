"""What a lease is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to act on `name`. `token` grows with every acquisition, so a late holder can be told from the present one."""

    name: str
    holder: str
    token: int
    expires_ms: int
