"""From a request to an identity: a bearer token, HTTP Basic with the token as password, or the UI's session cookie."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from flyball.governance.access import Access
from flyball.governance.entities import Principal
from flyball.kernel.errors import Unauthenticated

SESSION_COOKIE = "flyball_session"
# What another server process revoked is refused here after this long at the latest; what this one revoked, at once.
RECALL_S = 1.0
MOST_RECALLED = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """Who was behind a secret a moment ago."""

    principal: Principal
    until_s: float
    changes: int


class Authenticator:
    """Who is behind a request. A secret that was good a moment ago is not looked up again."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._recalled: dict[str, Recalled] = {}

    def recall(self, connection: HTTPConnection) -> Recalled | None:
        """Return who is asking if that was answered less than a second ago and no access was taken away since."""
        secret = _presented(connection)
        found = None if secret is None else self._recalled.get(secret)
        return found if found is not None and self.holds(found) else None

    def holds(self, recalled: Recalled) -> bool:
        """Tell whether what was answered may still be relied on."""
        return (
            time.monotonic() < recalled.until_s
            and recalled.changes == self._access.changes
            and not self._access.is_over(recalled.principal)
        )

    def authenticate(self, connection: HTTPConnection) -> Principal:
        """Return who is asking.

        Raises:
            Unauthenticated: nothing was presented, or it is wrong, expired or revoked.
        """
        changes = self._access.changes
        principal = authenticate(connection, self._access)
        if len(self._recalled) >= MOST_RECALLED:
            self._recalled = {}
        self._recalled[_secret(connection) or ""] = Recalled(
            principal=principal, until_s=time.monotonic() + RECALL_S, changes=changes
        )
        return principal


def authenticate(connection: HTTPConnection, access: Access) -> Principal:
    """Return who is asking, without memory.

    Raises:
        Unauthenticated: nothing was presented, or it is wrong, expired or revoked.
    """
    secret = _secret(connection)
    if secret is None:
        raise Unauthenticated(
            "You are not authenticated. Send 'Authorization: Bearer <token>'; `flyball env` prints the owner's token."
        )
    return access.authenticate(secret)


def _presented(connection: HTTPConnection) -> str | None:
    try:
        return _secret(connection)
    except Unauthenticated:
        return None


def _secret(connection: HTTPConnection) -> str | None:
    header = connection.headers.get("authorization", "")
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        return _basic_password(rest.strip())
    return connection.cookies.get(SESSION_COOKIE)


def _basic_password(text: str) -> str:
    try:
        _, separator, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthenticated("the Basic authorization header is not base64 of 'name:token'") from error
    if not separator:
        raise Unauthenticated("the Basic authorization header carries no password; send the token as password")
    return password
