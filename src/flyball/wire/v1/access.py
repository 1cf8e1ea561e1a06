"""Shapes of identities, tokens and login links."""

from __future__ import annotations

from flyball.wire.v1 import Body, Shape, Whole


class Me(Shape):
    """Who the token belongs to, and what it may do."""

    identity: str
    permissions: list[str]


class NewIdentity(Body):
    """A person or a service, and its role."""

    name: str
    role: str


class IdentityInfo(Shape):
    """An identity."""

    name: str
    role: str


class Identities(Shape):
    """All identities."""

    identities: list[IdentityInfo]


class NewToken(Body):
    """A token for an identity; without permissions it has all of its role."""

    identity: str
    label: str
    expires_in_s: Whole
    permissions: list[str] | None = None


class Token(Shape):
    """A token as it is listed: never its secret."""

    id: str
    identity: str
    label: str
    expires_ms: int
    revoked: bool
    permissions: list[str]


class IssuedToken(Shape):
    """A new token; its secret is shown this once."""

    token: Token
    secret: str


class Tokens(Shape):
    """All tokens."""

    tokens: list[Token]


class LoginLink(Shape):
    """A path that opens the pages once, within a minute."""

    path: str
