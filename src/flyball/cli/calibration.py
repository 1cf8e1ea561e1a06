"""Alarms one can trust, from the terminal: calibrate a monitor, and replay its file over history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyball.cli.reading import read_text
from flyball.cli.studies import show_backtest, show_result, tell_where, waited_for
from flyball.client import Client
from flyball.client.paths import api
from flyball.kernel.errors import InvalidInput
from flyball.wire.v1 import calibrations as shapes

if TYPE_CHECKING:
    from flyball.monitoring.backtest.results import Backtest

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("name")
@click.option(
    "--since", default="", help="Begin with windows from here on: a date, a time, or milliseconds since 1970."
)
@click.option("--until", default="", help="Windows that end by then.")
@click.option("--version", type=int, help="Calibrate for this version; the one in charge when not given.")
@click.option("--show", is_flag=True, help="Show the calibration in use; calibrate nothing.")
@click.option("--wait/--no-wait", default=True, help="Wait for the end, or print the id of the study and go.")
@click.option("--json", "as_json", is_flag=True, help="Print the calibration as JSON.")
def calibrate(name: str, since: str, until: str, version: int | None, *, show: bool, wait: bool, as_json: bool) -> None:
    """Calibrate the alarms of a monitor on what its endpoint has served.

    What lies in that time counts as normal: leave out what was not. The worker computes it; `flyball monitor study` shows how
    far it is, and what came of it.
    """
    if show and (since or until or version is not None or not wait):
        raise InvalidInput(
            "--show shows the calibration in use; it takes no --since, --until, --version or --no-wait", field="show"
        )
    client = Client()
    if show:
        found = client.call("GET", api("monitors", name, "calibration"), response=shapes.CalibrationInfo)
        show_result(shapes.StudyResult(calibration=found), as_json=as_json, html=None)
        return
    body = shapes.CalibrateBody(since_ms=_moment(since, "since"), until_ms=_moment(until, "until"), version=version)
    study = client.call("POST", api("monitors", name, "calibration"), body=body, response=shapes.StudyInfo)
    if wait:
        show_result(waited_for(client, study), as_json=as_json, html=None)
    else:
        tell_where(study)


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
@click.option("--wait/--no-wait", default=True, help="Wait for the server, or print the id of the study and go.")
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
    wait: bool,
    as_json: bool,
) -> None:
    """Replay a monitor's file: when it would have fired, how often, and which incidents it would have caught.

    Over the prediction log the worker computes it; `flyball monitor study` shows how far it is, and what came of it.
    """
    until_ms = _moment(reference_until, "reference_until")
    columns = (time_column, prediction, label, score)
    if history is None and (reference or any(columns)):
        raise InvalidInput(
            "--time, --prediction, --label, --score and --reference are about a file; name it with --history",
            field="history",
        )
    if history is not None and not wait:
        raise InvalidInput("a file is replayed here, not by the server: leave --no-wait out", field="wait")
    if history is not None:
        found = _on_files(path, against, history, columns=columns, reference=(reference, until_ms), incidents=incidents)
        show_backtest(found, as_json=as_json, html=html)
        return
    client = Client()
    study = _ask_server(client, path, against, until_ms, incidents)
    if wait:
        show_result(waited_for(client, study), as_json=as_json, html=html)
    else:
        tell_where(study)


def _ask_server(
    client: Client, path: Path, against: Path | None, until_ms: int | None, incidents: Path | None
) -> shapes.StudyInfo:
    from flyball.monitoring.backtest.incidents import read_incidents

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
    return client.call("POST", api("backtests"), body=body, response=shapes.StudyInfo)


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


def _moment(text: str, field: str) -> int | None:
    if not text:
        return None
    from flyball.monitoring.backtest.incidents import parse_moment

    return parse_moment(text, field=field)
