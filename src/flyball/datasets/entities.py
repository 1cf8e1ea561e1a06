"""What a dataset version is, and what happens to one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flyball.kernel.canonical import Digest, JsonValue
from flyball.kernel.errors import InvalidInput
from flyball.kernel.events import EventKind, Ref, ref

# A name is a part of artifact roots and lineage references (`<name>/<n>`), so it has no slash.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class DatasetEvent(EventKind):
    """What happens to datasets."""

    VERSION_ADDED = "dataset.version-added"
    VERSION_READDED = "dataset.version-readded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the schema. `type` is Arrow's name of the type; `nullable` tells whether this version has nulls in it."""

    name: str
    type: str
    nullable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVersion:
    """Rows that never change.

    `digest` is the SHA-256 of the canonical JSON of {"data": SHA-256 of the Parquet file, "columns": the schema}, so
    anybody can check it without us. `context` is free: where the rows come from, in the caller's own words.
    """

    name: str
    version: int
    digest: Digest
    row_count: int
    columns: tuple[Column, ...]
    profile_digest: Digest
    source: str
    created_ms: int
    context: Mapping[str, JsonValue]

    @property
    def ref(self) -> Ref:
        """The version's place in the lineage."""
        return ref("dataset-version", f"{self.name}/{self.version}")

    @property
    def root(self) -> str:
        """The artifact root of the version's files."""
        return f"dataset/{self.name}/{self.version}"


def check_name(name: str) -> str:
    """Accept the name of a dataset.

    Raises:
        InvalidInput: it is no such name.
    """
    if _NAME.fullmatch(name) is None:
        raise InvalidInput(
            f"{name[:200]!a} is no dataset name; use up to 128 letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit",
            field="name",
        )
    return name


def schema_json(columns: Iterable[Column]) -> list[JsonValue]:
    """Return a schema as JSON values, as the digest of a version covers it."""
    return [{"name": column.name, "type": column.type, "nullable": column.nullable} for column in columns]
