"""The verbs of the room: add rows as a version, find versions, read rows and profiles back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from flyball.artifacts.entities import Blob
from flyball.artifacts.scratch import disk_faults
from flyball.artifacts.service import Artifacts
from flyball.artifacts.streams import read_chunks
from flyball.datasets.entities import Column, DatasetEvent, DatasetVersion, check_name, schema_json
from flyball.datasets.ingestion import read_file
from flyball.datasets.normal_form import normalise, schema_of
from flyball.datasets.parquet import read_parquet, write_parquet
from flyball.datasets.ports import DatasetStore
from flyball.datasets.profile import Profile
from flyball.datasets.profiling import profile_table
from flyball.kernel.canonical import Digest, JsonValue, canonical_json, digest_json
from flyball.kernel.clock import Clock
from flyball.kernel.db import Database
from flyball.kernel.errors import NotFound
from flyball.kernel.events import Edge, EventLog, Ref

DATA_FILE = "data.parquet"
NO_CONTEXT: Mapping[str, JsonValue] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """Rows that are stored and described already, and have no number yet."""

    data: Blob
    digest: Digest
    row_count: int
    columns: tuple[Column, ...]
    profile_digest: Digest


class Datasets:
    """Dataset versions. Equal content under one name is one version, however often it is added."""

    def __init__(
        self, store: DatasetStore, artifacts: Artifacts, events: EventLog, clock: Clock, database: Database
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._events = events
        self._clock = clock
        self._database = database

    def add_table(
        self,
        name: str,
        table: pa.Table,
        *,
        source: str,
        actor: str,
        context: Mapping[str, JsonValue] = NO_CONTEXT,
        edges: Iterable[tuple[str, Ref]] = (),
    ) -> DatasetVersion:
        """Add rows as a new version; where a version of this name has the same content, return that one.

        Args:
            name: the dataset, made at its first version.
            table: rows; see `normal_form.normalise` for how they are kept.
            source: where the rows come from, for people.
            actor: who adds them.
            context: where they come from, for programs; free JSON.
            edges: lineage of the version, as (relation, thing), for example ("from", ref("window", ...)).

        Raises:
            InvalidInput: a wrong name, no rows, columns without a name of their own, a context without canonical form.
            Unsupported: a column has a type that is not kept.
            StoreFull: there is no room; nothing was added.
        """
        check_name(name)
        canonical_json(dict(context))
        content = self._store_content(normalise(table))
        links = tuple(edges)
        with self._database.transaction():
            number = self._store.next_version(name)
            existing = self._store.find_digest(content.digest, name=name)
            if existing is not None:
                self._readd(existing, source=source, actor=actor, context=context, edges=links)
                return existing
            version = self._version(name, number, content=content, source=source, context=context)
            self._store.insert(version)
            self._artifacts.bind(version.root, DATA_FILE, blob=content.data)
            self._record(DatasetEvent.VERSION_ADDED, version, actor=actor, payload=_facts(version), edges=links)
        return version

    def add_file(
        self,
        name: str,
        path: Path,
        *,
        source: str,
        actor: str,
        context: Mapping[str, JsonValue] = NO_CONTEXT,
        edges: Iterable[tuple[str, Ref]] = (),
    ) -> DatasetVersion:
        """Add the rows of a CSV or Parquet file; otherwise as `add_table`.

        Raises:
            NotFound: there is no such file.
            InvalidInput: the file is empty, damaged or ragged, or two columns have one name.
            Unsupported: it is neither CSV nor Parquet.
        """
        check_name(name)
        return self.add_table(name, read_file(path), source=source, actor=actor, context=context, edges=edges)

    def get(self, name: str, version: int) -> DatasetVersion:
        """Return a version.

        Raises:
            NotFound: there is none; the message tells the newest.
        """
        found = self._store.find(name, version)
        if found is None:
            newest = self.latest(name).version
            raise NotFound(f"dataset '{name}' has no version {version}; its newest is {newest}", field="version")
        return found

    def latest(self, name: str) -> DatasetVersion:
        """Return the newest version.

        Raises:
            NotFound: there is no dataset of that name.
        """
        found = self._store.find_latest(name)
        if found is None:
            raise NotFound(f"there is no dataset '{name}'", field="name")
        return found

    def find_digest(self, digest: Digest) -> DatasetVersion | None:
        """Return the first version that was added with this content, None when there is none."""
        return self._store.find_digest(digest)

    def table(self, name: str, version: int) -> pa.Table:
        """Return the rows of a version, checked against their digest.

        Raises:
            NotFound: there is no such version.
            Corrupted: the stored bytes are not those that were added.
        """
        with self._artifacts.blobs.fetch(self.data_digest(name, version)) as path:
            return read_parquet(path)

    def data_digest(self, name: str, version: int) -> Digest:
        """Return the digest of the Parquet file that holds the rows of a version.

        Raises:
            NotFound: there is no such version.
        """
        data = self._artifacts.get(self.get(name, version).root, DATA_FILE)
        assert data.digest is not None, "a file has a digest"
        return data.digest

    def profile(self, name: str, version: int) -> Profile:
        """Return the profile of a version.

        Raises:
            NotFound: there is no such version.
            Corrupted: the stored profile is not the one that was made.
        """
        return Profile.from_json(self._artifacts.read_json(self.get(name, version).profile_digest))

    def list(self, name: str | None = None) -> list[DatasetVersion]:
        """Return the versions of a dataset, or of all, sorted by name and number."""
        return self._store.list(name)

    def _store_content(self, table: pa.Table) -> _Content:
        columns = schema_of(table)
        with disk_faults(), tempfile.TemporaryFile() as file:
            write_parquet(table, file)
            file.seek(0)
            data = self._artifacts.blobs.put(read_chunks(file))
        return _Content(
            data=data,
            digest=content_digest(data.digest, columns),
            row_count=table.num_rows,
            columns=columns,
            profile_digest=self._artifacts.put_json(profile_table(table).to_json()),
        )

    def _version(
        self, name: str, number: int, *, content: _Content, source: str, context: Mapping[str, JsonValue]
    ) -> DatasetVersion:
        return DatasetVersion(
            name=name,
            version=number,
            digest=content.digest,
            row_count=content.row_count,
            columns=content.columns,
            profile_digest=content.profile_digest,
            source=source,
            created_ms=self._clock.now_ms(),
            context=dict(context),
        )

    def _readd(
        self,
        version: DatasetVersion,
        *,
        source: str,
        actor: str,
        context: Mapping[str, JsonValue],
        edges: tuple[tuple[str, Ref], ...],
    ) -> None:
        """Keep what is told about known rows that was not known; a mere repetition is no change."""
        known = {(edge.relation, edge.object) for edge in self._events.store.edges_from(version.ref)}
        links = tuple(link for link in edges if link not in known)
        if not links and (source, dict(context)) == (version.source, dict(version.context)):
            return
        payload: dict[str, JsonValue] = {"digest": version.digest, "source": source, "context": dict(context)}
        self._record(DatasetEvent.VERSION_READDED, version, actor=actor, payload=payload, edges=links)

    def _record(
        self,
        kind: DatasetEvent,
        version: DatasetVersion,
        *,
        actor: str,
        payload: Mapping[str, JsonValue],
        edges: tuple[tuple[str, Ref], ...],
    ) -> None:
        lineage = [Edge(subject=version.ref, relation=relation, object=thing) for relation, thing in edges]
        self._events.record(kind, actor=actor, subject=version.ref, payload=payload, edges=lineage)


def content_digest(data: Digest, columns: Iterable[Column]) -> Digest:
    """Return the identity of rows: of their Parquet file and their schema."""
    return digest_json({"data": data, "columns": schema_json(columns)})


def _facts(version: DatasetVersion) -> dict[str, JsonValue]:
    return {
        "digest": version.digest,
        "row_count": version.row_count,
        "columns": [column.name for column in version.columns],
        "profile_digest": version.profile_digest,
        "source": version.source,
        "context": dict(version.context),
    }
