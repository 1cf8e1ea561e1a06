"""Batch scoring from the terminal. Files are this machine's; what the registry has is fetched over HTTP first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyball.cli.score_sources import DATASET, ModelHere, input_here, model_here
from flyball.cli.score_telling import tell
from flyball.client import Client
from flyball.client.paths import api
from flyball.kernel.errors import Conflict, InvalidInput
from flyball.kernel.settings import load_settings
from flyball.wire.v1 import endpoints

if TYPE_CHECKING:
    from flyball.serving.score_job import CaptureTo, Progress


@click.command()
@click.argument("model")
@click.argument("source", metavar="INPUT")
@click.argument("output", type=click.Path(path_type=Path))
@click.option(
    "--keep", multiple=True, metavar="COLUMN", help="a column of the input to write beside the answers, such as an id"
)
@click.option(
    "--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="processes that hold the model"
)
@click.option("--runner", default="local", show_default=True, help="who runs the workers (flyball.runners)")
@click.option(
    "--part-rows",
    type=click.IntRange(1),
    default=100_000,
    show_default=True,
    help="rows of a part; row groups stay whole",
)
@click.option(
    "--allow-pickle", is_flag=True, help="load a model stored as pickle, in the workers; it may run any code there"
)
@click.option("--capture", metavar="ENDPOINT", help="write the predictions to the prediction log of this endpoint")
@click.option("--capture-id", default="", metavar="COLUMN", help="where their ids come from; made if not given")
@click.option("--capture-time", default="", metavar="COLUMN", help="where their times come from; now if not given")
def score(
    model: str,
    source: str,
    output: Path,
    *,
    keep: tuple[str, ...],
    workers: int,
    runner: str,
    part_rows: int,
    allow_pickle: bool,
    capture: str | None,
    capture_id: str,
    capture_time: str,
) -> None:
    """Predict every row of INPUT with MODEL and write the answers to OUTPUT.

    MODEL is models:/NAME/VERSION, models:/NAME@ALIAS, or the folder of a model. INPUT is a .parquet or .csv file, a folder of
    such, or datasets:/NAME/N. OUTPUT is a .parquet or .csv file, or a folder of parts. Run the same command again after a break: it goes
    on where it was. What a version of the registry has scored is recorded there.
    """
    from flyball.kernel.runners import open_runner
    from flyball.serving.isolation.rules import IsolationRules
    from flyball.serving.score_job import Task, run_job

    settings = load_settings()
    with (
        model_here(model, beside=output) as held,
        input_here(source, beside=output) as given,
        _watching() as progress,
    ):
        task = Task(
            model_folder=held.folder,
            model=model,
            model_digest=held.digest,
            input=given.path,
            input_name=f"{DATASET}{given.dataset}" if given.dataset else "",
            output=output.absolute(),
            keep=keep,
            part_rows=part_rows,
            workers=workers,
            allow_pickle=allow_pickle or settings.allow_pickle,
            isolation=IsolationRules.by(settings),
            capture=_capture_to(held, capture, id_column=capture_id, time_column=capture_time),
        )
        made = run_job(task, open_runner(runner), progress=progress, announce=lambda done: tell(done, held, given))
    again = f", {made.kept_parts} parts were there" if made.kept_parts else ""
    click.echo(f"{output}: {made.rows} rows in {made.parts} parts{again}")


def _capture_to(model: ModelHere, endpoint: str | None, *, id_column: str, time_column: str) -> CaptureTo | None:
    from flyball.serving.score_job import CaptureTo

    if endpoint is None:
        if id_column or time_column:
            raise InvalidInput(
                "--capture-id and --capture-time say how to capture; name the endpoint by --capture", field="capture"
            )
        return None
    if not model.name:
        raise InvalidInput(
            "only predictions of a registered version go into a log; name the model as models:/<name>/<version>",
            field="capture",
        )
    found = Client().call("GET", api("endpoints", endpoint), response=endpoints.EndpointInfo)
    known = [route.version for route in found.routes]
    if found.model != model.name or model.version not in known:
        raise Conflict(
            f"endpoint '{endpoint}' does not answer with version {model.version} of {model.name}, only with "
            f"{', '.join(map(str, known))} of {found.model}; what another one says has no place in its log",
            field="capture",
        )
    return CaptureTo(endpoint=endpoint, version=model.version, id_column=id_column, time_column=time_column)


@contextlib.contextmanager
def _watching() -> Iterator[Progress]:
    """Show progress while the block runs; where standard error is no terminal, nothing is shown."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (TextColumn("parts"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        bar = shown.add_task("parts", total=None)
        yield lambda done, total: shown.update(bar, completed=done, total=total)
