"""Approvals: a person's answer to a decision, bound to the digest of everything that is approved."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from flyball.governance.entities import Approval, ApprovalId, ApprovalState, GovernanceEvent
from flyball.governance.permissions import ROLES, Permission, Role
from flyball.governance.ports import ApprovalStore, IdentityStore
from flyball.kernel.canonical import Digest, digest_json, parse_digest
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import Conflict, Corrupted, InvalidInput, NotFound, PermissionDenied
from flyball.kernel.events import Edge, EventLog, Ref, ref
from flyball.kernel.ids import new_id

# How each end of an approval is recorded: its event, and what it is to the decision.
ENDS = {
    ApprovalState.GRANTED: (GovernanceEvent.APPROVAL_GRANTED, "approves"),
    ApprovalState.REJECTED: (GovernanceEvent.APPROVAL_REJECTED, "rejects"),
    ApprovalState.WITHDRAWN: (GovernanceEvent.APPROVAL_WITHDRAWN, "withdraws"),
    ApprovalState.EXPIRED: (GovernanceEvent.APPROVAL_EXPIRED, "expires"),
}


class Approvals:
    """Ask, answer, and check an answer against what is about to be done with it."""

    def __init__(
        self,
        store: ApprovalStore,
        events: EventLog,
        clock: Clock,
        database: Database,
        *,
        identities: IdentityStore,
    ) -> None:
        self._store = store
        self._identities = identities
        self._events = events
        self._clock = clock
        self._database = database

    def request(self, decision: str, content: Mapping[str, str], *, requested_by: str) -> Approval:
        """Ask for an approval of a decision over content: each input's name and digest.

        Asking again for the same decision over the same content returns the approval that is there, settled or not.

        Raises:
            InvalidInput: no decision, no content, or a value that is no digest.
        """
        clean = _clean(decision, content)
        approval = Approval(
            id=ApprovalId(new_id()),
            decision=decision,
            content=clean,
            digest=content_digest(clean),
            state=ApprovalState.PENDING,
            requested_by=requested_by,
            requested_ms=self._clock.now_ms(),
        )
        with self._database.transaction():
            kept = self._store.add_approval(approval)
            if kept.id == approval.id:
                self._record(GovernanceEvent.APPROVAL_REQUESTED, kept, actor=requested_by)
        return kept

    def approve(self, approval: str, digest: str, *, actor: str) -> Approval:
        """Grant an approval of exactly the content whose digest the approver saw.

        Raises:
            NotFound: no such approval.
            PermissionDenied: the actor asked for it, is disabled, or has no role that may approve.
            Conflict: the digest is not that of the content, or the approval is settled already.
        """
        with self._database.transaction():
            pending = self._pending(approval, actor=actor)
            if pending.digest != digest:
                raise Conflict(
                    f"what is to be approved has the digest {pending.digest}, not {digest[:64]}; look at it again",
                    field="digest",
                )
            return self._settle(pending, ApprovalState.GRANTED, actor=actor)

    def reject(self, approval: str, *, actor: str, reason: str) -> Approval:
        """Refuse an approval, for good.

        Raises:
            NotFound: no such approval.
            InvalidInput: no reason is given.
            PermissionDenied: the actor has no role that may approve, or asked for it; who asked may withdraw it.
            Conflict: the approval is settled already.
        """
        if not reason.strip():
            raise InvalidInput("a rejection needs a reason; who asked will read it", field="reason")
        with self._database.transaction():
            pending = self._pending(approval, actor=actor)
            return self._settle(pending, ApprovalState.REJECTED, actor=actor, reason=reason)

    def withdraw(self, approval: str, *, actor: str, reason: str) -> Approval:
        """Take back the question, for good: nobody needs to answer it any more.

        Raises:
            NotFound: no such approval.
            InvalidInput: no reason is given.
            PermissionDenied: the actor neither asked for it nor is an owner.
            Conflict: the approval is settled already.
        """
        if not reason.strip():
            raise InvalidInput("a withdrawal needs a reason; who was about to answer will read it", field="reason")
        with self._database.transaction():
            found = self.get(approval)
            self._require_asker(found, actor)
            return self._settle(_require_pending(found), ApprovalState.WITHDRAWN, actor=actor, reason=reason)

    def is_overdue(self, approval: Approval, within_ms: int) -> bool:
        """Tell whether an approval still waits after so long a time."""
        waited_ms = self._clock.now_ms() - approval.requested_ms
        return approval.state is ApprovalState.PENDING and waited_ms >= within_ms

    def expire(self, approval: str, *, actor: str, reason: str) -> Approval:
        """End an approval that nobody answered in time; for automation that waits for it.

        Raises:
            NotFound: no such approval.
            Conflict: the approval is settled already.
        """
        with self._database.transaction():
            pending = _require_pending(self.get(approval))
            return self._settle(pending, ApprovalState.EXPIRED, actor=actor, reason=reason)

    def get(self, approval: str) -> Approval:
        """Return an approval.

        Raises:
            NotFound: there is none of this id.
        """
        found = self._store.find_approval(ApprovalId(approval))
        if found is None:
            raise NotFound(f"no approval '{approval}'; list them with: flyball approval list", field="approval")
        return found

    def list(self, *, state: ApprovalState | None = None, decision: str | None = None) -> tuple[Approval, ...]:
        """Return approvals, newest first."""
        return self._store.approvals(state=state, decision=decision)

    def verify(self, approval: str, content: Mapping[str, str]) -> Approval:
        """Check that exactly this content was approved, and that the audit proves it.

        Raises:
            NotFound: no such approval.
            Conflict: it is not granted, or an input differs from the approved one; the message names it.
            Corrupted: the approval is not the one that the audit recorded.
        """
        found = self.get(approval)
        if found.state is not ApprovalState.GRANTED:
            raise Conflict(f"the approval {found.id} is {found.state}, not granted", field="approval")
        self._check_recorded(found)
        _compare(found, _clean(found.decision, content))
        return found

    def _pending(self, approval: str, *, actor: str) -> Approval:
        found = self.get(approval)
        if actor == found.requested_by:
            raise PermissionDenied(
                f"{actor} asked for this approval and may not answer it; another approver must, or withdraw it",
                field="actor",
            )
        identity = self._identities.find_identity(actor)
        if identity is None or identity.disabled_ms is not None:
            raise PermissionDenied(f"'{actor}' is no identity that may approve: unknown or disabled", field="actor")
        if Permission.APPROVALS_APPROVE not in ROLES[identity.role]:
            raise PermissionDenied(f"the role '{identity.role}' of {actor} may not approve", field="actor")
        return _require_pending(found)

    def _require_asker(self, approval: Approval, actor: str) -> None:
        identity = self._identities.find_identity(actor)
        if identity is None or identity.disabled_ms is not None:
            raise PermissionDenied(f"'{actor}' is no identity that may withdraw: unknown or disabled", field="actor")
        if actor != approval.requested_by and identity.role is not Role.OWNER:
            raise PermissionDenied(
                f"{approval.requested_by} asked for this approval; only they or an owner may withdraw it, not {actor}",
                field="actor",
            )

    def _settle(self, pending: Approval, state: ApprovalState, *, actor: str, reason: str = "") -> Approval:
        settled = dataclasses.replace(
            pending, state=state, decided_by=actor, decided_ms=self._clock.now_ms(), reason=reason
        )
        if not self._store.settle_approval(settled):
            raise _settled(self.get(pending.id))
        kind, relation = ENDS[state]
        edge = Edge(subject=_ref(settled), relation=relation, object=ref("decision", settled.decision))
        self._record(kind, settled, actor=actor, edges=(edge,))
        return settled

    def _record(self, kind: GovernanceEvent, approval: Approval, *, actor: str, edges: tuple[Edge, ...] = ()) -> None:
        self._events.record(
            kind,
            actor=actor,
            subject=_ref(approval),
            payload={
                "decision": approval.decision,
                "content": dict(approval.content),
                "digest": approval.digest,
                "requested_by": approval.requested_by,
                "reason": approval.reason,
            },
            edges=edges,
        )

    def _check_recorded(self, approval: Approval) -> None:
        """Compare the row with the event: a row can be edited in the database, the chain cannot without being seen."""
        for event in self._events.history(_ref(approval)):
            if event.kind == GovernanceEvent.APPROVAL_GRANTED:
                expected = (
                    event.actor,
                    event.payload["requested_by"],
                    event.payload["decision"],
                    event.payload["digest"],
                )
                kept = (approval.decided_by, approval.requested_by, approval.decision, content_digest(approval.content))
                if expected == kept and approval.digest == kept[3]:
                    return
        raise Corrupted(
            f"the audit does not prove the approval {approval.id}; run: flyball audit verify", field="approval"
        )


def content_digest(content: Mapping[str, Digest]) -> Digest:
    """Return the digest that an approval is bound to: that of the canonical JSON of the names and digests."""
    return digest_json(dict(content))


def _clean(decision: str, content: Mapping[str, str]) -> dict[str, Digest]:
    if not decision.strip():
        raise InvalidInput("an approval needs the id of the decision it is about", field="decision")
    if not content:
        raise InvalidInput("an approval of nothing approves nothing: name each input with its digest", field="content")
    return {key: parse_digest(value, field=f"content.{key}") for key, value in content.items()}


def _compare(approval: Approval, content: Mapping[str, Digest]) -> None:
    for key in sorted(approval.content.keys() | content.keys()):
        approved, given = approval.content.get(key), content.get(key)
        if approved != given:
            raise Conflict(
                f"the approval {approval.id} does not cover '{key}': approved {approved or 'nothing'}, "
                f"given {given or 'nothing'}; ask for a new approval",
                field=f"content.{key}",
            )


def _require_pending(approval: Approval) -> Approval:
    if approval.state is not ApprovalState.PENDING:
        raise _settled(approval)
    return approval


def _settled(approval: Approval) -> Conflict:
    return Conflict(
        f"the approval {approval.id} was {approval.state} by {approval.decided_by} already", field="approval"
    )


def _ref(approval: Approval) -> Ref:
    return ref("approval", approval.id)
