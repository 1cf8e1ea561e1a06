"""Shapes of loops, requests and approvals."""

from __future__ import annotations

from flyball.wire.v1 import Body, DatasetVersionName, Positive, Shape


class LoopDocument(Body):
    """A loop as its YAML text."""

    document: str


class LoopInfo(Shape):
    """A loop, and whether it has work that nobody needs to wait for a person or for traffic to finish."""

    name: str
    endpoint: str
    model: str
    monitor: str
    busy: bool


class LoopList(Shape):
    """All loops."""

    loops: list[LoopInfo]


class NewPromotion(Body):
    """A person's request to bring a version into production, through the same gates as automation."""

    version: Positive
    training: DatasetVersionName
    holdout: DatasetVersionName
    recent: str = ""


class RequestInfo(Shape):
    """A request and how far it came."""

    id: str
    loop: str
    origin: str
    state: str
    requested_by: str
    cause: str
    reason: str
    alert_id: str
    window_start_ms: int
    window_end_ms: int
    champion: int | None
    challenger: int | None
    pipeline_run_id: str
    decision_id: str
    approval_id: str
    rollout_id: str
    created_ms: int
    updated_ms: int


class RequestList(Shape):
    """Requests, newest first."""

    requests: list[RequestInfo]


class ApprovalInfo(Shape):
    """What is to be approved: the digest of the content, and the digests it is made of."""

    id: str
    state: str
    digest: str
    content: dict[str, str]
    requested_by: str
    decided_by: str
    reason: str


class ApprovalList(Shape):
    """Approvals, newest first."""

    approvals: list[ApprovalInfo]


class Approve(Body):
    """The digest that the approver has looked at; another digest is a conflict."""

    digest: str


class Reject(Body):
    """Why not."""

    reason: str


class Withdraw(Body):
    """Why nobody needs to answer any more."""

    reason: str
