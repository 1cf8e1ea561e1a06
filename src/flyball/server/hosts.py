"""Refuse requests that come under a foreign name: a web page elsewhere must not reach a server on this machine.

Checked on every method, because DNS rebinding and cross-site requests need no POST to do harm.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flyball.kernel.settings import Settings

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


class HostGuard:
    """ASGI middleware that accepts only the server's own names in Host, and only itself in Origin."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        extra = {name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()}
        self._names = LOOPBACK | extra | {settings.host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers.get("host", ""), headers.get("origin"))
        if refusal:
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, host: str, origin: str | None) -> str:
        if _name(host) not in self._names:
            return "This host name is not served here. Add it to FLYBALL_ALLOWED_HOSTS if it should be.\n"
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "Requests from other origins are refused.\n"
        return ""


def _name(host: str) -> str:
    """Strip the port.

    >>> _name("[::1]:80"), _name("LocalHost:5757")
    ('[::1]', 'localhost')
    """
    if host.startswith("["):
        return host.split("]", maxsplit=1)[0].lower() + "]"
    return host.split(":", maxsplit=1)[0].lower()
