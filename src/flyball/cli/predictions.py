"""The prediction log from the terminal: its files, and a copy of them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import click

from flyball.cli.printing import moment, table
from flyball.client import Client
from flyball.client.paths import api
from flyball.kernel.errors import Corrupted, InvalidInput
from flyball.wire.v1 import predictions as shapes

_CHUNK = 1 << 20


@click.group()
def predictions() -> None:
    """Predictions: what endpoints answered, as Parquet files."""


@predictions.command("list")
@click.argument("endpoint")
@click.option("--since", default="", help="event time, for example 2026-11-25 or 2026-11-25T12:00")
@click.option("--until", default="", help="event time, not included")
def list_files(endpoint: str, *, since: str, until: str) -> None:
    """List the files that hold predictions of an endpoint."""
    found = _files(Client(), endpoint, since=since, until=until)
    rows = [[one.digest, one.row_count, one.size_bytes, moment(one.min_ms), moment(one.max_ms)] for one in found]
    table(["digest", "rows", "bytes", "from", "to"], rows)


@predictions.command("export")
@click.argument("endpoint")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--since", default="", help="event time, for example 2026-11-25 or 2026-11-25T12:00")
@click.option("--until", default="", help="event time, not included")
def export_files(endpoint: str, folder: Path, *, since: str, until: str) -> None:
    """Copy the files of an endpoint's predictions into FOLDER, each checked; what is there already is not copied again.

    A file is copied whole: beside the rows of the span it may hold some from before and after.
    """
    client, copied, rows = Client(), 0, 0
    for one in _files(client, endpoint, since=since, until=until):
        target = folder / f"{one.first_arrival:012d}-{one.last_arrival:012d}.parquet"
        rows += one.row_count
        if target.exists() and _digest(target) == one.digest:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(target.name + ".new")
        client.download(api("endpoints", endpoint, "predictions", one.digest), draft)
        if _digest(draft) != one.digest:
            draft.unlink()
            raise Corrupted(f"the bytes of {one.digest} did not arrive as they are kept; repeat the export")
        draft.replace(target)
        copied += 1
    click.echo(f"{folder}: {rows} predictions, {copied} files copied")


def _files(client: Client, endpoint: str, *, since: str, until: str) -> list[shapes.PredictionFile]:
    span = {"start_ms": _moment_ms(since, "since")} if since else {}
    if until:
        span["end_ms"] = _moment_ms(until, "until")
    path = f"{api('endpoints', endpoint, 'predictions')}?{urlencode(span)}"
    return client.call("GET", path, response=shapes.PredictionFileList).files


def _moment_ms(text: str, field: str) -> int:
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"'{text}' is no moment; write 2026-11-25 or 2026-11-25T12:00", field=field) from error
    return int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp() * 1_000)


def _digest(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha.update(chunk)
    return sha.hexdigest()
