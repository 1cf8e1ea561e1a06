"""Moving in and out: import from MLflow or from an export, and export. They open the stores of this home themselves."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flyball.kernel.settings import load_settings

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from flyball.transfer.report import Report


@click.group("import")
def import_() -> None:
    """Take over what another store holds; what is here already is never overwritten."""


@import_.command()
@click.argument("source")
@click.option("--artifacts", default="", help="what mlflow-artifacts:/ stands for: a folder, or the URL of the server")
@click.option("--token", default="", envvar="MLFLOW_TRACKING_TOKEN", help="bearer token for the server")
@click.option("--username", default="", envvar="MLFLOW_TRACKING_USERNAME", help="name for the server")
@click.option("--password", default="", envvar="MLFLOW_TRACKING_PASSWORD", help="password for the server")
@click.option(
    "--report", "report_file", type=click.Path(dir_okay=False, path_type=Path), help="write the report as JSON"
)
def mlflow(source: str, *, artifacts: str, token: str, username: str, password: str, report_file: Path | None) -> None:
    """Take over experiments, runs, models, registry and files of MLflow.

    SOURCE is a database URL (sqlite:///..., postgresql://...), an mlruns folder, or the URL of a server. Run it again after
    a break: it goes on where it was.
    """
    from flyball.server.transfer import open_target
    from flyball.transfer.importing import Import
    from flyball.transfer.opening import Credentials, open_source

    credentials = Credentials(token=token, username=username, password=password)
    with (
        contextlib.closing(open_source(source, artifacts=artifacts, credentials=credentials)) as opened,
        open_target(load_settings()) as target,
        watching() as progress,
    ):
        report = Import(opened, target, progress=progress).run()
    show(report, report_file)


@import_.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def flyball(folder: Path) -> None:
    """Take an export of FOLDER into an empty installation, with its chain of events as it was.

    Every file is checked against the manifest before anything is written.
    """
    from flyball.server.transfer import open_target
    from flyball.transfer.exports.restoring import restore_export

    with open_target(load_settings()) as target, watching() as progress:
        manifest = restore_export(folder, target, progress=progress)
    click.echo(
        f"{sum(manifest.rows.values())} rows, {manifest.blobs} files; chain of {manifest.events} events, head {manifest.head}"
    )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def export(folder: Path) -> None:
    """Write everything to a new FOLDER as Parquet and JSON, at one moment, whether the server runs or not."""
    from flyball.server.transfer import open_stores
    from flyball.transfer.exports.writing import ExportWriter
    from flyball.transfer.sql.moment import open_moment

    with (
        open_stores(load_settings()) as stores,
        watching() as progress,
        open_moment(stores.database) as moment,
    ):
        writer = ExportWriter(folder, stores.artifacts, progress=progress)
        manifest = writer.write(moment, now_ms=stores.clock.now_ms())
    click.echo(f"{folder}: {sum(manifest.rows.values())} rows, {manifest.blobs} files ({manifest.blob_bytes} bytes)")
    for name, count in manifest.left_out.items():
        click.echo(f"  not in it: {name}: {count}")
    for digest in manifest.missing_blobs:
        click.echo(f"  LOST: the bytes of {digest} are not in the store, or damaged; see flyball doctor", err=True)


def show(report: Report, file: Path | None) -> None:
    """Print the report, and write it to a file where one is named."""
    for line in report.lines():
        click.echo(line)
    if file is not None:
        file.write_text(json.dumps(report.content(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        click.echo(f"report: {file}")


class Bars:
    """Progress bars on standard error, one a kind of things."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._task: TaskID | None = None

    def begin(self, what: str, *, total: int | None) -> None:
        """Start the bar of the next kind."""
        self._task = self._shown.add_task(what, total=total)

    def advance(self, count: int = 1) -> None:
        """Move the present bar."""
        if self._task is not None:
            self._shown.advance(self._task, count)


@contextlib.contextmanager
def watching() -> Iterator[Bars]:
    """Show progress while the block runs; where standard error is no terminal, nothing is shown."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        yield Bars(shown)
