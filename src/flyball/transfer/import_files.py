"""Take over the files of a run or a logged model: bytes by content first, then their names in groups, each with an event."""

from __future__ import annotations

from dataclasses import dataclass

from flyball.artifacts.entities import Blob, Entry
from flyball.artifacts.paths import clean_path
from flyball.kernel.canonical import JsonValue, digest_json
from flyball.kernel.errors import Conflict, FlyballError, InvalidInput, StoreFull
from flyball.kernel.events import Ref, ref
from flyball.transfer.entities import Imported, Kind, Place, SourceFile
from flyball.transfer.events import TransferEvent
from flyball.transfer.ports import Source
from flyball.transfer.report import Outcome, Report
from flyball.transfer.target import Target

# What a kill loses at most, and has to be read again.
GROUP_FILES = 200
GROUP_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class _Kept:
    path: str
    blob: Blob


class FileImport:
    """The files of one source. What cannot be read is reported, and tried again by the next import."""

    def __init__(self, source: Source, target: Target, report: Report) -> None:
        self._name = source.description.name
        self._files = source.files
        self._target = target
        self._report = report

    def take(self, kind: Kind, key: str, uri: str) -> None:
        """Take over the files of one run or logged model."""
        place = Place(kind=kind, key=key, uri=uri)
        found = self._list(place)
        if not found:
            return
        listing = digest_json({file.path: str(file.size_bytes) for file in found})
        known = self._target.imports.find(self._name, Kind.FILES, place.root)
        if known is not None and known.digest == listing:
            self._report.count(Kind.FILES, Outcome.UNCHANGED, len(found))
            return
        if self._take_all(place, found):
            self._note(place, listing)

    def _list(self, place: Place) -> list[SourceFile]:
        try:
            return sorted(self._files.walk(place), key=lambda file: file.path)
        except FlyballError as error:
            self._report.missing(place.root, "", reason=error.message)
            return []

    def _take_all(self, place: Place, found: list[SourceFile]) -> bool:
        whole, group, size_bytes = True, list[_Kept](), 0
        for file in found:
            kept = self._read(place, file)
            here = None if kept is None else self._target.artifacts.find(place.root, kept.path)
            if kept is None or here is not None:
                whole = kept is not None and self._is_same(place, kept, here) and whole
                continue
            group.append(kept)
            size_bytes += kept.blob.size_bytes
            if len(group) >= GROUP_FILES or size_bytes >= GROUP_BYTES:
                whole = self._bind(place, group) and whole
                group, size_bytes = [], 0
        return self._bind(place, group) and whole

    def _read(self, place: Place, file: SourceFile) -> _Kept | None:
        try:
            clean_path(file.path)
            return _Kept(file.path, self._target.artifacts.blobs.put(self._files.open(place, file.path)))
        except StoreFull:
            raise
        except FlyballError as error:
            self._report.missing(place.root, file.path, reason=error.message)
            return None

    def _is_same(self, place: Place, kept: _Kept, here: Entry | None) -> bool:
        if here is not None and here.digest == kept.blob.digest:
            self._report.count(Kind.FILES, Outcome.UNCHANGED)
            return True
        reason = "a file of this name is here with other content; it was left as it is"
        key = f"{place.root}/{kept.path}"
        self._report.trouble(Kind.FILES, key, outcome=Outcome.CONFLICT, reason=reason)
        return False

    def _bind(self, place: Place, group: list[_Kept]) -> bool:
        if not group:
            return True
        try:
            with self._target.database.transaction():
                for kept in group:
                    self._target.artifacts.bind(place.root, kept.path, blob=kept.blob)
                payload: dict[str, JsonValue] = {
                    "source": self._name,
                    "from": place.uri,
                    "files": {kept.path: kept.blob.digest for kept in group},
                }
                self._target.record(TransferEvent.FILES_ADDED, _subject(place), payload)
        except (Conflict, InvalidInput) as error:
            self._report.trouble(Kind.FILES, place.root, outcome=Outcome.CONFLICT, reason=error.message)
            return False
        self._report.count(Kind.FILES, Outcome.ADDED, len(group))
        self._report.bytes_added += sum(kept.blob.size_bytes for kept in group)
        return True

    def _note(self, place: Place, listing: str) -> None:
        record = Imported(
            source=self._name,
            kind=Kind.FILES,
            source_key=place.root,
            target_key=place.root,
            digest=listing,
            complete=True,
        )
        with self._target.database.transaction():
            self._target.imports.put(record)


def _subject(place: Place) -> Ref:
    return ref("logged-model" if place.kind is Kind.LOGGED_MODEL else "run", place.key)
