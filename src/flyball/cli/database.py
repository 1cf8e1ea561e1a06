"""The commands for whole databases: their schema, moves between them, backups. They open a home's stores themselves."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flyball.kernel.settings import load_settings

_PATH = click.Path(path_type=Path)
_newest = click.option("--backup", "backup_id", metavar="ID", help="Which one; the latest, if not said.")


@click.group()
def db() -> None:
    """The database: its schema, and its move to another one."""


@db.command()
@click.option(
    "--backup", "folder", type=_PATH, metavar="FOLDER", help="Where the backup goes; <home>/backups if not said."
)
def upgrade(folder: Path | None) -> None:
    """Bring the schema to the newest revision, with a backup of the database taken first. Nothing may run on it."""
    from flyball.kernel.clock import SystemClock
    from flyball.server.backup.upgrading import upgrade_database

    settings = load_settings()
    done = upgrade_database(settings, folder or settings.home / "backups", clock=SystemClock(), tell=click.echo)
    if done.before == done.after:
        click.echo(f"schema at revision {done.after} already")
    else:
        click.echo(f"schema at revision {done.after}, before at {done.before or 'nothing'}")


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


@click.group()
def backup() -> None:
    """Backups of database and artifacts as one point, taken while the server runs.

    A place is a folder, which takes any number of backups and copies of each only what is new, or a file that ends in .tar.
    """


@backup.command()
@click.argument("place", type=_PATH)
@click.option(
    "--copy", is_flag=True, help="Copy artifacts on the same file system too, instead of sharing them by hard links."
)
def create(place: Path, *, copy: bool) -> None:
    """Make a backup."""
    from flyball.kernel.clock import SystemClock
    from flyball.server.backup.creating import create_backup
    from flyball.server.backup.places import place_at

    made = create_backup(load_settings(), place_at(place, link=not copy), clock=SystemClock())
    assert made.artifacts is not None
    rows = sum(table.rows for table in made.tables.values())
    click.echo(f"backup {made.id}: {rows} rows, {made.chain.count} events, {made.artifacts.count} artifacts")
    click.echo(f"head of the chain {made.chain.head}")
    faults = [f"artifact {digest} is named and missing or damaged" for digest in made.artifacts.missing]
    faults += [] if made.chain.intact else [f"the chain of events is broken at {made.chain.reason}"]
    for fault in faults:
        click.echo(f"BAD in this installation: {fault}", err=True)
    sys.exit(1 if faults else 0)


@backup.command("list")
@click.argument("place", type=_PATH)
def list_backups(place: Path) -> None:
    """Show the backups of a place, oldest first."""
    from flyball.cli.printing import moment, table
    from flyball.server.backup.places import place_at

    rows = []
    at = place_at(place)
    for name in at.backups():
        with at.open(name) as found:
            made = found.manifest
        size = made.database.size_bytes + (made.artifacts.size_bytes if made.artifacts else 0)
        kind = "database and artifacts" if made.artifacts else "database"
        rows.append((name, moment(made.created_ms), made.revision, made.release, made.chain.count, size, kind))
    table(("backup", "made (UTC)", "schema", "release", "events", "bytes", "holds"), rows)


@backup.command()
@click.argument("place", type=_PATH)
@_newest
def verify(place: Path, backup_id: str | None) -> None:
    """Read every byte of a backup (of all, if none is named) and say what is damaged; exit status 1 when something is."""
    from flyball.kernel.clock import SystemClock
    from flyball.server.backup.places import place_at
    from flyball.server.backup.verifying import verify_backup

    at, whole = place_at(place), True
    for name in [backup_id] if backup_id else at.backups():
        found = verify_backup(at, name, clock=SystemClock())
        click.echo(f"{'BAD ' if found.damage else 'ok  '} {name}: {found.read_bytes} bytes")
        for damage in found.damage:
            click.echo(f"     {damage}")
        whole = whole and not found.damage
    sys.exit(0 if whole else 1)


@backup.command()
@click.argument("place", type=_PATH)
@_newest
@click.option("--replace", is_flag=True, help="Take the place of the database that is there.")
@click.option("--damaged", is_flag=True, help="Take a backup in which something is missing or broken, as it is.")
def restore(place: Path, backup_id: str | None, *, replace: bool, damaged: bool) -> None:
    """Put a backup into this home. Nothing may run there; the owner's token is made anew at the next start."""
    from flyball.kernel.clock import SystemClock
    from flyball.server.backup.places import newest_backup, place_at
    from flyball.server.backup.restoring import restore_backup

    at = place_at(place)
    name = backup_id or newest_backup(at)
    made = restore_backup(
        load_settings(), at, name, replace=replace, damaged=damaged, clock=SystemClock(), tell=click.echo
    )
    click.echo(f"restored {name}: {made.chain.count} events, head {made.chain.head}")
