"""Alerts, silences and sinks over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flyball.governance.permissions import Permission
from flyball.monitoring.alerts.matching import Matcher
from flyball.monitoring.alerts.silences import Silence, silence_of
from flyball.monitoring.entities import Alert, AlertKind, AlertState
from flyball.monitoring.moments import check_moment
from flyball.monitoring.sinks.entities import Delivery
from flyball.server.platform import Platform
from flyball.server.routing import Call, Route
from flyball.server.v1.choosing import following, one_of
from flyball.wire.v1 import alerts as shapes


def listing(call: Call[shapes.AlertQuery]) -> shapes.AlertList:
    """List alerts."""
    asked = call.body
    states = [state for text in asked.state if (state := one_of(AlertState, text, field="state")) is not None]
    found = call.platform.monitors.alerts(
        monitor=asked.monitor or None,
        kind=one_of(AlertKind, asked.kind, field="kind"),
        states=states,
        since_ms=check_moment(asked.since_ms, field="since_ms"),
        before=asked.before,
        limit=asked.limit,
    )
    return shapes.AlertList(
        alerts=_alerts(call.platform, found), next=following([one.id for one in found], asked.limit)
    )


def get(call: Call[None]) -> shapes.AlertInfo:
    """Show an alert."""
    return _alert(call, call.platform.monitors.alert(call.path["alert"]))


def acknowledge(call: Call[shapes.NoteBody]) -> shapes.AlertInfo:
    """Say that somebody looks after an alert."""
    return _alert(call, call.platform.monitors.acknowledge(call.path["alert"], actor=call.actor, note=call.body.note))


def resolve(call: Call[shapes.NoteBody]) -> shapes.AlertInfo:
    """Say that an alert's cause is gone."""
    return _alert(call, call.platform.monitors.resolve(call.path["alert"], actor=call.actor, note=call.body.note))


def silence(call: Call[shapes.SilenceBody]) -> shapes.SilenceInfo:
    """Keep some alerts from being told for a while."""
    asked = call.body
    matcher = Matcher(
        monitor=asked.monitor, endpoint=asked.endpoint, model=asked.model, kind=asked.kind, feature=asked.feature
    )
    silences = call.platform.alerts.silences
    made = silences.add(matcher, start_ms=asked.start_ms, end_ms=asked.end_ms, reason=asked.reason, actor=call.actor)
    return _silence(made, silences.state(made))


def silences(call: Call[shapes.SilenceQuery]) -> shapes.SilenceList:
    """List silences."""
    found = call.platform.alerts.silences
    listed = found.list(everything=call.body.everything)
    return shapes.SilenceList(silences=[_silence(one, found.state(one)) for one in listed])


def end_silence(call: Call[None]) -> shapes.SilenceInfo:
    """End a silence before its time."""
    found = call.platform.alerts.silences
    ended = found.end(call.path["silence"], actor=call.actor)
    return _silence(ended, found.state(ended))


def put_sinks(call: Call[shapes.SinksDocument]) -> shapes.SinkList:
    """Set all sinks and routes."""
    call.platform.alerts.sinks.put(call.body.document, actor=call.actor)
    return _sinks(call.platform)


def sinks(call: Call[None]) -> shapes.SinkList:
    """List sinks and routes."""
    return _sinks(call.platform)


def try_sink(call: Call[None]) -> shapes.TrialInfo:
    """Send a made-up alert to a sink."""
    trial = call.platform.alerts.sinks.try_out(call.path["sink"])
    return shapes.TrialInfo(arrived=trial.arrived, said=trial.said)


def _alert(call: Call[None] | Call[shapes.NoteBody], found: Alert) -> shapes.AlertInfo:
    return _alerts(call.platform, [found])[0]


def _alerts(platform: Platform, found: Sequence[Alert]) -> list[shapes.AlertInfo]:
    active = platform.alerts.silences.active()
    told = platform.alerts.sinks.deliveries([one.id for one in found])
    return [_alert_info(one, active, told) for one in found]


def _alert_info(found: Alert, active: Sequence[Silence], told: Mapping[str, Sequence[Delivery]]) -> shapes.AlertInfo:
    quiet = None if found.state is AlertState.RESOLVED else silence_of(found, active)
    return shapes.AlertInfo(
        id=found.id,
        monitor=found.monitor,
        kind=found.kind,
        state=found.state,
        window_start_ms=found.start_ms,
        window_end_ms=found.end_ms,
        cause=[one.text for one in found.causes],
        created_ms=found.created_ms,
        endpoint=found.endpoint,
        model=found.model,
        version=found.version,
        note=found.note,
        ranked_by=found.ranked_by,
        silence=quiet.id if quiet else "",
        silenced_until_ms=quiet.end_ms if quiet else None,
        deliveries=[_delivery(one) for one in told.get(found.id, ())],
    )


def _delivery(found: Delivery) -> shapes.DeliveryInfo:
    return shapes.DeliveryInfo(
        sink=found.sink,
        occasion=found.occasion,
        state=found.state,
        attempts=found.attempts,
        reason=found.reason,
        next_ms=found.due_ms,
        updated_ms=found.updated_ms,
    )


def _silence(found: Silence, state: str) -> shapes.SilenceInfo:
    return shapes.SilenceInfo(
        id=found.id,
        state=state,
        matcher=found.matcher.given,
        start_ms=found.start_ms,
        end_ms=found.end_ms,
        reason=found.reason,
        author=found.author,
        ended_by=found.ended_by,
    )


def _sinks(platform: Platform) -> shapes.SinkList:
    document = platform.alerts.sinks.get()
    listed = [
        shapes.SinkInfo(
            name=one.entry.name,
            kind=one.entry.kind,
            resolved=one.entry.resolved,
            repeat=one.entry.repeat,
            options=one.entry.options,
            deliveries=[_delivery(each) for each in one.deliveries],
        )
        for one in platform.alerts.sinks.states()
    ]
    routes = [
        shapes.RouteInfo(match=one.match.given, sinks=list(one.sinks), group_by=[str(by) for by in one.group_by])
        for one in document.routes
    ]
    return shapes.SinkList(sinks=listed, routes=routes, group_wait=document.group_wait)


ROUTES = (
    Route(
        method="GET",
        path="/api/v1/alerts",
        permission=Permission.ALERTS_READ,
        handler=listing,
        request=shapes.AlertQuery,
        response=shapes.AlertList,
        summary="List alerts",
    ),
    Route(
        method="GET",
        path="/api/v1/alerts/{alert}",
        permission=Permission.ALERTS_READ,
        handler=get,
        response=shapes.AlertInfo,
        summary="Show an alert",
    ),
    Route(
        method="POST",
        path="/api/v1/alerts/{alert}/acknowledge",
        permission=Permission.ALERTS_WRITE,
        handler=acknowledge,
        request=shapes.NoteBody,
        response=shapes.AlertInfo,
        summary="Acknowledge an alert",
    ),
    Route(
        method="POST",
        path="/api/v1/alerts/{alert}/resolve",
        permission=Permission.ALERTS_WRITE,
        handler=resolve,
        request=shapes.NoteBody,
        response=shapes.AlertInfo,
        summary="Resolve an alert",
    ),
    Route(
        method="POST",
        path="/api/v1/alert-silences",
        permission=Permission.ALERTS_WRITE,
        handler=silence,
        request=shapes.SilenceBody,
        response=shapes.SilenceInfo,
        summary="Silence some alerts for a while",
    ),
    Route(
        method="GET",
        path="/api/v1/alert-silences",
        permission=Permission.ALERTS_READ,
        handler=silences,
        request=shapes.SilenceQuery,
        response=shapes.SilenceList,
        summary="List silences",
    ),
    Route(
        method="POST",
        path="/api/v1/alert-silences/{silence}/end",
        permission=Permission.ALERTS_WRITE,
        handler=end_silence,
        response=shapes.SilenceInfo,
        summary="End a silence before its time",
    ),
    Route(
        method="POST",
        path="/api/v1/alert-sinks",
        permission=Permission.ALERT_SINKS_MANAGE,
        handler=put_sinks,
        request=shapes.SinksDocument,
        response=shapes.SinkList,
        summary="Set all sinks and routes of alerts from their file",
    ),
    Route(
        method="GET",
        path="/api/v1/alert-sinks",
        permission=Permission.ALERT_SINKS_MANAGE,
        handler=sinks,
        response=shapes.SinkList,
        summary="List the sinks and routes of alerts",
    ),
    Route(
        method="POST",
        path="/api/v1/alert-sinks/{sink}/test",
        permission=Permission.ALERT_SINKS_MANAGE,
        handler=try_sink,
        response=shapes.TrialInfo,
        summary="Send a made-up alert to a sink",
    ),
)
