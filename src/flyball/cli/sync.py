"""Ship journals that wait in a folder: of machines without a network, and of processes that are gone."""

from __future__ import annotations

from pathlib import Path

import click

from flyball.cli.printing import table
from flyball.client import Client
from flyball.client.journal.folder import journals_in, set_aside_in
from flyball.client.journal.orphans import Shipment, ship_folder
from flyball.client.journal.shipper import Step
from flyball.kernel.errors import Conflict, InvalidInput
from flyball.kernel.settings import load_settings

STATES = {
    Step.DONE: "shipped",
    Step.WAITING: "waits",
    "open": "shipped so far; still written",
    "busy": "shipped by its own process",
}


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--server", "server", help="URL of the server; FLYBALL_SERVER_URL if not given")
def sync(folder: Path | None, server: str | None) -> None:
    """Ship the journals in FOLDER (the account's own folder of journals if not given). Safe to repeat at any time."""
    root = folder or load_settings().resolved_journal_folder
    client = Client(server)
    elsewhere = [one for one in journals_in(root) if one.origin.server not in {"", client.url}]
    done = ship_folder(root, client, tell=lambda text: click.echo(f"flyball: {text}", err=True))
    table(["journal", "records", "files", "bytes", "refused", "state"], [_row(one) for one in done])
    for one in elsewhere:
        click.echo(f"{one.origin.journal} goes to {one.origin.server}: use --server {one.origin.server}", err=True)
    _say_what_is_left(root, done)


def _row(one: Shipment) -> list[object]:
    tally = one.tally
    state = STATES[one.state] + (f" for {tally.waits_for}" if one.state == Step.WAITING else "")
    return [one.folder.origin.journal, tally.records, tally.files, tally.file_bytes, tally.refused, state]


def _say_what_is_left(root: Path, done: list[Shipment]) -> None:
    """Fail where something was not taken, so that a script notices.

    Raises:
        InvalidInput: records were refused.
        Conflict: records wait for runs that nobody shipped.
    """
    refused = set_aside_in(root)
    if refused:
        raise InvalidInput(
            f"the server refused records, which are kept in {', '.join(map(str, refused))}; delete the folder when you have seen to it",
            field="folder",
        )
    waiting = [one for one in done if one.state == Step.WAITING]
    if waiting:
        raise Conflict(f"{len(waiting)} journals wait for runs of others; ship those, then repeat the command")
