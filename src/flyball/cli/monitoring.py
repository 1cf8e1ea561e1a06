"""Monitors from the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from flyball.cli.calibration import backtest, calibrate
from flyball.cli.exporting import export
from flyball.cli.printing import moment, table
from flyball.cli.reading import read_text
from flyball.cli.studies import study
from flyball.client import Client
from flyball.client.paths import api
from flyball.wire.v1 import monitors

if TYPE_CHECKING:
    from flyball.monitoring.comparison.results import Comparison
    from flyball.monitoring.entities import FeatureDrift

CHANGED = 3
"""Exit status of a comparison that found something; 1 is an error, 2 a wrong call."""


@click.group()
def monitor() -> None:
    """Monitors: drift, data faults and realised quality, window by window."""


monitor.add_command(export)
monitor.add_command(calibrate)
monitor.add_command(backtest)
monitor.add_command(study)


@monitor.command("set")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def set_monitor(path: Path) -> None:
    """Set a monitor from its YAML file."""
    body = monitors.MonitorDocument(document=read_text(path))
    made = Client().call("POST", api("monitors"), body=body, response=monitors.MonitorInfo)
    click.echo(f"{made.name} watches endpoint {made.endpoint}")
    if made.watermark_ms < 0:
        click.echo(f"endpoint {made.endpoint} has served nothing yet; is the name right?", err=True)


@monitor.command()
@click.argument("endpoint")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the file here instead of printing it."
)
@click.option("--set", "put", is_flag=True, help="Set the monitor at once.")
def init(endpoint: str, out: Path | None, *, put: bool) -> None:
    """Propose a monitor for an endpoint, from what its version carries and from its traffic."""
    body = monitors.NewProposal(put=put)
    found = Client().call("POST", api("endpoints", endpoint, "monitor"), body=body, response=monitors.Proposal)
    why = "".join(f"# {key}: {reason}\n" for key, reason in found.reasons.items() if reason)
    if out is None:
        click.echo(why + found.document, nl=False)
    else:
        out.write_text(why + found.document, encoding="utf-8")
    click.echo(
        f"monitor {found.name} is set" if put else "set it with 'flyball monitor set FILE', or by --set", err=True
    )


@monitor.command("list")
def list_monitors() -> None:
    """List monitors, and the endpoints that answer without one."""
    found = Client().call("GET", api("monitors"), response=monitors.MonitorList)
    rows = [[one.name, one.endpoint, one.model, moment_or_never(one.matured_through_ms)] for one in found.monitors]
    for bare in found.unmonitored:
        click.echo(f"{bare.endpoint} has no monitor: flyball monitor init {bare.endpoint}", err=True)
    rows += [["not monitored", one.endpoint, f"{one.model}/{one.version}", ""] for one in found.unmonitored]
    table(["monitor", "endpoint", "model", "judged through"], rows)


@monitor.command()
@click.argument("name")
@click.option("--start-ms", type=int, help="The window that starts here; the last one when not given.")
def report(name: str, start_ms: int | None) -> None:
    """Print the report of a window as JSON."""
    if start_ms is not None:
        one = Client().call("GET", api("monitors", name, "reports", str(start_ms)), response=monitors.ReportInfo)
        found = [one.report]
    else:
        path = f"{api('monitors', name, 'reports')}?limit=1"
        found = Client().call("GET", path, response=monitors.ReportList).reports
    if not found:
        click.echo("none: no window was judged yet", err=True)
    for content in found:
        click.echo(msgspec.json.format(msgspec.json.encode(content)).decode())


@monitor.command()
@click.argument("name")
def windows(name: str) -> None:
    """List what the windows of a monitor showed."""
    found = Client().call("GET", api("monitors", name, "windows"), response=monitors.WindowList)
    rows = [
        [
            moment(one.start_ms),
            f"{one.state} r{one.revision}",
            one.rows,
            f"{one.labelled} ({one.coverage:.0%})",
            f"{one.metric} {between(one.value, one.lower, one.upper)}".strip(),
            one.verdict,
            f"{one.estimated_metric} {between(one.estimated, one.estimated_lower, one.estimated_upper)}".strip(),
            one.concept,
            ", ".join(one.drifted),
        ]
        for one in found.windows
    ]
    header = [
        "start",
        "state",
        "rows",
        "labels",
        "realised",
        "quality",
        "expected without labels",
        "concept",
        "drifted",
    ]
    table(header, rows)
    for one in found.windows:
        for line in lines_beside(one):
            click.echo(f"{moment(one.start_ms)}  {line}")


@monitor.command()
@click.argument("name")
@click.argument("start_ms", type=int)
def revisions(name: str, start_ms: int) -> None:
    """List the reports of a window: what late labels changed."""
    path = api("monitors", name, "reports", str(start_ms), "revisions")
    found = Client().call("GET", path, response=monitors.RevisionList)
    rows = [revision_row(one) for one in found.revisions]
    table(["report", "labels", "realised", "quality"], rows)


@monitor.command()
@click.argument("reference", type=click.Path(exists=True, path_type=Path))
@click.argument("current", type=click.Path(exists=True, path_type=Path))
@click.option("--column", "columns", multiple=True, help="Compare this column only; may be given several times.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the report here, as one page.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--runner", default="", help="Who reads the parts: 'ray' or 'local'; this process when not given.")
@click.option("--workers", type=click.IntRange(min=1), help="How many parts a runner does at once.")
@click.option(
    "--multivariate", is_flag=True, help="Compare the columns of numbers together too, on a sample of the rows."
)
def compare(
    reference: Path,
    current: Path,
    columns: tuple[str, ...],
    html: Path | None,
    runner: str,
    workers: int | None,
    *,
    as_json: bool,
    multivariate: bool,
) -> None:
    """Compare two tables in Parquet files, or folders of them. No server is needed.

    Exit status: 0 when nothing changed, 3 when something drifted, is at fault or is in one table only, 1 when the tables
    cannot be compared.
    """
    from rich.console import Console
    from rich.progress import Progress

    from flyball.monitoring import compare as compare_tables

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("columns", total=None)
        found = compare_tables(
            reference,
            current,
            columns=columns or None,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            runner=runner,
            workers=workers,
            multivariate=multivariate,
        )
    if html is not None:
        found.to_html(html)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found.to_json())).decode())
    else:
        show_comparison(found)
    if found.changed:
        sys.exit(CHANGED)


def show_comparison(found: Comparison) -> None:
    """Print every column that was compared, and what is wrong."""
    rows = [_drift_row(one.drift) for one in found.columns if one.drift is not None]
    table(["column", "measure", "effect", "threshold", "p", "verdict"], rows)
    for line in joint_lines(found):
        click.echo(line)
    for fault in found.faults:
        click.echo(f"fault: {fault.feature} {fault.detail} ({fault.share:.1%} of the rows)")
    for one in found.columns:
        if one.unwatched:
            click.echo(f"not compared: {one.name}: {one.unwatched}")
    for what, names in (("reference", found.only_in_reference), ("current table", found.only_in_current)):
        if names:
            click.echo(f"only in the {what}: {', '.join(names)}")


def joint_lines(found: Comparison) -> list[str]:
    """Return what free texts, lists and the numbers together show, a line each."""
    joint = [found.joint, *(one.joint for one in found.columns)]
    lines = [f"{one.subject}: {'drifted' if one.drifted else 'steady'}: {one.text}" for one in joint if one is not None]
    return [*lines, f"not compared: numbers together: {found.not_joint}"] if found.not_joint else lines


def _drift_row(drift: FeatureDrift) -> list[str]:
    p_value = "" if drift.p_value is None else f"{drift.p_value:.2g}"
    verdict = "drifted" if drift.drifted else ""
    return [drift.feature, drift.measure, f"{drift.effect:.4g}", f"{drift.threshold:.3g}", p_value, verdict]


def moment_or_never(time_ms: int) -> str:
    """Write a moment of event time; -1 is none yet."""
    return "nothing yet" if time_ms < 0 else moment(time_ms)


def revision_row(one: monitors.RevisionInfo) -> list[str]:
    """Return a report of a window as the cells of a line."""
    return [
        f"{'matured again' if one.again else one.state}, revision {one.revision}, {one.added:+} labels",
        f"{one.labelled} of {one.rows} ({one.coverage:.0%})",
        between(one.value, one.lower, one.upper),
        one.verdict,
    ]


def lines_beside(one: monitors.WindowInfo) -> list[str]:
    """Return, a line each, what a window says beside its figures: faults, features together, answers, alarms, slices, groups, changes."""
    worst = [f"worst slice: {one.worst_slice}"] if one.worst_slice else []
    return [
        *(f"fault: {each}" for each in one.faults),
        *one.together,
        *(f"answers: {each}" for each in one.outputs),
        *([f"alarm: {one.alarm}"] if one.alarm else []),
        *worst,
        *(f"slice {each}" for each in one.slices),
        *(f"groups by {each}" for each in one.groups),
        *(f"lasting change: {each}" for each in one.changes),
    ]


def between(value: float | None, lower: float | None, upper: float | None) -> str:
    """Return a figure between its bounds, as far as they are known."""
    if value is None:
        return "unknown"
    low, high = ("?" if bound is None else f"{bound:.3f}" for bound in (lower, upper))
    return f"{value:.3f} [{low}, {high}]"
