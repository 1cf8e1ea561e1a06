"""Studies from the terminal: wait for a calibration or backtest of the server, and show what came of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click
import msgspec

from flyball.cli.printing import moment, table
from flyball.client import Client
from flyball.client.failures import error_of
from flyball.client.paths import api
from flyball.kernel.errors import Unavailable
from flyball.wire.v1 import calibrations as shapes

if TYPE_CHECKING:
    from flyball.monitoring.backtest.results import Backtest, Replayed

OPEN = frozenset({"queued", "running"})
FIRST_LOOK_S, LONGEST_S = 0.1, 2.0
# A server that restarts is waited for; one that is gone is not.
PATIENCE_S = 60.0
# Whoever has waited so long wants to know why nothing happens.
QUEUED_S = 15.0
_LEAST_LINES = 12


@click.group()
def study() -> None:
    """Studies: calibrations and backtests that the worker computes in the background."""


@study.command("list")
@click.option("--monitor", default="", help="Of this monitor only.")
@click.option("--kind", default="", help="calibration or backtest.")
@click.option("--state", default="", help="queued, running, done, failed, cancelled or lost.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="How many.")
@click.option("--before", default="", help="Those older than this study.")
def list_studies(**asked: str | int) -> None:
    """List studies, newest first."""
    query = urlencode({key: value for key, value in asked.items() if value})
    found = Client().call("GET", f"{api('studies')}?{query}", response=shapes.StudyList)
    rows = [
        [one.id, one.kind, one.monitor, one.state, progress_of(one), moment(one.created_ms), one.actor, one.error]
        for one in found.studies
    ]
    table(["id", "kind", "monitor", "state", "progress", "asked", "by", "reason"], rows)
    if found.next:
        click.echo(f"older ones: --before {found.next}", err=True)


@study.command()
@click.argument("study_id")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a backtest here, as one page.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def show(study_id: str, html: Path | None, *, as_json: bool) -> None:
    """Show what came of a study, or how far it is. Exit status 1 where it failed."""
    client = Client()
    found = client.call("GET", api("studies", study_id), response=shapes.StudyInfo)
    if found.state in OPEN:
        click.echo(f"{found.kind} of {found.monitor} {found.state}: {progress_of(found)}")
    else:
        show_result(_result_of(client, found), as_json=as_json, html=html)


@study.command()
@click.argument("study_id")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a backtest here, as one page.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def wait(study_id: str, html: Path | None, *, as_json: bool) -> None:
    """Wait for a study, and show what came of it. Exit status 1 where it failed."""
    client = Client()
    found = client.call("GET", api("studies", study_id), response=shapes.StudyInfo)
    show_result(waited_for(client, found), as_json=as_json, html=html)


@study.command()
@click.argument("study_id")
def cancel(study_id: str) -> None:
    """End a study that is queued or running."""
    found = Client().call("POST", api("studies", study_id, "cancel"), response=shapes.StudyInfo)
    click.echo(f"{found.id} {found.state}")


def tell_where(found: shapes.StudyInfo) -> None:
    """Print the id of a study, and how to look at it."""
    click.echo(found.id)
    click.echo(f"how far it is, and what came of it: flyball monitor study show {found.id}", err=True)


def waited_for(client: Client, found: shapes.StudyInfo) -> shapes.StudyResult:
    """Wait for the end of a study, showing how far it is, and return what came of it.

    Raises:
        FlyballError: it failed, was cancelled or lost; or the server is gone.
    """
    began = time.monotonic()
    heard, pause_s, said = began, FIRST_LOOK_S, False
    with _watching(found) as show_progress:
        while found.state in OPEN:
            time.sleep(pause_s)
            pause_s = min(LONGEST_S, 1.5 * pause_s)
            try:
                found = client.call("GET", found.href, response=shapes.StudyInfo)
                heard = time.monotonic()
            except Unavailable:
                if time.monotonic() - heard > PATIENCE_S:
                    raise
                continue
            show_progress(found)
            if found.state == "queued" and not said and heard - began > QUEUED_S:
                said = True
                click.echo(f"study {found.id} is still queued: is a worker running, or another study?", err=True)
    return _result_of(client, found)


def show_result(found: shapes.StudyResult, *, as_json: bool, html: Path | None) -> None:
    """Print what came of a study."""
    if found.backtest is not None:
        from flyball.monitoring.backtest.results import Backtest

        show_backtest(Backtest.from_json(found.backtest), as_json=as_json, html=html)
    elif found.calibration is not None:
        if as_json:
            _print_json(msgspec.to_builtins(found.calibration))
        else:
            _show_calibration(found.calibration)


def show_backtest(found: Backtest, *, as_json: bool, html: Path | None) -> None:
    """Print a backtest, and write its page where one is wanted."""
    if html is not None:
        found.to_html(html)
    if as_json:
        _print_json(found.to_json())
        return
    for run in (found.draft, found.current):
        if run is not None:
            _show_run(run)


def progress_of(found: shapes.StudyInfo) -> str:
    """Say how far a study is."""
    if not found.total:
        return found.stage
    return f"{found.stage}, {found.done} of {found.total}"


def _result_of(client: Client, found: shapes.StudyInfo) -> shapes.StudyResult:
    if found.state != "done":
        said = found.error or f"the {found.kind} was {found.state}"
        raise error_of(found.error_code or "conflict", said)
    return client.call("GET", f"{found.href}/result", response=shapes.StudyResult)


@contextlib.contextmanager
def _watching(found: shapes.StudyInfo) -> Iterator[Callable[[shapes.StudyInfo], None]]:
    """Show progress while the block runs; where standard error is no terminal, nothing is shown."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        bar = shown.add_task(f"{found.kind} {found.state}", total=None)

        def tell(now: shapes.StudyInfo) -> None:
            shown.update(bar, description=now.stage or now.state, completed=now.done, total=now.total or None)

        try:
            yield tell
        except KeyboardInterrupt:
            click.echo(f"study {found.id} goes on: flyball monitor study wait {found.id}", err=True)
            raise


def _show_calibration(found: shapes.CalibrationInfo) -> None:
    one: dict[str, Any] = found.calibration
    click.echo(f"calibration {found.digest}")
    span = f"{moment(one['history_start_ms'])} to {moment(one['history_end_ms'])}"
    click.echo(f"version {one['version']}, {one['windows']} windows from {span}, {one['method']}")
    if one["reason"]:
        click.echo(f"unknown: {one['reason']}")
        return
    bounds = f"{one['rate_lower']:.2f} to {one['rate_upper']:.2f} (90 %)"
    share = one.get("false_discoveries", "")
    if share:
        click.echo(f"false discoveries: {share} wanted; no window is held to a level below {one['chance']:.3g}")
        click.echo(
            f"false alarms in its memory, while nothing changes: {one['rate']:.2f} on average, {bounds} by this history"
        )
    else:
        click.echo(
            f"false alarms: {one['false_alarms']} wanted; {one['rate']:.2f} on average, {bounds} by this history"
        )
    click.echo(f"cycles kept apart: {', '.join(one['cycles']) or 'none'}")
    for cycle, reason in one["unmatched"].items():
        click.echo(f"not kept apart: the {cycle}, because {reason}")
    check = one["backcheck"]
    if check is not None:
        verdict = (
            "as stated" if check["holds"] else "more than stated: the history changes in ways that it does not repeat"
        )
        click.echo(
            f"calibrated on its first half, {check['alarms']} of {check['windows']} windows of the second alarm: {verdict}"
        )
    rows = [
        [
            feature["bins"]["feature"],
            feature["bins"]["measure"],
            f"{feature['threshold']:.4g}",
            f"{feature['skew']:.4g}",
        ]
        for feature in one["features"]
    ]
    table(["feature", "measure", "threshold", "training to history"], rows)
    for name, reason in one["uncalibrated"].items():
        click.echo(f"not calibrated: {name}: {reason}")
    for statement in found.statements:
        click.echo(statement)
    for name, reason in one.get("unstated", {}).items():
        click.echo(f"not stated what is found: {name}: {reason}")


def _show_run(run: Replayed) -> None:
    click.echo(f"{run.monitor}: {len(run.windows)} windows from {moment(run.from_ms)} to {moment(run.to_ms)}")
    click.echo(f"false alarms: {run.stated}")
    for rate in run.rates:
        bounds = f"{rate.lower:.3g} to {rate.upper:.3g}"
        click.echo(f"{rate.kind}: {rate.count} alerts, {rate.per_30d:.3g} in 30 days ({bounds})")
    for one in run.caught:
        if one.fired_ms is None:
            click.echo(f"missed: {one.incident.name}")
        else:
            click.echo(f"caught: {one.incident.name} by {one.kind} at {moment(one.fired_ms)}: {'; '.join(one.causes)}")
    rows = [
        [moment(one.fired_ms), one.kind, one.windows, "" if one.false_alarm else "incident", "; ".join(one.causes)]
        for one in run.fired[:_LEAST_LINES]
    ]
    table(["fires", "kind", "windows", "explained", "cause"], rows)
    if len(run.fired) > _LEAST_LINES:
        click.echo(f"and {len(run.fired) - _LEAST_LINES} more; --json and --html have all of them")


def _print_json(content: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(content)).decode())
