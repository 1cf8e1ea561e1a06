"""Refuse requests that come under a foreign name: a web page elsewhere must not reach a server on this machine.

Checked on every method, because DNS rebinding and cross-site requests need no POST to do harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from flyball.kernel.errors import PermissionDenied
from flyball.kernel.settings import Settings

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


Headers = Sequence[tuple[bytes, bytes]]


class HostRule:
    """Accepts only the server's own names in Host, and only itself in Origin."""

    def __init__(self, settings: Settings) -> None:
        extra = {name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()}
        self._names = LOOPBACK | extra | {settings.host.lower()}

    def refusal(self, headers: Headers) -> PermissionDenied | None:
        """Return why a request with these headers is refused, None where it is not."""
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
        if len(hosts) != 1 or _name(hosts[0]) not in self._names:
            return PermissionDenied(
                "this host name is not served here; add it to FLYBALL_ALLOWED_HOSTS if it should be", field="host"
            )
        if any(_authority(origin) != hosts[0].lower() for origin in origins):
            return PermissionDenied("requests from other origins are refused", field="origin")
        return None


def _authority(origin: str) -> str | None:
    """Return host and port of an origin, None where it has none (`null`, or no URL)."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _name(host: str) -> str:
    """Strip the port.

    >>> _name("[::1]:80"), _name("LocalHost:5757")
    ('[::1]', 'localhost')
    """
    if host.startswith("["):
        return host.split("]", maxsplit=1)[0].lower() + "]"
    return host.split(":", maxsplit=1)[0].lower()
