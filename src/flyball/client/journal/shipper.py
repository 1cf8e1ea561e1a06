"""Ship one journal: piece by piece, in order, files before the records that name them; what is shipped frees its space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from urllib.parse import urlencode

import msgspec

from flyball.client.client import Client
from flyball.client.journal.folder import JournalFolder, forget, recall
from flyball.client.journal.reader import Piece, Reader
from flyball.client.paths import api
from flyball.kernel.errors import Conflict, InvalidInput, LimitExceeded, NotFound, Unsupported
from flyball.wire.v1 import frames
from flyball.wire.v1 import journals as shapes

MOST_TOLD = 3
"""Reasons of one shipment that are said on the terminal; all are in the file."""
_FINAL_FOR_FILE = (InvalidInput, LimitExceeded, Unsupported, Conflict)


class Step(StrEnum):
    """How an attempt to ship ended."""

    SHIPPED = "shipped"
    WAITING = "waiting"
    DONE = "done"


@dataclass(slots=True, kw_only=True)
class Tally:
    """What shipping did."""

    records: int = 0
    files: int = 0
    file_bytes: int = 0
    refused: int = 0
    waits_for: str = ""


class Shipper:
    """Ship a journal of which this process holds the right to. Not for several threads at once."""

    def __init__(
        self,
        folder: JournalFolder,
        reader: Reader,
        client: Client,
        *,
        tell: Callable[[str], None],
        resolved: Callable[[str, shapes.Resolved], None] = lambda _key, _found: None,
        file_done: Callable[[str], None] = lambda _sha256: None,
    ) -> None:
        self._folder = folder
        self._reader = reader
        self._client = client
        self._tell = tell
        self._on_resolved = resolved
        self._on_file_done = file_done
        self._path = ("journals", folder.origin.journal)
        self._applied: int | None = None
        self._told: set[str] = set()
        self.tally = Tally()

    @property
    def applied(self) -> int:
        """The last sequence that the server is known to have carried out."""
        return self._applied or 0

    def step(self) -> Step:
        """Ship the next piece.

        Raises:
            FlyballError: the server is away, or does not take it; nothing is lost, and the same step may be tried again.
        """
        if self._applied is None:
            self._applied = self._client.call("GET", api(*self._path), response=shapes.JournalState).applied
            self._reader.seek(self._applied + 1)
        piece = self._reader.piece()
        if piece is None:
            return Step.DONE
        if piece.last <= self._applied:
            self._reader.skip(piece)
            return Step.SHIPPED
        if piece.file is not None and not self._send_file(piece.file):
            return Step.WAITING
        return self._send(piece, missing="wait")

    def _send(self, piece: Piece, *, missing: str) -> Step:
        assert self._applied is not None
        query: dict[str, object] = {"first": piece.first, "missing": missing}
        if piece.first > self._applied + 1:
            query["gap"] = piece.damage or "the server has forgotten records that were shipped, and freed, before"
            self._tell(
                f"records {self._applied + 1} to {piece.first - 1} of {self._folder.path} are lost: {query['gap']}"
            )
        path = api(*self._path, "records") + "?" + urlencode(query)
        try:
            answer = self._client.send("POST", path, piece.body, response=shapes.Shipped)
        except Conflict:
            self._applied = None  # the server knows less than it did: it was restored from a backup, or is another one
            raise
        self._take(piece, answer)
        if not answer.missing:
            self.tally.waits_for = ""
            return Step.SHIPPED
        return self._wait_or_refuse(answer.missing)

    def _take(self, piece: Piece, answer: shapes.Shipped) -> None:
        """Note how far the server has come."""
        if answer.refused:
            self._keep_refused(answer.refused, piece)
        for key, found in answer.resolved.items():
            forget(self._folder.root, key)
            self._on_resolved(key, found)
        self.tally.records += answer.applied - max(self.applied, piece.first - 1)
        self._applied = answer.applied
        self._reader.skip(piece, until=answer.applied)
        if answer.applied >= piece.last:
            self._free(piece, kept=bool(answer.refused))

    def _wait_or_refuse(self, missing: str) -> Step:
        """Wait where another journal of this folder brings what is missing; else nobody ever will."""
        waiting = self._reader.piece()
        assert waiting is not None
        alike = _of_the_same(waiting)
        if any(recall(self._folder.root, key) is not None for key in ids_of(alike[0])):
            self.tally.waits_for = missing
            return Step.WAITING
        end = list(frames.ends_of(waiting.body))[len(alike) - 1]
        body = waiting.body[:end]
        refused = Piece(first=waiting.first, count=len(alike), body=body, file=waiting.file, damage="")
        return self._send(refused, missing="refuse")

    def _send_file(self, file: shapes.File) -> bool:
        """Send the bytes of a file; False where its run is not there yet. A file that cannot be kept is left to its record."""
        noun = "runs" if file.owner == "run" else "logged-models"
        path = api(noun, file.owner_id, "files") + "?" + urlencode({"path": file.path, "sha256": file.sha256})
        try:
            with (self._folder.files / file.sha256).open("rb") as content:
                self._client.send("PUT", path, content, response=shapes.FileKept)
        except NotFound:
            if recall(self._folder.root, file.owner_id) is not None:
                self.tally.waits_for = f"{file.owner} {file.owner_id}"
                return False
        except (FileNotFoundError, *_FINAL_FOR_FILE) as error:
            self._tell(f"the file '{file.path}' of {file.owner} {file.owner_id} was not taken: {error}")
        else:
            self.tally.files += 1
            self.tally.file_bytes += file.size_bytes
        return True

    def _keep_refused(self, refused: Sequence[shapes.Refused], piece: Piece) -> None:
        """Keep what was refused, and say so; not again for the same reason while it goes on."""
        records = list(frames.records_in(piece.body))
        with self._folder.refused.open("ab") as file:
            for refusal in refused:
                record = shapes.decode(records[refusal.sequence - piece.first])
                if isinstance(record, shapes.MakeRun | shapes.MakeModel):
                    forget(self._folder.root, record.run_id if isinstance(record, shapes.MakeRun) else record.model_id)
                line = {
                    "sequence": refusal.sequence,
                    "code": refusal.code,
                    "message": refusal.message,
                    "record": record,
                }
                file.write(msgspec.json.encode(line) + b"\n")
        self.tally.refused += len(refused)
        fresh = dict.fromkeys(one.message for one in refused if one.message not in self._told)
        for message in list(fresh)[:MOST_TOLD]:
            self._tell(f"the server refused a record, which is kept in {self._folder.refused}: {message}")
        self._told.update(fresh)

    def _free(self, piece: Piece, *, kept: bool) -> None:
        """Free what is shipped; the bytes of a file whose record was refused are kept with it."""
        for segment in self._reader.done_segments():
            segment.path.unlink(missing_ok=True)
        if piece.file is not None and not kept:
            self._on_file_done(piece.file.sha256)


def _of_the_same(piece: Piece) -> list[shapes.Record]:
    """Return the records from the first on that are about the same runs and models."""
    records = map(shapes.decode, frames.records_in(piece.body))
    first = next(records)
    return [first, *takewhile(lambda record: ids_of(record) == ids_of(first), records)]


def ids_of(record: shapes.Record) -> set[str]:
    """Return the runs and logged models that must be there before a record can be carried out."""
    names = ("run_id", "model_id", "source_run_id", "owner_id")
    found = {str(getattr(record, name)) for name in names if getattr(record, name, "")}
    if isinstance(record, shapes.Batch):
        found |= {point.model_id for point in record.points if point.model_id}
    if isinstance(record, shapes.Inputs):
        found |= set(record.model_ids)
    if isinstance(record, shapes.Outputs):
        found |= {model_id for model_id, _step in record.models}
    return found
