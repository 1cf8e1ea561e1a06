"""Write everything down at one moment: a Parquet file a table, the chain of events, the bytes of all files, a manifest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from importlib.resources import files as files_of
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import flyball
from flyball.artifacts import Artifacts
from flyball.kernel.canonical import Digest
from flyball.kernel.errors import Corrupted, InvalidInput, NotFound
from flyball.kernel.events import GENESIS, Event, export_events
from flyball.transfer.exports.manifest import BLOBS, EVENTS, NAME, Manifest, blob_path, read_file
from flyball.transfer.ports import Progress
from flyball.transfer.sql.exported import ExportedTable
from flyball.transfer.sql.moment import Moment

README = "README.md"
TYPES = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
BLOB_COLUMNS = pa.schema([("digest", pa.string()), ("size_bytes", pa.int64())])


class ExportWriter:
    """One export into one new folder."""

    def __init__(self, folder: Path, artifacts: Artifacts, *, progress: Progress) -> None:
        self._folder = folder
        self._artifacts = artifacts
        self._progress = progress
        self._names: list[str] = [README]
        self._missing: list[str] = []

    def write(self, moment: Moment, *, now_ms: int) -> Manifest:
        """Write all; the manifest comes last, so that a folder without one is no export.

        Raises:
            InvalidInput: the folder holds something already.
        """
        self._make_folder()
        rows = self._tables(moment)
        count, head = self._events(moment.events())
        blobs, blob_bytes = self._blobs(moment.digests())
        (self._folder / README).write_text(files_of(__package__).joinpath("folder.md").read_text("utf-8"), "utf-8")
        manifest = Manifest(
            made_ms=now_ms,
            flyball=flyball.__version__,
            files={name: _digest_of(self._folder / name) for name in sorted(self._names)},
            rows=rows,
            events=count,
            head=head,
            blobs=blobs,
            blob_bytes=blob_bytes,
            missing_blobs=tuple(self._missing),
            left_out=moment.left_out(),
        )
        self._seal(manifest)
        return manifest

    def _make_folder(self) -> None:
        if self._folder.exists() and (not self._folder.is_dir() or any(self._folder.iterdir())):
            raise InvalidInput(f"{self._folder} holds something already; name a new folder", field="folder")
        self._folder.mkdir(parents=True, exist_ok=True)

    def _tables(self, moment: Moment) -> dict[str, int]:
        rows: dict[str, int] = {}
        for exported, batches in moment.tables():
            self._progress.begin(exported.name, total=None)
            rows[exported.name] = self._table(exported, batches)
        return rows

    def _table(self, exported: ExportedTable, batches: Iterable[list[tuple[object, ...]]]) -> int:
        schema = pa.schema([(name, TYPES[kind]) for name, kind in exported.columns.items()])
        count = 0
        with pq.ParquetWriter(self._add(f"{exported.name}.parquet"), schema, compression="zstd") as file:
            for batch in batches:
                columns = zip(*batch, strict=True)
                arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
                file.write_table(pa.table(arrays, schema=schema))
                count += len(batch)
                self._progress.advance(len(batch))
        return count

    def _events(self, chain: Iterator[Event]) -> tuple[int, str]:
        count, head = 0, GENESIS
        with self._add(EVENTS).open("wb") as file:
            for event in chain:
                file.writelines(export_events([event]))
                count, head = count + 1, event.digest
        return count, head

    def _blobs(self, batches: Iterable[list[str]]) -> tuple[int, int]:
        self._progress.begin("files", total=None)
        count = size_bytes = 0
        with pq.ParquetWriter(self._add(BLOBS), BLOB_COLUMNS, compression="zstd") as file:
            for batch in batches:
                sizes = {digest: self._blob(Digest(digest)) for digest in batch if digest}
                kept = {digest: size for digest, size in sizes.items() if size is not None}
                file.write_table(pa.table([list(kept), list(kept.values())], schema=BLOB_COLUMNS))
                count, size_bytes = count + len(kept), size_bytes + sum(kept.values())
        return count, size_bytes

    def _blob(self, digest: Digest) -> int | None:
        """Copy the bytes of a digest, checked while they pass; None, noted, where the store lost or damaged them."""
        path = blob_path(self._folder, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        size_bytes = 0
        try:
            with path.open("wb") as file:
                for chunk in self._artifacts.blobs.open(digest):
                    size_bytes += file.write(chunk)
        except (NotFound, Corrupted):
            path.unlink(missing_ok=True)
            self._missing.append(digest)
            return None
        self._progress.advance()
        return size_bytes

    def _add(self, name: str) -> Path:
        self._names.append(name)
        return self._folder / name

    def _seal(self, manifest: Manifest) -> None:
        draft = self._folder / f"{NAME}.new"
        with draft.open("w", encoding="utf-8") as file:
            json.dump(manifest.content(), file, indent=2, ensure_ascii=False, sort_keys=True)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._folder / NAME)


def _digest_of(path: Path) -> str:
    seen = hashlib.sha256()
    for chunk in read_file(path):
        seen.update(chunk)
    return seen.hexdigest()
