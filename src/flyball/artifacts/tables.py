"""Table of artifact names."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table, Text

from flyball.kernel.db import metadata

# Folders are ranges of paths, so paths must compare by code point; PostgreSQL's default order depends on the locale.
_path = Text().with_variant(Text(collation="C"), "postgresql")

artifact_names = Table(
    "artifact_names",
    metadata,
    Column("root", Text, primary_key=True),
    Column("path", _path, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
)
