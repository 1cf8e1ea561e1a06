"""A checksum of a table that is the same on every kind of database that holds the same rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from flyball.kernel.canonical import Digest
from flyball.server.backup.sql.side import Row, Side

# A MessagePack array says its length first: in one byte up to here, else in three (up to 65,535 rows, more than a block has).
_SHORT_ARRAY = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSum:
    """How many rows a table has, and the SHA-256 of their values.

    It goes over the rows in the order of the primary key, each as a MessagePack array of its typed values: a float is its
    eight bytes, a whole number has one form, text is UTF-8.
    """

    rows: int
    digest: Digest


def sum_rows(blocks: Iterable[Sequence[Row]]) -> TableSum:
    """Sum up rows; how they are cut into blocks makes no difference."""
    tally, count = hashlib.sha256(), 0
    encode = msgspec.msgpack.Encoder().encode
    for rows in blocks:
        packed = encode(rows)
        tally.update(memoryview(packed)[1 if len(rows) <= _SHORT_ARRAY else 3 :])
        count += len(rows)
    return TableSum(rows=count, digest=Digest(tally.hexdigest()))


def sum_tables(side: Side) -> Mapping[str, TableSum]:
    """Sum up every table of a database."""
    return {table.name: sum_rows(side.blocks(table)) for table in side.tables()}
