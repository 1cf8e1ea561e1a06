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
@click.option(
    "--share", type=float, help="the share of predictions to keep, above 0 and up to 1, drawn by prediction id"
)
@click.option(
    "--durable/--interval", default=None, help="answer only what is on disk, or write once a second (the default)"
)
@click.option(
    "--keep", multiple=True, metavar="COLUMN", help="keep a column as it is: feature.<name>, caller, request_id"
)
@click.option("--hash", "hashed", multiple=True, metavar="COLUMN", help="keep a keyed digest in a column's place")
@click.option("--drop", multiple=True, metavar="COLUMN", help="do not write a column")
@click.option(
    "--others", type=click.Choice(["keep", "hash", "drop"]), help="what becomes of the features that are not named"
)
@click.option("--reset", is_flag=True, help="begin with the defaults: keep everything")
def capture(
    name: str,
    *,
    share: float | None,
    durable: bool | None,
    keep: tuple[str, ...],
    hashed: tuple[str, ...],
    drop: tuple[str, ...],
    others: str | None,
    reset: bool,
) -> None:
    """Show or change what the prediction log of an endpoint keeps. What no option names stays as it is."""
    found = Client().call("GET", api("endpoints", name), response=endpoints.EndpointInfo).capture
    body = endpoints.CaptureRulesBody()
    if not reset:
        body = endpoints.CaptureRulesBody(
            share=found.share, mode=found.mode, columns=dict(found.columns), others=found.others
        )
    body.columns |= dict.fromkeys(keep, "keep") | dict.fromkeys(hashed, "hash") | dict.fromkeys(drop, "drop")
    body.share = body.share if share is None else share
    body.others = others or body.others
    if durable is not None:
        body.mode = "durable" if durable else "interval"
    if reset or any(given is not None for given in (share, durable, others)) or keep or hashed or drop:
        set_to = Client().call("PUT", api("endpoints", name, "capture"), body=body, response=endpoints.EndpointInfo)
        found = set_to.capture
    click.echo(f"share {found.share:g}  mode {found.mode}  other features {found.others}")
    table(["column", "treatment"], [[column, how] for column, how in found.columns.items()])


@endpoint.command()
@click.argument("name")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--revise", is_flag=True, help="allow to change labels given before")
def label(name: str, path: Path, *, revise: bool) -> None:
    """Add late labels from a JSON file: [{"prediction_id": ..., "value": ..., "time_ms": ...}, ...]."""
    body = read_json(path, endpoints.LabelBatch, under="labels")
    body.revise = revise
    taken = Client().call("POST", api("endpoints", name, "labels"), body=body, response=endpoints.LabelReceipt)
    left = f", {taken.not_captured} of predictions that are not kept" if taken.not_captured else ""
    click.echo(f"added {taken.added}, unchanged {taken.unchanged}, revised {taken.revised}{left}")


@endpoint.command()
@click.argument("name")
@click.option(
    "--grpc-port", type=click.IntRange(0, 65_535), help="answer over gRPC too, at this port; 0 takes a free one"
)
@click.option("--supervised", is_flag=True, hidden=True)
def serve(name: str, *, grpc_port: int | None, supervised: bool) -> None:
    """Run the model server of an endpoint in this process."""
    from flyball.server.endpoint import run_endpoint

    run_endpoint(name, supervised=supervised, grpc_port=grpc_port)


def _routes(one: endpoints.EndpointInfo) -> str:
    return ", ".join(f"{route.role} v{route.version} {route.share:.0%}" for route in one.routes)
