"""Datasets from the terminal."""

from __future__ import annotations

from pathlib import Path

import click

from flyball.cli.printing import moment, table
from flyball.client import Client
from flyball.client.paths import api, versioned
from flyball.kernel.errors import InvalidInput
from flyball.wire.v1 import datasets

FORMATS = {".csv": "csv", ".parquet": "parquet"}


@click.group()
def data() -> None:
    """Datasets: content-addressed versions with schema and profile."""


@data.command()
@click.argument("name")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", help="where the data comes from; the file's name if not given")
def add(name: str, path: Path, source: str | None) -> None:
    """Make a version of dataset NAME from a CSV or Parquet file."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InvalidInput(f"{path.name}: only .csv and .parquet files are taken", field="path")
    fields = {"source": source or path.name, "format": kind}
    made = Client().upload(api("datasets", name), path, query=fields, response=datasets.Dataset)
    click.echo(f"{made.name}/{made.version}  {made.row_count} rows  {made.digest}")


@data.command("list")
def list_datasets() -> None:
    """List dataset versions."""
    found = Client().call("GET", api("datasets"), response=datasets.DatasetList)
    rows = [
        [f"{one.name}/{one.version}", one.row_count, one.digest[:12], moment(one.created_ms)] for one in found.datasets
    ]
    table(["version", "rows", "digest", "created"], rows)


@data.command()
@click.argument("version")
def show(version: str) -> None:
    """Show a version (NAME/N): its columns and where it comes from."""
    one = Client().call("GET", versioned("datasets", version), response=datasets.Dataset)
    click.echo(f"{one.name}/{one.version}  {one.row_count} rows  {one.digest}\nfrom {one.source}")
    table(["column", "type"], [[column.name, column.type] for column in one.columns])
