"""The commands for whole databases: their schema, moves between them, backups. They open a home's stores themselves."""

from __future__ import annotations

import click

from flyball.kernel.settings import load_settings


@click.group()
def db() -> None:
    """The database: its schema, and its move to another one."""


@db.command()
def upgrade() -> None:
    """Bring the schema to the newest revision."""
    from flyball.kernel.db import open_database
    from flyball.server import migrations

    database = open_database(load_settings().resolved_database_url)
    migrations.upgrade(database)
    click.echo(f"schema at revision {migrations.current(database)}")


@db.command()
def status() -> None:
    """Show the schema's revision, and the newest."""
    from flyball.kernel.db import open_database
    from flyball.server import migrations

    database = open_database(load_settings().resolved_database_url)
    click.echo(f"at {migrations.current(database) or 'nothing yet'}, newest {migrations.newest()}")


@db.command()
@click.option("--from", "source", metavar="URL", help="Database to move; this home's, if not said otherwise.")
@click.option("--to", "target", metavar="URL", required=True, help="Empty database to fill.")
def move(source: str | None, target: str) -> None:
    """Copy the database into another one, SQLite or PostgreSQL, under the same ids, and prove the two equal.

    Nothing may run on either. A move that was broken off goes on when it is called again. The source is left as it was.
    """
    from flyball.kernel.clock import SystemClock
    from flyball.server.backup.moving import move_database

    moved = move_database(source or load_settings().resolved_database_url, target, clock=SystemClock(), tell=click.echo)
    click.echo(
        f"moved {moved.rows} rows of {len(moved.tables)} tables; counts, checksums and {moved.events} events agree"
    )
    click.echo("to work on it from now on, set FLYBALL_DATABASE_URL to the target")
