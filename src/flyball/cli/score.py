"""Batch scoring from the terminal. The files are this machine's; a model of the registry is fetched over HTTP first."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyball.client import Client
from flyball.client.paths import api
from flyball.kernel.errors import InvalidInput
from flyball.kernel.settings import load_settings
from flyball.wire.v1 import models

if TYPE_CHECKING:
    from flyball.serving.score_job import Progress

REGISTERED = "models:/"


@click.command()
@click.argument("model")
@click.argument("source", metavar="INPUT", type=click.Path(exists=True, path_type=Path))
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
def score(
    model: str,
    source: Path,
    output: Path,
    *,
    keep: tuple[str, ...],
    workers: int,
    runner: str,
    part_rows: int,
    allow_pickle: bool,
) -> None:
    """Predict every row of INPUT with MODEL and write the answers to OUTPUT.

    MODEL is models:/NAME/VERSION, models:/NAME@ALIAS, or the folder of a model. INPUT is a .parquet or .csv file, or a folder of
    such. OUTPUT is a .parquet or .csv file, or a folder of parts. Run the same command again after a break: it goes on where it was.
    """
    from flyball.kernel.runners import open_runner
    from flyball.serving.isolation.rules import IsolationRules
    from flyball.serving.score_job import Task, run_job

    settings = load_settings()

    with _model_folder(model, beside=output) as (folder, digest), _watching() as progress:
        task = Task(
            model_folder=folder,
            model=model,
            model_digest=digest,
            input=source.absolute(),
            output=output.absolute(),
            keep=keep,
            part_rows=part_rows,
            workers=workers,
            allow_pickle=allow_pickle or settings.allow_pickle,
            isolation=IsolationRules.by(settings),
        )
        made = run_job(task, open_runner(runner), progress=progress)
    again = f", {made.kept_parts} parts were there" if made.kept_parts else ""
    click.echo(f"{output}: {made.rows} rows in {made.parts} parts{again}")


@contextlib.contextmanager
def _model_folder(model: str, *, beside: Path) -> Iterator[tuple[Path, str]]:
    """Lend a folder with the model's files, and their digest; what is fetched lies beside the output, which every worker sees."""
    from flyball.serving.score_model import tree_digest

    if not model.startswith(REGISTERED):
        folder = Path(model)
        if not (folder / "MLmodel").is_file():
            raise InvalidInput(f"{model} is neither models:/<name>/<version> nor the folder of a model", field="model")
        yield folder, tree_digest(folder)
        return
    name, version = _named(model)
    beside.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".flyball-model-", dir=beside.absolute().parent) as into:
        folder, client = Path(into) / "model", Client()
        listed = client.call("GET", api("models", name, version, "files"), response=models.ModelFileList)
        for file in listed.files:
            target = folder / file.path
            if not target.resolve().is_relative_to(folder.resolve()):
                raise InvalidInput(
                    f"the server names the file '{file.path}', which lies outside of the model", field="model"
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            client.download(api("models", name, version, "files", file.digest), target)
        found = tree_digest(folder)
        if found != listed.digest:
            raise InvalidInput(f"the files of {model} did not arrive as they were registered; try again", field="model")
        yield folder, found


def _named(model: str) -> tuple[str, str]:
    """Return name and version; an alias keeps its sign, by which the server tells it from a number."""
    rest = model.removeprefix(REGISTERED)
    name, at, alias = rest.partition("@")
    if at:
        return name, f"@{alias}"
    name, slash, version = rest.rpartition("/")
    if not slash or not name or not version:
        raise InvalidInput(
            f"'{model}' is no version: write models:/<name>/<version> or models:/<name>@<alias>", field="model"
        )
    return name, version


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
