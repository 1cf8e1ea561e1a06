"""Access: identities, their tokens, and who is behind a secret."""

from __future__ import annotations

from collections.abc import Iterable

from flyball.governance.admission import (
    DAY_S,
    MAX_LABEL,
    check_token,
    clean_name,
    clean_role,
    clean_scope,
    refuse_ended,
)
from flyball.governance.entities import (
    GovernanceEvent,
    Identity,
    LoginLink,
    Principal,
    TokenId,
    TokenInfo,
    TokenKind,
)
from flyball.governance.permissions import ROLES, Permission, Role
from flyball.governance.ports import AccessStore
from flyball.governance.secret import digest_secret, make_code, make_secret, matches, token_of
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, NotFound, StoreFull, Unauthenticated, Unavailable
from flyball.kernel.events import EventLog, ref
from flyball.kernel.ids import new_id

OWNER = "user:owner"
SYSTEM = "service:system"
BOOTSTRAP_LABEL = "made at the first start"
BOOTSTRAP_DAYS = 365
# A link goes through a browser's address line and history: a minute is enough to open it and too short to find it later.
LINK_MS = 60_000
# A working day with a margin.
SESSION_MS = 12 * 3_600_000
# When a token was last used is for people who clean up; a write for each request would cost far more than it tells.
USED_RESOLUTION_MS = 600_000


class Access:
    """Who there is, with which secrets, and what they may do."""

    def __init__(self, store: AccessStore, events: EventLog, clock: Clock, database: Database) -> None:
        self._store = store
        self._events = events
        self._clock = clock
        self._database = database
        self._changes = 0

    @property
    def changes(self) -> int:
        """How often access was taken away by way of this object; for who remembers an answer of `authenticate`."""
        return self._changes

    def is_over(self, principal: Principal) -> bool:
        """Tell whether the time of the token behind a principal is over."""
        return principal.token.expires_ms <= self._clock.now_ms()

    # -- identities

    def create_identity(self, name: str, role: str, *, actor: str) -> Identity:
        """Add a person (`user:<name>`) or an automation (`service:<name>`).

        Raises:
            InvalidInput: the name is malformed, there is no such role, or it is not for automation.
            AlreadyExists: the name is taken.
        """
        identity = Identity(
            name=clean_name(name), role=clean_role(role, name=name), created_ms=self._clock.now_ms(), created_by=actor
        )
        with self._database.transaction():
            self._store.add_identity(identity)
            self._events.record(
                GovernanceEvent.IDENTITY_CREATED,
                actor=actor,
                subject=ref("identity", name),
                payload={"role": identity.role.value},
            )
        return identity

    def get_identity(self, name: str) -> Identity:
        """Return an identity.

        Raises:
            NotFound: there is none of this name.
        """
        identity = self._store.find_identity(name)
        if identity is None:
            raise NotFound(f"no identity '{name}'; list them with: flyball identity list", field="identity")
        return identity

    def identities(self) -> tuple[Identity, ...]:
        """Return all identities, by name."""
        return self._store.identities()

    def disable_identity(self, name: str, *, actor: str) -> Identity:
        """Shut an identity out at once, with all its tokens and sessions. Its deeds stay in the audit.

        Raises:
            NotFound: there is none of this name.
            Conflict: it is the last owner.
        """
        with self._database.transaction():
            self.get_identity(name)
            if self._store.disable_identity(name, now_ms=self._clock.now_ms()):
                self._events.record(
                    GovernanceEvent.IDENTITY_DISABLED, actor=actor, subject=ref("identity", name), payload={}
                )
                # Asked after the event, which waits for its turn in the chain: of two owners who disable each other
                # at once, the second sees what the first did.
                self._require_owner()
            identity = self.get_identity(name)
        self._changes += 1
        return identity

    def _require_owner(self) -> None:
        identities = self._store.identities()
        if not any(identity.role is Role.OWNER and identity.disabled_ms is None for identity in identities):
            raise Conflict("this is the last owner; make another owner first", field="identity")

    # -- tokens

    def issue(
        self,
        identity: str,
        *,
        expires_in_s: int,
        label: str,
        actor: str,
        permissions: Iterable[str] | None = None,
    ) -> tuple[TokenInfo, str]:
        """Make a token, and return it with its secret, which is shown this once and kept nowhere.

        `permissions` narrows the token to a part of what the identity's role allows; None means all of it.

        Raises:
            NotFound: no such identity.
            Conflict: the identity is disabled.
            InvalidInput: a permission beyond the role, an expiry outside 1 s to 10 years, or an empty label.
        """
        owner = self._enabled(identity)
        check_token(expires_in_s=expires_in_s, label=label)
        now = self._clock.now_ms()
        token = TokenInfo(
            id=TokenId(new_id()),
            identity=identity,
            kind=TokenKind.TOKEN,
            label=label,
            permissions=clean_scope(owner, permissions),
            created_ms=now,
            expires_ms=now + expires_in_s * 1_000,
        )
        return token, self._add(token, kind=GovernanceEvent.TOKEN_ISSUED, actor=actor)

    def authenticate(self, secret: str) -> Principal:
        """Return who is behind a secret: a token's or a session's.

        Raises:
            Unauthenticated: it is wrong, expired or revoked, or its identity is disabled.
        """
        found = self._store.find_credential(token_of(secret))
        if found is None or not matches(secret, found.secret_digest):
            raise Unauthenticated("this token is not known; check that it was copied whole", field="token")
        now = self._clock.now_ms()
        refuse_ended(found, now)
        if found.token.used_ms is None or now - found.token.used_ms >= USED_RESOLUTION_MS:
            self._note_use(found.token.id, now)
        allowed = ROLES[found.identity.role]
        scope = allowed if found.token.permissions is None else found.token.permissions & allowed
        return Principal(identity=found.identity.name, role=found.identity.role, permissions=scope, token=found.token)

    def revoke(self, token: str, *, actor: str) -> None:
        """End a token or a session, and the sessions opened with it. Without effect on one that was revoked before.

        Raises:
            NotFound: no such token.
        """
        with self._database.transaction():
            found = self._store.find_credential(TokenId(token))
            if found is None:
                raise NotFound(f"no token '{token}'; list them with: flyball token list", field="token")
            if self._store.revoke_token(found.token.id, now_ms=self._clock.now_ms()):
                self._events.record(
                    GovernanceEvent.TOKEN_REVOKED,
                    actor=actor,
                    subject=ref("token", token),
                    payload={"identity": found.token.identity},
                )
        self._changes += 1

    def list(self, identity: str | None = None) -> tuple[TokenInfo, ...]:
        """Return the tokens and sessions of one identity, or of all, oldest first."""
        return self._store.tokens(identity)

    def bootstrap_owner(self) -> str:
        """Make the owner if there is none, and return the secret of a new owner token, good for a year.

        For the account that runs the server, which keeps it in a file of mode 0600. Calling it again, because the file was
        lost or the token in it expired, revokes the tokens made so before: a lost file opens nothing.
        """
        with self._database.transaction():
            if self._store.find_identity(OWNER) is None:
                self.create_identity(OWNER, Role.OWNER, actor=SYSTEM)
            for token in self._store.tokens(OWNER):
                if token.label == BOOTSTRAP_LABEL and token.kind is TokenKind.TOKEN and token.revoked_ms is None:
                    self.revoke(token.id, actor=SYSTEM)
            expires_in_s = BOOTSTRAP_DAYS * DAY_S
            return self.issue(OWNER, expires_in_s=expires_in_s, label=BOOTSTRAP_LABEL, actor=SYSTEM)[1]

    # -- sessions of the web UI

    def issue_link(self, principal: Principal) -> str:
        """Make a code that opens one session of the web UI within a minute.

        Raises:
            PermissionDenied: the caller may not open the UI.
            Conflict: the caller is in a session, which must not prolong itself.
        """
        principal.require(Permission.UI_OPEN)
        if principal.token.kind is TokenKind.SESSION:
            raise Conflict("a session cannot open another one; use a token, for example: flyball ui", field="token")
        code = make_code()
        expires_ms = self._clock.now_ms() + LINK_MS
        with self._database.transaction():
            link = LoginLink(code_digest=digest_secret(code), token=principal.token.id, expires_ms=expires_ms)
            self._store.add_link(link)
            self._events.record(
                GovernanceEvent.LINK_ISSUED,
                actor=principal.identity,
                subject=ref("token", principal.token.id),
                payload={"expires_ms": expires_ms},
            )
        return code

    def redeem(self, code: str) -> str:
        """Use a login code up, and return the secret of a session that may do what the token behind the code may.

        Raises:
            Unauthenticated: the code is unknown, used or over, or the token behind it has ended.
        """
        now = self._clock.now_ms()
        with self._database.transaction():
            link = self._store.take_link(digest_secret(code), now_ms=now)
            found = None if link is None else self._store.find_credential(link.token)
            if found is None:
                raise Unauthenticated(
                    "this login link is used, over or unknown; make a new one with: flyball ui", field="code"
                )
            refuse_ended(found, now)
            session = TokenInfo(
                id=TokenId(new_id()),
                identity=found.identity.name,
                kind=TokenKind.SESSION,
                label=f"session of '{found.token.label}'"[:MAX_LABEL],
                permissions=found.token.permissions,
                parent=found.token.id,
                created_ms=now,
                expires_ms=min(now + SESSION_MS, found.token.expires_ms),
            )
            return self._add(session, kind=GovernanceEvent.SESSION_OPENED, actor=found.identity.name)

    # -- parts

    def _enabled(self, name: str) -> Identity:
        identity = self.get_identity(name)
        if identity.disabled_ms is not None:
            raise Conflict(f"'{name}' is disabled", field="identity")
        return identity

    def _add(self, token: TokenInfo, *, kind: GovernanceEvent, actor: str) -> str:
        secret = make_secret(token.id)
        with self._database.transaction():
            self._store.add_token(token, secret_digest=digest_secret(secret))
            self._events.record(
                kind,
                actor=actor,
                subject=ref("token", token.id),
                payload={
                    "identity": token.identity,
                    "label": token.label,
                    "expires_ms": token.expires_ms,
                    "permissions": None if token.permissions is None else sorted(token.permissions),
                    "parent": token.parent,
                },
            )
        return secret

    def _note_use(self, token: TokenId, now_ms: int) -> None:
        try:
            self._store.touch_token(token, now_ms=now_ms)
        except (StoreFull, Unavailable):
            return  # the note is a convenience; a full disk must not lock everybody out
