"""The audit chain and the question why, over HTTP."""

from __future__ import annotations

import msgspec
from starlette.responses import StreamingResponse

from flyball.governance.permissions import Permission
from flyball.kernel.events import Event, Ref, ref
from flyball.server.routing import Call, Route
from flyball.wire.v1 import audit as shapes


def verify(call: Call[None]) -> shapes.Verified:
    """Check the whole chain."""
    found = call.platform.audit.verify()
    return shapes.Verified(
        intact=found.intact, count=found.count, head=found.head, first_bad=found.first_bad, reason=found.reason
    )


def export(call: Call[None]) -> StreamingResponse:
    """Stream the whole chain as lines of canonical JSON."""
    return StreamingResponse(call.platform.audit.export(), media_type="application/x-ndjson")


def events(call: Call[shapes.EventQuery]) -> shapes.EventList:
    """List events."""
    query = call.body
    subject = Ref(query.subject) if query.subject is not None else None
    found = call.platform.audit.page(after=query.after, limit=query.limit, subject=subject)
    return shapes.EventList(events=[_event(event) for event in found])


def why(call: Call[None]) -> shapes.WhyAnswer:
    """Walk from an effect to its causes."""
    thing = ref(call.path["kind"], call.path["key"])
    found = call.platform.why.chain(thing)
    explanation = msgspec.Raw(msgspec.json.encode(found.to_json()))
    return shapes.WhyAnswer(ref=thing, text="\n".join(found.lines()), explanation=explanation)


def _event(event: Event) -> shapes.EventInfo:
    return shapes.EventInfo(
        seq=event.seq,
        time_ms=event.time_ms,
        actor=event.actor,
        kind=event.kind,
        subject=event.subject,
        payload=msgspec.Raw(msgspec.json.encode(event.payload)),
        digest=event.digest,
    )


ROUTES = (
    Route(
        method="GET",
        path="/api/v1/audit/verify",
        permission=Permission.AUDIT_READ,
        handler=verify,
        response=shapes.Verified,
        summary="Check the chain of events",
    ),
    Route(
        method="GET",
        path="/api/v1/audit/export",
        permission=Permission.AUDIT_READ,
        handler=export,
        summary="Export the chain as lines of canonical JSON",
    ),
    Route(
        method="GET",
        path="/api/v1/events",
        permission=Permission.AUDIT_READ,
        handler=events,
        request=shapes.EventQuery,
        response=shapes.EventList,
        summary="List events",
    ),
    Route(
        method="GET",
        path="/api/v1/why/{kind}/{key:path}",
        permission=Permission.LINEAGE_READ,
        handler=why,
        response=shapes.WhyAnswer,
        summary="Walk from an alert, a version or a prediction to its causes",
    ),
)
