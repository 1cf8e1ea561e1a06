"""Who is answered by which version: pure, sticky, and the same in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from flyball.deployment.entities import Role, Route

_HASH_BYTES = 8


def choose(routes: Sequence[Route], salt: str, key: str) -> Route:
    """Return the route that answers a key, always the same one for the same shares and salt.

    The canary takes the keys whose position lies below its share, so a canary that grows keeps those it has.

    >>> champion = Route(version=1, share=0.9, role=Role.CHAMPION)
    >>> canary = Route(version=2, share=0.1, role=Role.CANARY)
    >>> sum(choose([champion, canary], "s", str(i)).version == 2 for i in range(1000))
    93
    """
    place = position(salt, key)
    for route in routes:
        if route.role is Role.CANARY and place < route.share:
            return route
    return next(route for route in routes if route.role is Role.CHAMPION)


def shadows(routes: Sequence[Route], salt: str, key: str) -> tuple[Route, ...]:
    """Return the routes that only watch a key; each draws for itself, independently of who answers."""
    return tuple(
        route
        for route in routes
        if route.role is Role.SHADOW and position(f"{salt}/shadow/{route.version}", key) < route.share
    )


def position(salt: str, key: str) -> float:
    """Place a key in [0, 1), evenly over keys and independently over salts."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    # 53 bits are what a float holds exactly; more could round up to 1.
    return (int.from_bytes(digest[:_HASH_BYTES], "big") >> 11) / (1 << 53)
