"""The commands for the environments of isolated models, on the machine where they lie."""

from __future__ import annotations

import click

from flyball.kernel.settings import load_settings

_DAY_MS = 86_400_000
_MIB = 1 << 20


@click.group()
def environment() -> None:
    """The environments in which isolated models run, kept in <home>/environments."""


@environment.command("list")
def list_environments() -> None:
    """Show the environments of this home, the one used last first, with what each takes on the disk."""
    from flyball.cli.printing import moment, table
    from flyball.serving.isolation.placement import environments_of

    rows = [
        (
            kept.description.digest[:12],
            kept.description.python,
            len(kept.description.installed),
            kept.size_bytes // _MIB,
            moment(kept.description.made_ms),
            "now" if kept.in_use else moment(kept.used_ms),
            ", ".join(kept.description.requirements),
        )
        for kept in environments_of(load_settings()).kept()
    ]
    table(("environment", "python", "packages", "MiB", "made (UTC)", "used", "made from"), rows)


@environment.command()
@click.option("--unused-days", type=click.IntRange(min=0), help="Days without use; the setting, if not said.")
def prune(unused_days: int | None) -> None:
    """Remove the environments that no model has used for a while, and what broken attempts left."""
    from flyball.serving.isolation.placement import environments_of

    settings = load_settings()
    days = settings.isolation_keep_days if unused_days is None else unused_days
    removed = environments_of(settings).prune(unused_ms=days * _DAY_MS)
    for digest in removed:
        click.echo(f"removed {digest[:12]}")
    click.echo(f"{len(removed)} environments removed")


@environment.command()
@click.argument("digest")
def remove(digest: str) -> None:
    """Remove an environment by its digest or the beginning of it; a model that wants it makes it anew."""
    from flyball.serving.isolation.placement import environments_of

    environments_of(load_settings()).remove(digest)
    click.echo("removed")
