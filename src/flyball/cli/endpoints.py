"""Endpoints from the terminal."""

from __future__ import annotations

from pathlib import Path

import click

from flyball.cli.printing import table
from flyball.cli.reading import read_json
from flyball.client import Client
from flyball.client.paths import api
from flyball.wire.v1 import endpoints


@click.group()
def endpoint() -> None:
    """Endpoints: a name that answers with one registered model."""


@endpoint.command("list")
def list_endpoints() -> None:
    """List endpoints and who answers."""
    found = Client().call("GET", api("endpoints"), response=endpoints.EndpointList)
    table(["name", "routes", "ready", "url"], [[one.name, _routes(one), one.ready, one.url] for one in found.endpoints])


@endpoint.command()
@click.argument("name")
def show(name: str) -> None:
    """Show an endpoint and its rollouts."""
    one = Client().call("GET", api("endpoints", name), response=endpoints.EndpointInfo)
    click.echo(
        f"{one.name}  model {one.model}  generation {one.generation}  {_routes(one)}  {one.url or 'not running'}"
    )
    if one.error:
        click.echo(f"error: {one.error}", err=True)
    tried = Client().call("GET", api("endpoints", name, "rollouts"), response=endpoints.RolloutList)
    rows = [[each.id, each.champion, each.challenger, each.share, each.state, each.reason] for each in tried.rollouts]
    table(["rollout", "champion", "challenger", "share", "state", "reason"], rows)


@endpoint.command()
@click.argument("name")
def rollback(name: str) -> None:
    """Put the previous routing back, at once."""
    one = Client().call("POST", api("endpoints", name, "rollback"), response=endpoints.EndpointInfo)
    click.echo(f"{one.name}: {_routes(one)}")


@endpoint.command()
@click.argument("name")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--revise", is_flag=True, help="allow to change labels given before")
def label(name: str, path: Path, *, revise: bool) -> None:
    """Add late labels from a JSON file: [{"prediction_id": ..., "value": ..., "time_ms": ...}, ...]."""
    body = read_json(path, endpoints.LabelBatch, under="labels")
    body.revise = revise
    taken = Client().call("POST", api("endpoints", name, "labels"), body=body, response=endpoints.LabelReceipt)
    click.echo(f"added {taken.added}, unchanged {taken.unchanged}, revised {taken.revised}")


@endpoint.command()
@click.argument("name")
@click.option("--supervised", is_flag=True, hidden=True)
def serve(name: str, *, supervised: bool) -> None:
    """Run the model server of an endpoint in this process."""
    from flyball.server.endpoint import run_endpoint

    run_endpoint(name, supervised=supervised)


def _routes(one: endpoints.EndpointInfo) -> str:
    return ", ".join(f"{route.role} v{route.version} {route.share:.0%}" for route in one.routes)
