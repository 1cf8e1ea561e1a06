"""Loops, requests and approvals over HTTP."""

from __future__ import annotations

from flyball.governance.entities import Approval
from flyball.governance.permissions import Permission
from flyball.retraining.entities import Request
from flyball.retraining.loops import Loop
from flyball.retraining.promotions import check_promotion
from flyball.server.routing import Call, Route
from flyball.wire.v1 import loops as shapes


def put(call: Call[shapes.LoopDocument]) -> shapes.LoopInfo:
    """Set a loop from its file."""
    return _loop(call.platform.requests.put_loop(call.body.document, actor=call.actor), busy=False)


def loops(call: Call[None]) -> shapes.LoopList:
    """List loops."""
    found = call.platform.requests.loops()
    return shapes.LoopList(loops=[_loop(one, busy=call.platform.is_busy(one)) for one in found])


def get(call: Call[None]) -> shapes.LoopInfo:
    """Show a loop, and whether it has work to do right now."""
    found = call.platform.requests.loop(call.path["loop"])
    return _loop(found, busy=call.platform.is_busy(found))


def promote(call: Call[shapes.NewPromotion]) -> shapes.RequestInfo:
    """Ask for a version to go into production; the gates are the same as for automation."""
    loop = call.platform.requests.loop(call.path["loop"])
    check_promotion(
        loop,
        version=call.body.version,
        training=call.body.training,
        holdout=call.body.holdout,
        recent=call.body.recent,
        registry=call.platform.registry,
        datasets=call.platform.datasets,
    )
    request = call.platform.requests.open_by_person(
        loop,
        version=call.body.version,
        training=call.body.training,
        holdout=call.body.holdout,
        recent=call.body.recent,
        champion=call.platform.champion_of(loop),
        actor=call.actor,
    )
    return _request(request)


def listing(call: Call[None]) -> shapes.RequestList:
    """List the requests of a loop."""
    return shapes.RequestList(requests=[_request(one) for one in call.platform.requests.list(loop=call.path["loop"])])


def request(call: Call[None]) -> shapes.RequestInfo:
    """Show a request."""
    return _request(call.platform.requests.get(call.path["request"]))


def approvals(call: Call[None]) -> shapes.ApprovalList:
    """List approvals."""
    return shapes.ApprovalList(approvals=[_approval(one) for one in call.platform.approvals.list()])


def approve(call: Call[shapes.Approve]) -> shapes.ApprovalInfo:
    """Approve exactly the content with this digest."""
    return _approval(call.platform.approvals.approve(call.path["approval"], call.body.digest, actor=call.actor))


def reject(call: Call[shapes.Reject]) -> shapes.ApprovalInfo:
    """Refuse an approval."""
    return _approval(call.platform.approvals.reject(call.path["approval"], actor=call.actor, reason=call.body.reason))


def withdraw(call: Call[shapes.Withdraw]) -> shapes.ApprovalInfo:
    """Take an approval back."""
    return _approval(call.platform.approvals.withdraw(call.path["approval"], actor=call.actor, reason=call.body.reason))


def _loop(found: Loop, *, busy: bool) -> shapes.LoopInfo:
    return shapes.LoopInfo(
        name=found.loop, endpoint=found.endpoint, model=found.model, monitor=found.monitor, busy=busy
    )


def _request(found: Request) -> shapes.RequestInfo:
    return shapes.RequestInfo(
        id=found.id,
        loop=found.loop,
        origin=found.origin,
        state=found.state,
        requested_by=found.requested_by,
        cause=found.cause or "",
        reason=found.reason,
        alert_id=found.alert_id,
        window_start_ms=found.window_start_ms,
        window_end_ms=found.window_end_ms,
        champion=found.champion,
        challenger=found.challenger,
        pipeline_run_id=found.pipeline_run_id,
        decision_id=found.decision_id,
        approval_id=found.approval_id,
        rollout_id=found.rollout_id,
        created_ms=found.created_ms,
        updated_ms=found.updated_ms,
    )


def _approval(found: Approval) -> shapes.ApprovalInfo:
    return shapes.ApprovalInfo(
        id=found.id,
        state=found.state,
        digest=found.digest,
        content=dict(found.content),
        requested_by=found.requested_by,
        decided_by=found.decided_by or "",
        reason=found.reason,
    )


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/loops",
        permission=Permission.LOOPS_WRITE,
        handler=put,
        request=shapes.LoopDocument,
        response=shapes.LoopInfo,
        summary="Set a loop from its file",
    ),
    Route(
        method="GET",
        path="/api/v1/loops",
        permission=Permission.LOOPS_READ,
        handler=loops,
        response=shapes.LoopList,
        summary="List loops",
    ),
    Route(
        method="GET",
        path="/api/v1/loops/{loop}",
        permission=Permission.LOOPS_READ,
        handler=get,
        response=shapes.LoopInfo,
        summary="Show a loop",
    ),
    Route(
        method="POST",
        path="/api/v1/loops/{loop}/promotions",
        permission=Permission.APPROVALS_REQUEST,
        handler=promote,
        request=shapes.NewPromotion,
        response=shapes.RequestInfo,
        summary="Ask for a version to go into production",
    ),
    Route(
        method="GET",
        path="/api/v1/loops/{loop}/requests",
        permission=Permission.LOOPS_READ,
        handler=listing,
        response=shapes.RequestList,
        summary="List the requests of a loop",
    ),
    Route(
        method="GET",
        path="/api/v1/requests/{request}",
        permission=Permission.LOOPS_READ,
        handler=request,
        response=shapes.RequestInfo,
        summary="Show a request",
    ),
    Route(
        method="GET",
        path="/api/v1/approvals",
        permission=Permission.APPROVALS_READ,
        handler=approvals,
        response=shapes.ApprovalList,
        summary="List approvals",
    ),
    Route(
        method="POST",
        path="/api/v1/approvals/{approval}/approve",
        permission=Permission.APPROVALS_APPROVE,
        handler=approve,
        request=shapes.Approve,
        response=shapes.ApprovalInfo,
        summary="Approve content by its digest",
    ),
    Route(
        method="POST",
        path="/api/v1/approvals/{approval}/reject",
        permission=Permission.APPROVALS_APPROVE,
        handler=reject,
        request=shapes.Reject,
        response=shapes.ApprovalInfo,
        summary="Reject an approval",
    ),
    Route(
        method="POST",
        path="/api/v1/approvals/{approval}/withdraw",
        permission=Permission.APPROVALS_REQUEST,
        handler=withdraw,
        request=shapes.Withdraw,
        response=shapes.ApprovalInfo,
        summary="Withdraw an approval that one asked for",
    ),
)
