"""Bring an approved challenger into production: by a canary under a stop rule, or at once where nothing serves yet."""

from __future__ import annotations

import dataclasses

from flyball.deployment.entities import Outcomes, Rollout, RolloutId, RolloutState, StopRule, VerdictKind
from flyball.governance.entities import Approval, ApprovalState
from flyball.kernel.canonical import JsonValue
from flyball.kernel.errors import Conflict
from flyball.kernel.events import Edge, ref
from flyball.kernel.leases import Lease
from flyball.retraining.entities import Request, RequestState
from flyball.retraining.evaluation import METRIC
from flyball.retraining.ground import CHAMPION
from flyball.retraining.judging import Judging, known_challenger
from flyball.retraining.loops import Loop
from flyball.retraining.requests import LOOP_ACTOR, Requests
from flyball.retraining.rooms import Rooms
from flyball.retraining.watching import Watch


class Release:
    """From `awaiting_approval` over `canary` to `promoted`, or back."""

    def __init__(self, requests: Requests, watch: Watch, judging: Judging, rooms: Rooms) -> None:
        self._requests = requests
        self._watch = watch
        self._judging = judging
        self._rooms = rooms

    def heed_answer(self, request: Request, loop: Loop, lease: Lease) -> Request:
        """Act on the approver's answer, if there is one; on a grant only if it covers what is there now."""
        approval = self._rooms.approvals.get(request.approval_id)
        if self._is_overdue(approval, loop):
            return self._expire(request, loop, approval, lease=lease)
        if approval.state is ApprovalState.PENDING:
            return request
        if approval.state is not ApprovalState.GRANTED:
            return self._requests.end(request, RequestState.REFUSED, _why_not(approval), lease=lease)
        with self._rooms.database.transaction():
            obstacle = self._obstacle(request, loop, approval)
            if obstacle:
                return self._requests.end(request, RequestState.REFUSED, obstacle, lease=lease)
            if request.champion is None:
                return self._install(request, loop, approval, lease=lease)
            return self._start_canary(request, loop, approval, lease=lease)

    def has_answer(self, request: Request, loop: Loop) -> bool:
        """Tell whether the approval was answered, withdrawn, or has waited too long."""
        approval = self._rooms.approvals.get(request.approval_id)
        return approval.state is not ApprovalState.PENDING or self._is_overdue(approval, loop)

    def observe(self, request: Request, loop: Loop, lease: Lease) -> Request:
        """Look at the canary, and end the request when its rollout ends, whoever ended it."""
        rollout = self._rollout(request)
        outcomes = self._watch.outcomes(loop, request, rollout)  # before the transaction: it reads files
        if not _is_news(rollout, outcomes):
            return request
        with self._rooms.database.transaction():
            self._requests.fence(lease)
            if rollout.state is RolloutState.RUNNING:
                moved = self._watch.ground.alias_moved(request, loop)
                if moved:
                    return self.abandon(request, RequestState.ROLLED_BACK, moved, lease=lease)
                champion, challenger = outcomes
                rollout = self._rooms.deployments.observe(
                    rollout.id, champion=champion, challenger=challenger, actor=LOOP_ACTOR
                )
            if rollout.state is RolloutState.ROLLED_BACK:
                reason = rollout.reason or "its rollout was rolled back"
                return self._requests.end(request, RequestState.ROLLED_BACK, reason, lease=lease)
            if rollout.state is RolloutState.PROMOTED or _may_be_promoted(rollout):
                return self._promote(request, loop, rollout, lease=lease)
        return request

    def has_news(self, request: Request, loop: Loop) -> bool:
        """Tell whether the canary ended, or has outcomes that were not looked at."""
        rollout = self._rollout(request)
        return _is_news(rollout, self._watch.outcomes(loop, request, rollout))

    def abandon(self, request: Request, state: RequestState, reason: str, *, lease: Lease) -> Request:
        """End a request before its time; a canary of its own does not go on without anybody who looks at it."""
        with self._rooms.database.transaction():
            if request.rollout_id and self._rollout(request).state is RolloutState.RUNNING:
                self._rooms.deployments.rollback(RolloutId(request.rollout_id), actor=LOOP_ACTOR, reason=reason)
            return self._requests.end(request, state, reason, lease=lease)

    def _is_overdue(self, approval: Approval, loop: Loop) -> bool:
        within_ms = loop.answer_within_ms
        return within_ms is not None and self._rooms.approvals.is_overdue(approval, within_ms)

    def _expire(self, request: Request, loop: Loop, approval: Approval, *, lease: Lease) -> Request:
        with self._rooms.database.transaction():
            reason = f"nobody answered within {loop.answer_within}"
            expired = self._rooms.approvals.expire(approval.id, actor=LOOP_ACTOR, reason=reason)
            return self._requests.end(request, RequestState.REFUSED, _why_not(expired), lease=lease)

    def _obstacle(self, request: Request, loop: Loop, approval: Approval) -> str:
        decision = self._rooms.gatekeeper.decision(request.decision_id)
        try:
            self._rooms.approvals.verify(approval.id, self._judging.content(request, loop, decision))
        except Conflict as error:  # what was approved is not what is there
            return error.message
        return self._watch.ground.lost(request, loop) or self._watch.ground.blocked(loop)

    def _start_canary(self, request: Request, loop: Loop, approval: Approval, *, lease: Lease) -> Request:
        rollout = self._rooms.deployments.start_rollout(
            loop.endpoint,
            known_challenger(request),
            share=loop.canary.share,
            stop_rule=_stop_rule(loop),
            actor=LOOP_ACTOR,
            allowed_by=ref("approval", approval.id),
        )
        moved = dataclasses.replace(
            request,
            state=RequestState.CANARY,
            rollout_id=rollout.id,
            canary_from_ms=self._watch.watermark_ms(loop) + 1,
        )
        payload: dict[str, JsonValue] = {"rollout": rollout.id}
        return self._requests.move(moved, before=request, lease=lease, payload=payload)

    def _install(self, request: Request, loop: Loop, approval: Approval, *, lease: Lease) -> Request:
        """Put the first version of an endpoint in charge; there is nobody to compare it with in a canary."""
        version, actor = known_challenger(request), request.requested_by
        allowed = Edge(
            subject=ref("endpoint", loop.endpoint), relation="allowed-by", object=ref("approval", approval.id)
        )
        self._rooms.registry.set_alias(loop.model, CHAMPION, version, expected=None, actor=actor)
        self._rooms.deployments.create(loop.endpoint, loop.model, version, actor=actor, edges=[allowed])
        moved = dataclasses.replace(request, state=RequestState.PROMOTED, reason="first version of this endpoint")
        return self._requests.move(moved, before=request, lease=lease, payload={"version": version})

    def _promote(self, request: Request, loop: Loop, rollout: Rollout, *, lease: Lease) -> Request:
        version = known_challenger(request)
        if rollout.state is RolloutState.RUNNING:
            self._rooms.deployments.promote(rollout.id, actor=LOOP_ACTOR)
        if not self._watch.ground.alias_moved(request, loop):  # else a person moved it, and promoted by hand
            self._rooms.registry.set_alias(loop.model, CHAMPION, version, expected=request.champion, actor=LOOP_ACTOR)
        self._watch.settle_alert(request, note=f"version {version} was promoted because of it")
        moved = dataclasses.replace(request, state=RequestState.PROMOTED, reason=rollout.reason)
        return self._requests.move(moved, before=request, lease=lease, payload={"version": version})

    def _rollout(self, request: Request) -> Rollout:
        return self._rooms.deployments.get_rollout(RolloutId(request.rollout_id))


def _why_not(approval: Approval) -> str:
    if approval.state is ApprovalState.EXPIRED:
        return f"the approval expired: {approval.reason}"
    said = {ApprovalState.REJECTED: "rejected it", ApprovalState.WITHDRAWN: "took the question back"}[approval.state]
    return f"{approval.decided_by} {said}: {approval.reason}"


def _is_news(rollout: Rollout, outcomes: tuple[Outcomes, Outcomes]) -> bool:
    known = (rollout.champion_outcomes, rollout.challenger_outcomes)
    return rollout.state is not RolloutState.RUNNING or outcomes != known


def _may_be_promoted(rollout: Rollout) -> bool:
    return rollout.verdict is not None and rollout.verdict.kind is VerdictKind.PROMOTE


def _stop_rule(loop: Loop) -> StopRule:
    plan = loop.canary
    return StopRule(metric=METRIC, alpha=plan.alpha, margin=plan.margin, min_rows=plan.min_rows, max_rows=plan.max_rows)
