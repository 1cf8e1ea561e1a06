"""From a request to an identity: a bearer token, HTTP Basic with the token as password, or the UI's session cookie."""

from __future__ import annotations

import base64
import binascii

from starlette.requests import HTTPConnection

from flyball.governance.access import Access
from flyball.governance.entities import Principal
from flyball.kernel.errors import Unauthenticated

SESSION_COOKIE = "flyball_session"


def authenticate(connection: HTTPConnection, access: Access) -> Principal:
    """Return who is asking.

    Raises:
        Unauthenticated: nothing was presented, or it is wrong, expired or revoked.
    """
    secret = _secret(connection)
    if secret is None:
        raise Unauthenticated(
            "You are not authenticated. Send 'Authorization: Bearer <token>'; `flyball env` prints the owner's token."
        )
    return access.authenticate(secret)


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
