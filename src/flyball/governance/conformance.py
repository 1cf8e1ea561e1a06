"""The promises of the ports of this room; a store passes by subclassing, with its `store` as a fixture."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from flyball.governance.entities import (
    Approval,
    ApprovalId,
    ApprovalState,
    Identity,
    LoginLink,
    TokenId,
    TokenInfo,
    TokenKind,
)
from flyball.governance.permissions import Permission, Role
from flyball.governance.ports import AccessStore, ApprovalStore
from flyball.kernel.canonical import Digest, digest_bytes
from flyball.kernel.errors import AlreadyExists

ADA = Identity(name="user:ada", role=Role.ENGINEER, created_ms=1, created_by="user:owner")
SECRET = digest_bytes(b"secret")
CODE = digest_bytes(b"code")
RIVALS = 8


def token(number: int, *, parent: TokenId | None = None) -> TokenInfo:
    """Return a token of Ada's, the same for the same number."""
    return TokenInfo(
        id=TokenId(f"{number:032x}"),
        identity=ADA.name,
        kind=TokenKind.TOKEN,
        label="ci",
        permissions=frozenset({Permission.TRACKING_READ}),
        created_ms=10,
        expires_ms=1_000,
        parent=parent,
    )


class AccessStoreConformance:
    """What every store of identities, tokens and links promises."""

    def test_an_identity_comes_back_as_it_was_added(self, store: AccessStore) -> None:
        store.add_identity(ADA)
        assert store.find_identity(ADA.name) == ADA
        assert store.identities() == (ADA,)

    def test_an_unknown_identity_is_none(self, store: AccessStore) -> None:
        assert store.find_identity("user:nobody") is None

    def test_a_name_is_given_once(self, store: AccessStore) -> None:
        store.add_identity(ADA)
        with pytest.raises(AlreadyExists, match="user:ada"):
            store.add_identity(dataclasses.replace(ADA, role=Role.OWNER))
        assert store.find_identity(ADA.name) == ADA

    def test_an_identity_is_disabled_once(self, store: AccessStore) -> None:
        store.add_identity(ADA)
        assert store.disable_identity(ADA.name, now_ms=5)
        assert not store.disable_identity(ADA.name, now_ms=6)
        assert store.find_identity(ADA.name) == dataclasses.replace(ADA, disabled_ms=5)

    def test_a_token_comes_back_with_its_owner_and_the_digest_of_its_secret(self, store: AccessStore) -> None:
        store.add_identity(ADA)
        store.add_token(token(1), secret_digest=SECRET)
        found = store.find_credential(token(1).id)
        assert found is not None
        assert (found.token, found.identity, found.secret_digest) == (token(1), ADA, SECRET)

    def test_a_token_without_a_scope_stays_without(self, store: AccessStore) -> None:
        store.add_identity(ADA)
        whole = dataclasses.replace(token(1), permissions=None)
        store.add_token(whole, secret_digest=SECRET)
        assert store.tokens() == (whole,)

    def test_tokens_are_listed_by_identity_and_oldest_first(self, store: AccessStore) -> None:
        store.add_token(token(2), secret_digest=SECRET)
        store.add_token(token(1), secret_digest=SECRET)
        assert [found.id for found in store.tokens(ADA.name)] == [token(1).id, token(2).id]
        assert store.tokens("user:nobody") == ()

    def test_revoking_a_token_ends_its_sessions_and_nothing_else(self, store: AccessStore) -> None:
        store.add_token(token(1), secret_digest=SECRET)
        store.add_token(token(2, parent=token(1).id), secret_digest=SECRET)
        store.add_token(token(3), secret_digest=SECRET)
        assert store.revoke_token(token(1).id, now_ms=20)
        assert not store.revoke_token(token(1).id, now_ms=21)
        assert [found.revoked_ms for found in store.tokens()] == [20, 20, None]

    def test_the_last_use_never_goes_back(self, store: AccessStore) -> None:
        store.add_token(token(1), secret_digest=SECRET)
        store.touch_token(token(1).id, now_ms=30)
        store.touch_token(token(1).id, now_ms=20)
        assert [found.used_ms for found in store.tokens()] == [30]

    def test_a_link_is_taken_once(self, store: AccessStore) -> None:
        link = LoginLink(code_digest=CODE, token=token(1).id, expires_ms=100)
        store.add_link(link)
        assert store.take_link(CODE, now_ms=50) == link
        assert store.take_link(CODE, now_ms=50) is None

    def test_a_link_is_over_at_its_expiry(self, store: AccessStore) -> None:
        store.add_link(LoginLink(code_digest=CODE, token=token(1).id, expires_ms=100))
        assert store.take_link(CODE, now_ms=100) is None

    def test_of_many_who_take_a_link_at_once_one_gets_it(self, store: AccessStore) -> None:
        store.add_link(LoginLink(code_digest=CODE, token=token(1).id, expires_ms=100))
        taken: list[LoginLink | None] = []
        threads = [
            threading.Thread(target=lambda: taken.append(store.take_link(CODE, now_ms=50))) for _ in range(RIVALS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == RIVALS
        assert sum(link is not None for link in taken) == 1


def approval(number: int, *, decision: str = "d1", digest: Digest = SECRET) -> Approval:
    """Return a pending approval, the same for the same arguments."""
    return Approval(
        id=ApprovalId(f"{number:032x}"),
        decision=decision,
        content={"model": digest},
        digest=digest,
        state=ApprovalState.PENDING,
        requested_by="service:loop",
        requested_ms=number,
    )


class ApprovalStoreConformance:
    """What every store of approvals promises."""

    def test_an_approval_comes_back_as_it_was_added(self, store: ApprovalStore) -> None:
        assert store.add_approval(approval(1)) == approval(1)
        assert store.find_approval(approval(1).id) == approval(1)

    def test_an_unknown_approval_is_none(self, store: ApprovalStore) -> None:
        assert store.find_approval(ApprovalId("0" * 32)) is None

    def test_the_same_question_is_kept_once(self, store: ApprovalStore) -> None:
        store.add_approval(approval(1))
        assert store.add_approval(approval(2)) == approval(1)
        assert store.approvals() == (approval(1),)

    def test_an_approval_is_settled_once(self, store: ApprovalStore) -> None:
        store.add_approval(approval(1))
        granted = dataclasses.replace(
            approval(1), state=ApprovalState.GRANTED, decided_by="user:ada", decided_ms=9, reason=""
        )
        rejected = dataclasses.replace(granted, state=ApprovalState.REJECTED, reason="late")
        assert store.settle_approval(granted)
        assert not store.settle_approval(rejected)
        assert store.find_approval(approval(1).id) == granted

    def test_approvals_are_listed_newest_first_and_filtered(self, store: ApprovalStore) -> None:
        first, second = approval(1), approval(2, decision="d2")
        store.add_approval(first)
        store.add_approval(second)
        store.settle_approval(
            dataclasses.replace(first, state=ApprovalState.GRANTED, decided_by="user:ada", decided_ms=9)
        )
        assert [found.id for found in store.approvals()] == [second.id, first.id]
        assert [found.id for found in store.approvals(state=ApprovalState.PENDING)] == [second.id]
        assert [found.id for found in store.approvals(decision="d1")] == [first.id]
