"""What sinks over HTTP share: an address given or referred to, and an answer that counts as arrived."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from flyball.kernel.errors import InvalidInput, Unavailable
from flyball.monitoring.sinks.ports import Outside

JSON = {"Content-Type": "application/json"}
_OK = range(200, 300)


class Address:
    """A URL that stands in the document, or that a secret holds. Checked when it is given, and again at every request."""

    def __init__(self, url: str, url_from: str, outside: Outside, *, path: str = "") -> None:
        if bool(url) == bool(url_from):
            raise InvalidInput("give either 'url', or 'url_from' where the address itself is a secret", field="url")
        if url:
            if "@" in urlsplit(url).netloc:
                raise InvalidInput("'url' holds a password, which the document keeps; use 'url_from'", field="url")
            outside.egress.check(url)
        else:
            outside.secrets.check(url_from, field="url_from")
        self._url = url
        self._url_from = url_from
        self._outside = outside
        self._path = path

    def post(self, body: bytes, headers: Mapping[str, str]) -> str:
        """Send a body, and return the beginning of what was answered.

        Raises:
            PermissionDenied: requests to it are not allowed.
            Unavailable: no answer, one that is not 2xx, or a secret that is missing.
        """
        url = self._url or self._outside.secrets.read(self._url_from)
        target = url.rstrip("/") + self._path if self._path else url
        reply = self._outside.egress.post(target, body, headers)
        said = reply.body.decode(errors="replace")[:200]
        if reply.status not in _OK:
            raise Unavailable(
                f"the receiver answered {reply.status}: {said}" if said else f"it answered {reply.status}"
            )
        return f"{reply.status} {said}".strip()
