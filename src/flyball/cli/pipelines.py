"""Pipeline runs from the terminal."""

from __future__ import annotations

import time
from typing import cast

import click
import msgspec

from flyball.cli.printing import table
from flyball.client import Client
from flyball.client.paths import api
from flyball.kernel.canonical import JsonValue, canonical_json
from flyball.kernel.documents import read_yaml
from flyball.kernel.errors import FlyballError, InvalidInput
from flyball.wire.v1 import pipelines

ENDED = frozenset({"succeeded", "failed", "lost", "cancelled"})
LOOK_EVERY_S = 0.3


@click.group()
def pipeline() -> None:
    """Training pipelines in plain Python."""


@pipeline.command()
@click.argument("path")
@click.option(
    "--param", "params", multiple=True, help="name=value; the value is YAML; name=@NAME/N is a dataset version"
)
@click.option("--no-wait", is_flag=True, help="print the id and leave")
def run(path: str, params: tuple[str, ...], *, no_wait: bool) -> None:
    """Run a pipeline, PATH is module:function."""
    client = Client()
    body = pipelines.NewPipelineRun(pipeline=path, parameters=dict(map(_parameter, params)))
    started = client.call("POST", api("pipeline-runs"), body=body, response=pipelines.PipelineRunInfo)
    click.echo(started.id, err=not no_wait)
    while not no_wait:
        found = client.call("GET", api("pipeline-runs", started.id), response=pipelines.PipelineRunInfo)
        if found.state in ENDED:
            _report(found)
            return
        time.sleep(LOOK_EVERY_S)


@pipeline.command("list")
def list_runs() -> None:
    """List pipeline runs, newest first."""
    found = Client().call("GET", api("pipeline-runs"), response=pipelines.PipelineRunList)
    table(["id", "pipeline", "state"], [[one.id, one.pipeline, one.state] for one in found.runs])


def _report(found: pipelines.PipelineRunInfo) -> None:
    if found.state != "succeeded":
        raise FlyballError(f"the run {found.state}: {found.error}")
    click.echo(bytes(found.result).decode())


def _parameter(text: str) -> tuple[str, msgspec.Raw]:
    name, separator, value = text.partition("=")
    if not separator:
        raise InvalidInput(f"'{text}' is no parameter: write name=value", field="param")
    plain: object = {"dataset": value[1:]} if value.startswith("@") else read_yaml(value, what=f"parameter {name}")
    return name, msgspec.Raw(canonical_json(cast("JsonValue", plain)))
