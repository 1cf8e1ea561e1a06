"""Alerts from the terminal: their life, silences, and the sinks that they go to."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import click

from flyball.cli.printing import moment, table
from flyball.cli.reading import read_text
from flyball.client import Client
from flyball.client.paths import api
from flyball.kernel.durations import parse_duration_ms
from flyball.kernel.errors import NotFound
from flyball.wire.v1 import alerts

NOT_ARRIVED = 3
"""Exit status of a trial that did not arrive; 1 is an error, 2 a wrong call."""
SHOWN_CHARACTERS = 200


@click.group()
def alert() -> None:
    """Alerts: what fires, who looks after it, who is told, and who is left in peace."""


@alert.command("list")
@click.option("--monitor", default="", help="Of this monitor only.")
@click.option("--kind", default="", help="Of this kind only, such as data_fault.")
@click.option("--state", multiple=True, help="firing, acknowledged or resolved; may be given several times.")
@click.option("--since", default="", help="Fired since then: a date, a time, or milliseconds since 1970.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True, help="How many.")
@click.option("--before", default="", help="Those older than this alert.")
def list_alerts(monitor: str, kind: str, state: tuple[str, ...], since: str, limit: int, before: str) -> None:
    """List alerts, newest first."""
    asked = {
        "monitor": monitor,
        "kind": kind,
        "state": state,
        "since_ms": "" if not since else parse_since(since),
        "before": before,
        "limit": limit,
    }
    query = urlencode({key: value for key, value in asked.items() if value != ""}, doseq=True)
    found = Client().call("GET", f"{api('alerts')}?{query}", response=alerts.AlertList)
    rows = [
        [
            one.id,
            one.kind,
            _state(one),
            one.monitor,
            moment(one.window_start_ms),
            "; ".join(one.cause[:2]),
            _told(one.deliveries),
        ]
        for one in found.alerts
    ]
    table(["id", "kind", "state", "monitor", "window", "cause", "told"], rows)
    if found.next:
        click.echo(f"older ones: --before {found.next}", err=True)


@alert.command()
@click.argument("alert_id")
def show(alert_id: str) -> None:
    """Show an alert: its causes, and where the telling of it stands."""
    one = Client().call("GET", api("alerts", alert_id), response=alerts.AlertInfo)
    version = "" if one.version is None else f", version {one.version}"
    click.echo(f"{one.kind} {_state(one)}: endpoint {one.endpoint}, model {one.model}{version}, monitor {one.monitor}")
    click.echo(f"window {moment(one.window_start_ms)} to {moment(one.window_end_ms)}, fired {moment(one.created_ms)}")
    for place, cause in enumerate(one.cause, start=1):
        click.echo(f"cause {place}: {cause}")
    click.echo(f"causes are ranked by {one.ranked_by}")
    if one.note:
        click.echo(f"note: {one.note}")
    if one.deliveries:
        _show_deliveries(one.deliveries)


@alert.command()
@click.argument("alert_id")
@click.option("--note", default="", help="What there is to say about it; everybody sees it.")
def acknowledge(alert_id: str, note: str) -> None:
    """Say that you look after an alert."""
    body = alerts.NoteBody(note=note)
    one = Client().call("POST", api("alerts", alert_id, "acknowledge"), body=body, response=alerts.AlertInfo)
    click.echo(f"{one.id} {one.state}")


@alert.command()
@click.argument("alert_id")
@click.option("--note", default="", help="What there is to say about it; everybody sees it.")
def resolve(alert_id: str, note: str) -> None:
    """Say that the cause of an alert is gone."""
    body = alerts.NoteBody(note=note)
    one = Client().call("POST", api("alerts", alert_id, "resolve"), body=body, response=alerts.AlertInfo)
    click.echo(f"{one.id} {one.state}")


@alert.command("test-sink")
@click.argument("name")
def test_sink(name: str) -> None:
    """Send a made-up alert to a sink. Exit status 3 when it did not arrive."""
    found = Client().call("POST", api("alert-sinks", name, "test"), response=alerts.TrialInfo)
    click.echo(("arrived: " if found.arrived else "did not arrive: ") + found.said)
    if not found.arrived:
        sys.exit(NOT_ARRIVED)


@alert.group()
def silence() -> None:
    """Silences: alerts that fire and are shown, and are told to nobody for a while."""


@silence.command("add")
@click.option("--monitor", default="", help="Monitors by name; * stands for any characters, here and below.")
@click.option("--endpoint", default="", help="Endpoints by name.")
@click.option("--model", default="", help="Models by name.")
@click.option("--kind", default="", help="Kinds of alert, such as data_fault.")
@click.option("--feature", default="", help="Alerts all of whose causes are such a feature.")
@click.option("--for", "lasting", required=True, help="How long, such as 2h or 3d.")
@click.option(
    "--from", "start_ms", type=click.IntRange(min=0), help="From when on, in milliseconds since 1970 (default: now)."
)
@click.option("--reason", required=True, help="Why; everybody sees it.")
def add_silence(lasting: str, start_ms: int | None, reason: str, **matcher: str) -> None:
    """Silence the alerts that fit everything that is given."""
    begins_ms = time.time_ns() // 1_000_000 if start_ms is None else start_ms
    end_ms = begins_ms + parse_duration_ms(lasting, field="for")
    body = alerts.SilenceBody(start_ms=start_ms, end_ms=end_ms, reason=reason, **matcher)
    made = Client().call("POST", api("alert-silences"), body=body, response=alerts.SilenceInfo)
    click.echo(f"{made.id} {made.state} until {moment(made.end_ms)} UTC")


@silence.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that are over as well.")
def list_silences(*, everything: bool) -> None:
    """List silences, newest first."""
    path = api("alert-silences") + ("?everything=true" if everything else "")
    found = Client().call("GET", path, response=alerts.SilenceList)
    rows = [
        [one.id, one.state, moment(one.start_ms), moment(one.end_ms), _matcher(one.matcher), one.author, one.reason]
        for one in found.silences
    ]
    table(["id", "state", "from", "until", "covers", "by", "reason"], rows)


@silence.command("end")
@click.argument("silence_id")
def end_silence(silence_id: str) -> None:
    """End a silence before its time; what waited for it and is still true is told."""
    one = Client().call("POST", api("alert-silences", silence_id, "end"), response=alerts.SilenceInfo)
    click.echo(f"{one.id} {one.state}")


@alert.group()
def sink() -> None:
    """Sinks: where alerts go, declared in one document."""


@sink.command("set")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def set_sinks(path: Path) -> None:
    """Set all sinks and routes from a YAML file."""
    body = alerts.SinksDocument(document=read_text(path))
    found = Client().call("POST", api("alert-sinks"), body=body, response=alerts.SinkList)
    click.echo(f"{len(found.sinks)} sinks, {len(found.routes)} routes")


@sink.command("list")
def list_sinks() -> None:
    """List sinks, and where their newest deliveries stand."""
    found = Client().call("GET", api("alert-sinks"), response=alerts.SinkList)
    rows = [[one.name, one.kind, _told(one.deliveries), _newest_reason(one)] for one in found.sinks]
    table(["sink", "kind", "newest deliveries", "last failure"], rows)


@sink.command("deliveries")
@click.argument("name")
def list_deliveries(name: str) -> None:
    """List the newest deliveries of a sink, newest first."""
    found = Client().call("GET", api("alert-sinks"), response=alerts.SinkList)
    wanted = next((one for one in found.sinks if one.name == name), None)
    if wanted is None:
        known = ", ".join(one.name for one in found.sinks) or "none"
        raise NotFound(f"there is no sink '{name}'; known: {known}", field="sink")
    _show_deliveries(wanted.deliveries)


def parse_since(text: str) -> int:
    """Read a moment; imported late, so that the other commands start fast."""
    from flyball.monitoring.backtest.incidents import parse_moment

    return parse_moment(text, field="since")


def _show_deliveries(found: list[alerts.DeliveryInfo]) -> None:
    rows = [
        [
            one.sink,
            one.occasion,
            one.state,
            one.attempts,
            moment(one.updated_ms),
            _next(one),
            one.reason[:SHOWN_CHARACTERS],
        ]
        for one in found
    ]
    table(["sink", "occasion", "state", "attempts", "changed", "again", "reason"], rows)


def _next(one: alerts.DeliveryInfo) -> str:
    return "" if one.next_ms is None else moment(one.next_ms)


def _state(one: alerts.AlertInfo) -> str:
    if one.silenced_until_ms is None:
        return one.state
    return f"{one.state} (silenced until {moment(one.silenced_until_ms)})"


def _told(found: list[alerts.DeliveryInfo]) -> str:
    counted: dict[str, int] = {}
    for one in found:
        counted[one.state] = counted.get(one.state, 0) + 1
    return ", ".join(f"{count} {state}" for state, count in counted.items())


def _newest_reason(one: alerts.SinkInfo) -> str:
    return next((each.reason for each in one.deliveries if each.reason), "")


def _matcher(matcher: dict[str, str]) -> str:
    return ", ".join(f"{name}={pattern}" for name, pattern in matcher.items())
