"""Monitors and alerts from the terminal."""

from __future__ import annotations

from pathlib import Path

import click

from flyball.cli.printing import moment, table
from flyball.cli.reading import read_text
from flyball.client import Client
from flyball.client.paths import api
from flyball.wire.v1 import monitors


@click.group()
def monitor() -> None:
    """Monitors: drift, data faults and realised quality, window by window."""


@monitor.command("set")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def set_monitor(path: Path) -> None:
    """Set a monitor from its YAML file."""
    body = monitors.MonitorDocument(document=read_text(path))
    made = Client().call("POST", api("monitors"), body=body, response=monitors.MonitorInfo)
    click.echo(f"{made.name} watches endpoint {made.endpoint}")


@monitor.command()
@click.argument("name")
def windows(name: str) -> None:
    """List what the windows of a monitor showed."""
    found = Client().call("GET", api("monitors", name, "windows"), response=monitors.WindowList)
    rows = [
        [moment(one.start_ms), one.state, one.rows, one.labelled, _accuracy(one), one.verdict, ", ".join(one.drifted)]
        for one in found.windows
    ]
    table(["start", "state", "rows", "labelled", "accuracy", "quality", "drifted"], rows)


@click.group()
def alert() -> None:
    """Alerts."""


@alert.command("list")
def list_alerts() -> None:
    """List alerts, newest first."""
    found = Client().call("GET", api("alerts"), response=monitors.AlertList)
    rows = [
        [one.id, one.kind, one.state, moment(one.window_start_ms), "; ".join(one.cause[:2])] for one in found.alerts
    ]
    table(["id", "kind", "state", "window", "cause"], rows)


@alert.command()
@click.argument("alert_id")
def acknowledge(alert_id: str) -> None:
    """Say that you look after an alert."""
    one = Client().call("POST", api("alerts", alert_id, "acknowledge"), response=monitors.AlertInfo)
    click.echo(f"{one.id} {one.state}")


@alert.command()
@click.argument("alert_id")
def resolve(alert_id: str) -> None:
    """Say that the cause of an alert is gone."""
    one = Client().call("POST", api("alerts", alert_id, "resolve"), response=monitors.AlertInfo)
    click.echo(f"{one.id} {one.state}")


def _accuracy(one: monitors.WindowInfo) -> str:
    if one.accuracy is None or one.lower is None or one.upper is None:
        return "unknown"
    return f"{one.accuracy:.3f} [{one.lower:.3f}, {one.upper:.3f}]"
