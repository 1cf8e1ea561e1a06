"""How the command line shows things: plain columns that `cut` and `grep` can work with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns; the header goes to standard error when nothing follows."""
    if not rows:
        click.echo("none", err=True)
        return
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def moment(ms: int) -> str:
    """Write a moment in UTC, to the minute.

    >>> moment(0)
    '1970-01-01 00:00'
    """
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M")
