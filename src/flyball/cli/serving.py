"""Serve model folders from the terminal, without a platform."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from flyball.kernel.errors import InvalidInput
from flyball.kernel.settings import Settings, load_settings

LOOPBACK = "127.0.0.1"
# What SageMaker's contract leaves no room for.
EXCLUDED = ("port", "grpc_port", "memory_mb", "without_key")
# Settings of a model server that may be said on the command line too, as an option of the same name.
LIMITS = {
    "request_timeout_ms": "give up a request without a time limit of its own after this long",
    "bodies_bytes": "bytes of requests that are held at once",
    "queue_requests": "requests that may wait for one version",
    "queue_bytes": "bytes of requests that may wait for one version",
    "batch_rows": "rows that a model is given at once",
    "batch_bytes": "bytes that a model is given at once",
}

_DEFAULTS = {setting.name: setting.default for setting in fields(Settings)}

CommandT = TypeVar("CommandT", bound=Callable[..., object])


def _with_limits(command: CommandT) -> CommandT:
    """Add an option for each limit."""
    for name, what in reversed(LIMITS.items()):
        flag, default = f"--{name.replace('_', '-')}", _DEFAULTS[name]
        command = click.option(flag, type=click.IntRange(1), help=f"{what}; FLYBALL_{name.upper()}, else {default}")(
            command
        )
    return command


@click.command()
@click.argument("models", nargs=-1, metavar="NAME[/VERSION]=FOLDER...")
@click.option("--host", help="address to listen at; default: 127.0.0.1, with --sagemaker every address")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65_535), help="0 takes a free one")
@click.option("--grpc-port", type=click.IntRange(0, 65_535), help="answer the Open Inference Protocol over gRPC, too")
@click.option("--capture/--no-capture", default=True, show_default=True, help="write down what is predicted")
@click.option("--capture-folder", type=click.Path(file_okay=False, path_type=Path), help="default: <home>/captured")
@click.option("--memory-mb", default=0, type=click.IntRange(0), help="what all models may take together; 0: no limit")
@click.option("--without-key", is_flag=True, help="answer everybody on this machine; for loopback addresses only")
@click.option(
    "--sagemaker",
    is_flag=True,
    help="SageMaker's container contract: /ping and /invocations for EVERYBODY, without a key, at every address",
)
@_with_limits
@click.pass_context
def serve(
    context: click.Context,
    /,
    models: tuple[str, ...],
    *,
    host: str | None,
    port: int,
    grpc_port: int | None,
    capture: bool,
    capture_folder: Path | None,
    memory_mb: int,
    without_key: bool,
    sagemaker: bool,
    **limits: int | None,
) -> None:
    """Serve MLflow-format model folders over HTTP, and where asked for over gRPC, until Ctrl-C.

    Callers send the key as bearer token: FLYBALL_SERVE_KEY, or the one in <home>/serve.key, which is made when there is none.
    """
    from flyball.server.inference import sagemaker as contract
    from flyball.server.inference.standalone import Door, ServeOptions, parse_models, serve_folders

    given: dict[str, Any] = {name: limit for name, limit in limits.items() if limit is not None}
    settings = replace(load_settings(), **given)
    door = Door.LOOPBACK if without_key else Door.KEY
    if sagemaker:
        contract.refuse_what_the_contract_excludes(_given(context, *EXCLUDED), models, settings)
        models = models or (f"{contract.MODEL_NAME}={contract.MODEL_FOLDER}",)
        door, host, port = Door.SAGEMAKER, host or contract.EVERY_ADDRESS, contract.container_port(os.environ)
    elif not models:
        raise InvalidInput("name at least one model: NAME=FOLDER or NAME/VERSION=FOLDER", field="models")
    options = ServeOptions(
        models=parse_models(models),
        host=host or LOOPBACK,
        port=port,
        grpc_port=grpc_port,
        captured=(capture_folder or settings.home / "captured") if capture else None,
        memory_bytes=memory_mb << 20,
        door=door,
    )
    serve_folders(options, settings=settings, announce=click.echo)


def _given(context: click.Context, *names: str) -> list[str]:
    """Return those options that the command line gives, as they are written there."""
    default = ParameterSource.DEFAULT
    return [f"--{name.replace('_', '-')}" for name in names if context.get_parameter_source(name) is not default]
