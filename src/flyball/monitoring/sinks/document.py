"""The document of sinks and routes: who is told of which alerts, and by what."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, cast

import msgspec

from flyball.kernel.documents import invalid_document, read_document, require
from flyball.kernel.durations import parse_duration_ms
from flyball.kernel.errors import InvalidInput, NotFound, PermissionDenied
from flyball.kernel.plugins import load_plugin
from flyball.monitoring.alerts.matching import Matcher, check_matcher, concerns
from flyball.monitoring.entities import Alert
from flyball.monitoring.sinks.ports import Outside, Sink

GROUP = "alert_sinks"
MOST_SINKS = 100
MOST_ROUTES = 500
SHORTEST_REPEAT_MS = 60_000
LONGEST_WAIT_MS = 3_600_000
_WHERE = "the sinks file"
_require = partial(require, what=_WHERE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class GroupBy(StrEnum):
    """What alerts must share to be told together. `cause` is the feature that the likeliest cause names."""

    CAUSE = "cause"
    KIND = "kind"
    MONITOR = "monitor"
    ENDPOINT = "endpoint"
    MODEL = "model"


class SinkEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receiver.

    `kind` is an entry point of `flyball.alert_sinks`: webhook, slack, email or alertmanager. `resolved`: whether the end of
    an alert is told too. `repeat`: after how long an alert that nobody acknowledged is told again; empty is never.
    """

    name: str
    kind: str
    resolved: bool = True
    repeat: str = ""
    options: dict[str, Any] = {}

    @property
    def repeat_ms(self) -> int:
        """The time between two reminders, 0 when there are none."""
        return parse_duration_ms(self.repeat, field="sinks.repeat") if self.repeat else 0


class AlertRoute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which alerts go to which sinks; every route that fits counts, and no sink is told twice."""

    match: Matcher = Matcher()
    sinks: tuple[str, ...]
    group_by: tuple[GroupBy, ...] = (GroupBy.CAUSE,)

    def group_of(self, alert: Alert) -> str:
        """Return what alerts share that are told together."""
        parts = {
            GroupBy.CAUSE: _cause(alert),
            GroupBy.KIND: str(alert.kind),
            GroupBy.MONITOR: alert.monitor,
            GroupBy.ENDPOINT: alert.endpoint,
            GroupBy.MODEL: alert.model,
        }
        return " ".join(f"{by}={parts[by]}" for by in self.group_by) or alert.id


class SinkDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All sinks and routes. `group_wait`: how long the first alert of a group waits for others."""

    sinks: tuple[SinkEntry, ...] = ()
    routes: tuple[AlertRoute, ...] = ()
    group_wait: str = "10s"

    @property
    def group_wait_ms(self) -> int:
        """How long a group waits, in milliseconds."""
        return parse_duration_ms(self.group_wait, field="group_wait")

    def find(self, name: str) -> SinkEntry | None:
        """Return a sink, None when there is none of this name."""
        return next((sink for sink in self.sinks if sink.name == name), None)

    def destinations(self, alert: Alert) -> dict[str, str]:
        """Return the sinks that are told of an alert, each with the group that it is told with."""
        found: dict[str, str] = {}
        for route in self.routes:
            if concerns(route.match, alert):
                found = {**dict.fromkeys(route.sinks, route.group_of(alert)), **found}
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSink:
    """A sink that is ready to send, and what the document says of it."""

    entry: SinkEntry
    sink: Sink


def parse_sinks(text: str, outside: Outside) -> SinkDocument:
    """Read and check a document from YAML text.

    Raises:
        UnknownKey: a key that nobody knows, with near misses.
        InvalidInput: a missing key, a wrong type, a name given twice, a route to nowhere, an option out of range.
        NotFound: a kind of sink that is not installed.
        PermissionDenied: requests to a sink's address are not allowed.
    """
    document = read_document(text, SinkDocument, what=_WHERE)
    _check_frame(document)
    for entry in document.sinks:
        open_sink(entry, outside)
    return document


def open_sink(entry: SinkEntry, outside: Outside) -> OpenSink:
    """Make a sink from its entry.

    Raises:
        UnknownKey, InvalidInput, NotFound, PermissionDenied: as `parse_sinks`.
    """
    where = f"sink '{entry.name}'"
    try:
        kind = cast("type[Sink]", load_plugin(GROUP, entry.kind))
    except NotFound as error:
        raise InvalidInput(f"{where}: {error.message}", field="sinks.kind") from error
    try:
        options = msgspec.convert(entry.options, type=kind.options)
    except msgspec.ValidationError as error:
        raise invalid_document(error, kind.options, what=where) from error
    try:
        make = cast("Callable[[msgspec.Struct, Outside], Sink]", kind)
        return OpenSink(entry=entry, sink=make(options, outside))
    except (InvalidInput, PermissionDenied) as error:
        raise type(error)(f"{where}: {error.message}", field=f"options.{error.field}") from error


def _check_frame(document: SinkDocument) -> None:
    names = [entry.name for entry in document.sinks]
    _require(len(names) <= MOST_SINKS, "sinks", f"has at most {MOST_SINKS} entries")
    _require(len(document.routes) <= MOST_ROUTES, "routes", f"has at most {MOST_ROUTES} entries")
    for name in names:
        _require(bool(_NAME.fullmatch(name)), "sinks.name", f"{name[:80]!a} is no name: letters, digits, '.', '_', '-'")
        _require(names.count(name) == 1, "sinks.name", f"'{name}' is given twice")
    for entry in document.sinks:
        enough = not entry.repeat or entry.repeat_ms >= SHORTEST_REPEAT_MS
        _require(enough, "sinks.repeat", f"of '{entry.name}' must be at least a minute")
    _require(document.group_wait_ms <= LONGEST_WAIT_MS, "group_wait", "must be at most an hour")
    for route in document.routes:
        check_matcher(route.match, field="routes.match")
        _require(bool(route.sinks), "routes.sinks", "must name a sink")
        unknown = sorted(set(route.sinks) - set(names))
        _require(not unknown, "routes.sinks", f"names {', '.join(unknown)}; there are: {', '.join(names) or 'none'}")


def _cause(alert: Alert) -> str:
    """Return the feature that is likely to blame. A cause without one is its endpoint's own affair."""
    lead = alert.causes[0] if alert.causes else None
    if lead is not None and lead.feature:
        return lead.feature
    return f"{alert.endpoint}/{lead.kind if lead else alert.kind}"
