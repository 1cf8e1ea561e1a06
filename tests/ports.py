"""Ports for servers that a test starts later, or starts again on the same port."""

from __future__ import annotations

import random
import socket

# Below the ports that the system gives to outgoing connections: one of those could be taken between the choice and the start.
_FIRST, _LAST = 20_000, 32_000


def free_port() -> int:
    """Return a port on which nobody listens."""
    for port in random.SystemRandom().sample(range(_FIRST, _LAST), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("200 ports were all taken")
