"""Loops and requests from the terminal."""

from __future__ import annotations

from pathlib import Path

import click

from flyball.cli.printing import moment, table
from flyball.cli.reading import read_text
from flyball.client import Client
from flyball.client.paths import api
from flyball.wire.v1 import loops


@click.group()
def loop() -> None:
    """Guarded loops: alert, diagnosis, retraining, gate, approval, canary."""


@loop.command("set")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def set_loop(path: Path) -> None:
    """Set a loop from its YAML file."""
    body = loops.LoopDocument(document=read_text(path))
    made = Client().call("POST", api("loops"), body=body, response=loops.LoopInfo)
    click.echo(f"{made.name} guards endpoint {made.endpoint}")


@loop.command()
@click.argument("name")
@click.argument("version", type=int)
@click.option("--training", required=True, help="dataset version NAME/N the model was trained on")
@click.option("--holdout", required=True, help="dataset version NAME/N it is judged on")
@click.option(
    "--recent", default="", help="dataset version NAME/N of the newest labelled rows, for policies that ask for it"
)
def promote(name: str, version: int, training: str, holdout: str, recent: str) -> None:
    """Ask for a model VERSION to go into production through the gates of loop NAME."""
    body = loops.NewPromotion(version=version, training=training, holdout=holdout, recent=recent)
    made = Client().call("POST", api("loops", name, "promotions"), body=body, response=loops.RequestInfo)
    click.echo(f"{made.id}  {made.state}")


@loop.command()
@click.argument("name")
def requests(name: str) -> None:
    """List the requests of a loop, newest first."""
    found = Client().call("GET", api("loops", name, "requests"), response=loops.RequestList)
    rows = [
        [
            one.id,
            one.origin,
            one.state,
            moment(one.window_end_ms) if one.window_end_ms else "-",
            one.cause or "-",
            one.reason,
        ]
        for one in found.requests
    ]
    table(["id", "origin", "state", "window end", "cause", "reason"], rows)


@click.group()
def request() -> None:
    """Requests to bring a version into production."""


@request.command("show")
@click.argument("request_id")
def show_request(request_id: str) -> None:
    """Show a request and how far it came."""
    one = Client().call("GET", api("requests", request_id), response=loops.RequestInfo)
    rows = [[name, value] for name in one.__struct_fields__ if (value := getattr(one, name)) not in {"", None, 0}]
    table(["field", "value"], rows)
