"""Alarms one can trust, from the terminal: calibrate a monitor, and replay its file over history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from flyball.cli.printing import moment, table
from flyball.cli.reading import read_text
from flyball.client import Client
from flyball.client.paths import api
from flyball.kernel.errors import InvalidInput
from flyball.wire.v1 import calibrations as shapes

if TYPE_CHECKING:
    from flyball.monitoring.backtest.results import Backtest, Replayed

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_LEAST_LINES = 12


@click.command()
@click.argument("name")
@click.option(
    "--since", default="", help="Begin with windows from here on: a date, a time, or milliseconds since 1970."
)
@click.option("--until", default="", help="Windows that end by then.")
@click.option("--version", type=int, help="Calibrate for this version; the one in charge when not given.")
@click.option("--show", is_flag=True, help="Show the calibration in use; calibrate nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the calibration as JSON.")
def calibrate(name: str, since: str, until: str, version: int | None, *, show: bool, as_json: bool) -> None:
    """Calibrate the alarms of a monitor on what its endpoint has served.

    What lies in that time counts as normal: leave out what was not.
    """
    if show:
        found = Client().call("GET", api("monitors", name, "calibration"), response=shapes.CalibrationInfo)
    else:
        body = shapes.CalibrateBody(since_ms=_moment(since, "since"), until_ms=_moment(until, "until"), version=version)
        found = Client().call("POST", api("monitors", name, "calibration"), body=body, response=shapes.CalibrationInfo)
    if as_json:
        _print_json(msgspec.to_builtins(found))
    else:
        _show_calibration(found)


@click.command()
@click.argument("path", type=_FILE)
@click.option("--against", type=_FILE, help="Another monitor's file (the current one) over the same history.")
@click.option("--history", type=_FILE, help="A Parquet file to replay over; without it, the endpoint's prediction log.")
@click.option("--time", "time_column", default="", help="The column of the history that holds the time.")
@click.option("--reference", type=_FILE, help="A Parquet file of rows that were normal, with the same columns.")
@click.option("--reference-until", default="", help="Rows of the history before this moment are the reference.")
@click.option("--prediction", default="", help="The column that holds the prediction.")
@click.option("--label", default="", help="The column that holds the truth.")
@click.option("--score", default="", help="The column that holds the probability of the prediction.")
@click.option("--incidents", type=_FILE, help="A CSV file: start, and where known name, end, noticed.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the report here, as one page.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def backtest(  # noqa: PLR0917 -- one option each
    path: Path,
    against: Path | None,
    history: Path | None,
    time_column: str,
    reference: Path | None,
    reference_until: str,
    prediction: str,
    label: str,
    score: str,
    incidents: Path | None,
    html: Path | None,
    *,
    as_json: bool,
) -> None:
    """Replay a monitor's file: when it would have fired, how often, and which incidents it would have caught."""
    until_ms = _moment(reference_until, "reference_until")
    if history is None:
        found = _on_server(path, against, until_ms, incidents)
    else:
        columns = (time_column, prediction, label, score)
        found = _on_files(path, against, history, columns=columns, reference=(reference, until_ms), incidents=incidents)
    if html is not None:
        found.to_html(html)
    if as_json:
        _print_json(found.to_json())
    else:
        for run in (found.draft, found.current):
            if run is not None:
                _show_run(run)


def _on_server(path: Path, against: Path | None, until_ms: int | None, incidents: Path | None) -> Backtest:
    from flyball.monitoring.backtest.incidents import read_incidents
    from flyball.monitoring.backtest.results import Backtest

    noted = read_incidents(incidents) if incidents else ()
    body = shapes.BacktestBody(
        document=read_text(path),
        against=read_text(against) if against else None,
        reference_until_ms=until_ms,
        incidents=tuple(
            shapes.IncidentBody(name=one.name, start=one.start_ms, end=one.end_ms, noticed=one.noticed_ms)
            for one in noted
        ),
    )
    answer = Client().call("POST", api("backtests"), body=body, response=shapes.BacktestInfo)
    return Backtest.from_json(answer.result)


def _on_files(
    path: Path,
    against: Path | None,
    history: Path,
    *,
    columns: tuple[str, str, str, str],
    reference: tuple[Path | None, int | None],
    incidents: Path | None,
) -> Backtest:
    from flyball.monitoring.backtest.files import Files, backtest_files
    from flyball.monitoring.backtest.histories import Roles
    from flyball.monitoring.backtest.incidents import read_incidents

    if not columns[0]:
        raise InvalidInput("name the column that holds the time with --time", field="time")
    return backtest_files(
        read_text(path),
        Files(history=history, reference=reference[0], reference_until_ms=reference[1]),
        roles=Roles(time=columns[0], prediction=columns[1], label=columns[2], score=columns[3]),
        against=read_text(against) if against else None,
        incidents=read_incidents(incidents) if incidents else (),
    )


def _show_calibration(found: shapes.CalibrationInfo) -> None:
    one: dict[str, Any] = found.calibration
    click.echo(f"calibration {found.digest}")
    span = f"{moment(one['history_start_ms'])} to {moment(one['history_end_ms'])}"
    click.echo(f"version {one['version']}, {one['windows']} windows from {span}, {one['method']}")
    if one["reason"]:
        click.echo(f"unknown: {one['reason']}")
        return
    bounds = f"{one['rate_lower']:.2f} to {one['rate_upper']:.2f} (90 %)"
    click.echo(f"false alarms: {one['false_alarms']} wanted; {one['rate']:.2f} on average, {bounds} by this history")
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


def _moment(text: str, field: str) -> int | None:
    if not text:
        return None
    from flyball.monitoring.backtest.incidents import parse_moment

    return parse_moment(text, field=field)


def _print_json(content: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(content)).decode())
