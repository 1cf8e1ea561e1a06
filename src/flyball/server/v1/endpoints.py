"""Endpoints, rollouts and late labels over HTTP."""

from __future__ import annotations

from flyball.deployment.entities import Endpoint, Rollout
from flyball.governance.permissions import Permission
from flyball.monitoring.entities import Label
from flyball.server.routing import Call, Route
from flyball.serving.capture_rules import CaptureRules, parse_rules
from flyball.wire.v1 import endpoints as shapes


def listing(call: Call[None]) -> shapes.EndpointList:
    """List endpoints."""
    return shapes.EndpointList(endpoints=[_endpoint(call, one) for one in call.platform.deployments.list()])


def get(call: Call[None]) -> shapes.EndpointInfo:
    """Show an endpoint."""
    return _endpoint(call, call.platform.deployments.get(call.path["endpoint"]))


def rollback(call: Call[None]) -> shapes.EndpointInfo:
    """Flip the pointer back to what served before, and the champion's alias with it."""
    return _endpoint(call, call.platform.roll_back(call.path["endpoint"], actor=call.actor))


def rollouts(call: Call[None]) -> shapes.RolloutList:
    """List the rollouts of an endpoint."""
    found = call.platform.deployments.list_rollouts(endpoint=call.path["endpoint"])
    return shapes.RolloutList(rollouts=[_rollout(one) for one in found])


def set_capture(call: Call[shapes.CaptureRulesBody]) -> shapes.EndpointInfo:
    """Set what the prediction log keeps."""
    asked = call.body
    rules = parse_rules(share=asked.share, mode=asked.mode, columns=asked.columns, others=asked.others)
    return _endpoint(call, call.platform.set_capture(call.path["endpoint"], rules, actor=call.actor))


def add_labels(call: Call[shapes.LabelBatch]) -> shapes.LabelReceipt:
    """Take late labels, all or none."""
    labels = [Label(prediction_id=one.prediction_id, value=one.value, time_ms=one.time_ms) for one in call.body.labels]
    receipt = call.platform.predictions.add_labels(
        call.path["endpoint"],
        labels,
        revise=call.body.revise,
        actor=call.actor,
        share=call.platform.captured_share(call.path["endpoint"]),
    )
    return shapes.LabelReceipt(
        added=receipt.added,
        unchanged=receipt.unchanged,
        revised=receipt.revised,
        not_captured=receipt.not_captured,
    )


def _endpoint(call: Call[None] | Call[shapes.CaptureRulesBody], found: Endpoint) -> shapes.EndpointInfo:
    status = call.platform.deployments.find_status(found.name)
    alive = status is not None and call.platform.is_alive(status)
    return shapes.EndpointInfo(
        name=found.name,
        model=found.model,
        generation=found.generation,
        routes=[shapes.RouteInfo(version=one.version, share=one.share, role=one.role) for one in found.routes],
        url=status.url if status and alive else "",
        ready=alive and status is not None and status.generation == found.generation,
        observed_generation=status.generation if status else 0,
        error=status.error if status else "",
        capture=_capture(found.capture),
    )


def _capture(rules: CaptureRules) -> shapes.CaptureRulesInfo:
    return shapes.CaptureRulesInfo(
        share=rules.share,
        mode=rules.mode,
        columns={name: one.value for name, one in rules.columns.items()},
        others=rules.others,
    )


def _rollout(found: Rollout) -> shapes.RolloutInfo:
    return shapes.RolloutInfo(
        id=found.id,
        endpoint=found.endpoint,
        champion=found.champion,
        challenger=found.challenger,
        share=found.share,
        state=found.state,
        reason=found.reason,
    )


ROUTES = (
    Route(
        method="GET",
        path="/api/v1/endpoints",
        permission=Permission.ENDPOINTS_READ,
        handler=listing,
        response=shapes.EndpointList,
        summary="List endpoints",
    ),
    Route(
        method="GET",
        path="/api/v1/endpoints/{endpoint}",
        permission=Permission.ENDPOINTS_READ,
        handler=get,
        response=shapes.EndpointInfo,
        summary="Show an endpoint and where it answers",
    ),
    Route(
        method="POST",
        path="/api/v1/endpoints/{endpoint}/rollback",
        permission=Permission.ENDPOINTS_WRITE,
        handler=rollback,
        response=shapes.EndpointInfo,
        summary="Put the previous routing back",
    ),
    Route(
        method="PUT",
        path="/api/v1/endpoints/{endpoint}/capture",
        permission=Permission.ENDPOINTS_WRITE,
        handler=set_capture,
        request=shapes.CaptureRulesBody,
        response=shapes.EndpointInfo,
        summary="Set what an endpoint's prediction log keeps",
    ),
    Route(
        method="GET",
        path="/api/v1/endpoints/{endpoint}/rollouts",
        permission=Permission.ENDPOINTS_READ,
        handler=rollouts,
        response=shapes.RolloutList,
        summary="List rollouts",
    ),
    Route(
        method="POST",
        path="/api/v1/endpoints/{endpoint}/labels",
        permission=Permission.PREDICTIONS_WRITE,
        handler=add_labels,
        request=shapes.LabelBatch,
        response=shapes.LabelReceipt,
        summary="Add late labels by prediction id",
    ),
)
