"""The command `flyball`: one group, its commands beside it by noun, errors shown as one sentence."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword

import click

import flyball
from flyball.kernel.errors import FlyballError

# Command -> module that holds it under that name (with dashes as underscores); loaded when called for, so that
# `flyball --help` stays fast.
COMMANDS = {
    "alert": "flyball.cli.alerts",
    "approval": "flyball.cli.governance",
    "audit": "flyball.cli.governance",
    "backup": "flyball.cli.database",
    "data": "flyball.cli.data",
    "db": "flyball.cli.database",
    "decision": "flyball.cli.models",
    "doctor": "flyball.cli.processes",
    "endpoint": "flyball.cli.endpoints",
    "env": "flyball.cli.access",
    "environment": "flyball.cli.environments",
    "export": "flyball.cli.transfer",
    "identity": "flyball.cli.access",
    "import": "flyball.cli.transfer",
    "loop": "flyball.cli.loops",
    "model": "flyball.cli.models",
    "monitor": "flyball.cli.monitoring",
    "pipeline": "flyball.cli.pipelines",
    "policy": "flyball.cli.models",
    "predictions": "flyball.cli.predictions",
    "request": "flyball.cli.loops",
    "score": "flyball.cli.score",
    "serve": "flyball.cli.serving",
    "server": "flyball.cli.processes",
    "sync": "flyball.cli.sync",
    "token": "flyball.cli.access",
    "ui": "flyball.cli.access",
    "up": "flyball.cli.processes",
    "why": "flyball.cli.governance",
    "worker": "flyball.cli.processes",
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Name every command."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- click's signature
        """Load a command."""
        if cmd_name not in COMMANDS:
            return None
        attribute = cmd_name.replace("-", "_")
        # A function cannot be called like a word of Python itself.
        attribute += "_" * iskeyword(attribute)
        command: click.Command = getattr(import_module(COMMANDS[cmd_name]), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(flyball.__version__, prog_name="flyball")
def cli() -> None:
    """Flyball governs machine-learning models: it watches them, decides under rules that people set, and keeps the evidence."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error of ours is one sentence on standard error and exit status 1."""
    try:
        cli(arguments)
    except FlyballError as error:
        click.echo(f"flyball: {error.message}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
