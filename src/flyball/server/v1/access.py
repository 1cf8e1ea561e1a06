"""Identities, tokens and login links over HTTP."""

from __future__ import annotations

from flyball.governance.entities import TokenInfo
from flyball.governance.permissions import ROLES, Permission, parse_permission
from flyball.kernel.errors import PermissionDenied, Unauthenticated
from flyball.server.routing import Call, Route
from flyball.wire.v1 import Done
from flyball.wire.v1 import access as shapes


def me(call: Call[None]) -> shapes.Me:
    """Say who the token belongs to."""
    if call.principal is None:
        raise Unauthenticated("this route needs a token")
    return shapes.Me(identity=call.principal.identity, permissions=sorted(call.principal.permissions))


def create_identity(call: Call[shapes.NewIdentity]) -> shapes.IdentityInfo:
    """Add a person or an automation."""
    made = call.platform.access.create_identity(call.body.name, call.body.role, actor=call.actor)
    return shapes.IdentityInfo(name=made.name, role=made.role)


def identities(call: Call[None]) -> shapes.Identities:
    """List who there is."""
    found = call.platform.access.identities()
    return shapes.Identities(identities=[shapes.IdentityInfo(name=one.name, role=one.role) for one in found])


def issue(call: Call[shapes.NewToken]) -> shapes.IssuedToken:
    """Make a token."""
    body = call.body
    _refuse_wider(call)
    token, secret = call.platform.access.issue(
        body.identity, expires_in_s=body.expires_in_s, label=body.label, actor=call.actor, permissions=body.permissions
    )
    return shapes.IssuedToken(token=_token(token), secret=secret)


def tokens(call: Call[None]) -> shapes.Tokens:
    """List tokens, never their secrets."""
    return shapes.Tokens(tokens=[_token(token) for token in call.platform.access.list()])


def revoke(call: Call[None]) -> Done:
    """End a token."""
    call.platform.access.revoke(call.path["token"], actor=call.actor)
    return Done()


def login_link(call: Call[None]) -> shapes.LoginLink:
    """Make a link that opens the pages once."""
    if call.principal is None:
        raise Unauthenticated("this route needs a token")
    return shapes.LoginLink(path=f"/ui/login?code={call.platform.access.issue_link(call.principal)}")


def _refuse_wider(call: Call[shapes.NewToken]) -> None:
    """Stop a token that would make one that may do more than itself: narrowing a token would be worth nothing.

    Raises:
        PermissionDenied: the message names what the caller lacks.
    """
    if call.principal is None:
        raise Unauthenticated("this route needs a token")
    role = call.platform.access.get_identity(call.body.identity).role
    wanted = ROLES[role] if call.body.permissions is None else map(parse_permission, call.body.permissions)
    beyond = sorted(set(wanted) - call.principal.permissions)
    if beyond:
        raise PermissionDenied(
            f"the new token would be allowed '{beyond[0]}', and yours is not; narrow it by 'permissions'",
            field="permissions",
        )


def _token(token: TokenInfo) -> shapes.Token:
    return shapes.Token(
        id=token.id,
        identity=token.identity,
        label=token.label,
        expires_ms=token.expires_ms,
        revoked=token.revoked_ms is not None,
        permissions=sorted(token.permissions) if token.permissions is not None else ["all of the role"],
    )


ROUTES = (
    Route(
        method="GET",
        path="/api/v1/me",
        permission=Permission.TRACKING_READ,
        handler=me,
        response=shapes.Me,
        summary="Say who the token belongs to",
    ),
    Route(
        method="POST",
        path="/api/v1/identities",
        permission=Permission.ACCESS_ADMIN,
        handler=create_identity,
        request=shapes.NewIdentity,
        response=shapes.IdentityInfo,
        summary="Add a person or an automation",
    ),
    Route(
        method="GET",
        path="/api/v1/identities",
        permission=Permission.ACCESS_READ,
        handler=identities,
        response=shapes.Identities,
        summary="List identities",
    ),
    Route(
        method="POST",
        path="/api/v1/tokens",
        permission=Permission.ACCESS_ADMIN,
        handler=issue,
        request=shapes.NewToken,
        response=shapes.IssuedToken,
        summary="Make a token; its secret is shown once",
    ),
    Route(
        method="GET",
        path="/api/v1/tokens",
        permission=Permission.ACCESS_READ,
        handler=tokens,
        response=shapes.Tokens,
        summary="List tokens",
    ),
    Route(
        method="DELETE",
        path="/api/v1/tokens/{token}",
        permission=Permission.ACCESS_ADMIN,
        handler=revoke,
        response=Done,
        summary="Revoke a token",
    ),
    Route(
        method="POST",
        path="/api/v1/login-links",
        permission=Permission.UI_OPEN,
        handler=login_link,
        response=shapes.LoginLink,
        summary="Make a one-time link to the pages",
    ),
)
