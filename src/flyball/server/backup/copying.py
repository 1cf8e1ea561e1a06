"""Copy every row of a database into another of the same schema."""

from __future__ import annotations

from collections.abc import Mapping

from flyball.kernel.errors import Conflict
from flyball.server.backup.sql.progress import Progress, TableProgress
from flyball.server.backup.sql.side import Side, TableShape


def copy_rows(source: Side, target: Side) -> None:
    """Copy all tables inside of the caller's transactions: a snapshot of the source, a change of the target."""
    for table in source.tables():
        for rows in source.blocks(table):
            target.write(table, rows)
    _carry_numbers(source, target)
    target.check_references()


def copy_rows_in_steps(source: Side, target: Side, progress: Progress) -> None:
    """Copy all tables, a transaction a block, each with a note how far it came; go on where the notes end."""
    noted = progress.tables()
    for table in source.tables():
        _copy_table(source, target, progress, table, noted)
    with target.transaction():
        _carry_numbers(source, target)
        target.check_references()


def _copy_table(
    source: Side, target: Side, progress: Progress, table: TableShape, noted: Mapping[str, TableProgress]
) -> None:
    begun = noted.get(table.name)
    if begun is not None and begun.complete:
        return
    for rows in source.blocks(table, after=begun.last if begun is not None else None):
        with target.transaction():
            target.write(table, rows)
            progress.note(table, table.key_of(rows[-1]))
    with target.transaction():
        progress.note(table, None)


def _carry_numbers(source: Side, target: Side) -> None:
    """Let the target number its next rows as the source would: a number is never given out twice."""
    theirs = {table.name: table for table in source.tables() if table.numbered}
    for table in target.tables():
        if table.numbered and table.name in theirs:
            last = source.last_number(theirs[table.name])
            if last is not None:
                target.set_last_number(table, last)


def refuse_rows(target: Side) -> None:
    """See that a database has no rows yet.

    Raises:
        Conflict: it has; the message names tables.
    """
    filled = [table.name for table in target.tables() if not target.is_empty(table)]
    if filled:
        raise Conflict(f"the target holds rows already ({', '.join(filled[:3])}): name an empty database", field="to")
