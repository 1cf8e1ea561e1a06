"""Who may call: asked of the platform, which may block, and remembered for a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from flyball.governance.permissions import Permission
from flyball.kernel.errors import Unauthenticated
from flyball.serving.requests import ANONYMOUS

Authorise: TypeAlias = Callable[[str, Permission], str]
"""Return the name of whoever holds a token, if that may do this; else raise Unauthenticated or PermissionDenied. It may block."""

# A token that was revoked opens nothing after this long at the latest.
REMEMBERED_S = 1.0
# After this long it is asked again behind the back of a request, so that a busy caller never waits for it.
RENEWED_AFTER_S = 0.5
MOST_REMEMBERED = 1_024
# Asking is a short look into a database; more at once only wait for each other.
THREADS = 4

_Key: TypeAlias = tuple[bytes, Permission]


class Anyone:
    """No question asked: for a server that only this machine can reach, when its owner says so."""

    async def caller(self, _header: bytes, _permission: Permission) -> str:
        """Return the name of nobody in particular."""
        return ANONYMOUS

    def recalled(self, _header: bytes, _permission: Permission) -> str | None:
        """Return the same."""
        return ANONYMOUS


class Authorisation:
    """The memory in front of `authorise`. Belongs to one event loop. Refusals are not remembered."""

    def __init__(self, authorise: Authorise, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._authorise = authorise
        self._monotonic = monotonic
        self._known: dict[_Key, tuple[str, float]] = {}
        self._asking: dict[_Key, asyncio.Future[str]] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="authorise")

    async def caller(self, header: bytes, permission: Permission) -> str:
        """Return who is calling, by what was presented (`Bearer <token>`).

        Raises:
            Unauthenticated: nothing was presented, or it is wrong, expired or revoked.
            PermissionDenied: who is calling may not do this.
        """
        name = self.recalled(header, permission)
        return name if name is not None else await asyncio.shield(self._ask((header, permission)))

    def recalled(self, header: bytes, permission: Permission) -> str | None:
        """Return who is calling, where that need not be asked; else None."""
        key = header, permission
        known = self._known.get(key)
        if known is None:
            return None
        name, asked_s = known
        age_s = self._monotonic() - asked_s
        if age_s >= REMEMBERED_S:
            return None
        if age_s >= RENEWED_AFTER_S:
            self._ask(key)
        return name

    def _ask(self, key: _Key) -> asyncio.Future[str]:
        """Ask, once for all who want to know at the same time."""
        asking = self._asking.get(key)
        if asking is None:
            token = _token(key[0])
            began_s = self._monotonic()
            asking = asyncio.get_running_loop().run_in_executor(self._threads, self._authorise, token, key[1])
            self._asking[key] = asking
            asking.add_done_callback(lambda done: self._learn(key, began_s, done))
        return asking

    def _learn(self, key: _Key, began_s: float, asked: asyncio.Future[str]) -> None:
        del self._asking[key]
        if asked.cancelled() or asked.exception() is not None:  # which is looked at here, if nobody waits for it
            self._known.pop(key, None)
            return
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[key] = asked.result(), began_s


def _token(header: bytes) -> str:
    scheme, _, token = header.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("send 'Authorization: Bearer <token>'")
    return token.strip()
