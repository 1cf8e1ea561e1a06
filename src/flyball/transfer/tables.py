"""Table of transfer: what came from where."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, String, Table, Text

from flyball.kernel.db import metadata

# The digest is that of the content at the source, so that a second import can tell "the same" from "changed meanwhile".
# A thing that is not complete was broken off, and is taken up again by the next import from the same source.
imported_things = Table(
    "imported_things",
    metadata,
    Column("source", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("source_key", Text, primary_key=True),
    Column("target_key", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("complete", Boolean, nullable=False),
    Index("ix_imported_things_kind_target_key", "kind", "target_key"),
)
