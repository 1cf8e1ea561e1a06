"""Score one part: read it, hold it to the signature, predict, and write the answer whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from flyball.kernel.errors import FlyballError, InvalidInput
from flyball.serving.score import answers_of, columns_of
from flyball.serving.score_capture import CaptureOrder, captured_file, record_of
from flyball.serving.score_input import Part, read_part
from flyball.serving.score_model import digest_of
from flyball.serving.served_model import ServedModel

DRAFT = ".draft"
_ROW = re.compile(r"\brow (\d+)\b")


class PartDone(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part that is scored: its rows, and the digest of the file that holds them."""

    number: int
    rows: int
    digest: str


def part_file(folder: Path, number: int) -> Path:
    """Return where the answers of a part lie."""
    return folder / f"part-{number:06d}.parquet"


def score_part(
    model: ServedModel, part: Part, folder: Path, *, keep: Sequence[str], capture: CaptureOrder | None = None
) -> PartDone:
    """Write the answers of a part into a folder, and before them what of it is for a prediction log.

    Raises:
        InvalidInput: the rows do not fit the model; the message names file, row (counted from 1, without the header) and column.
    """
    begun_s = time.monotonic()
    try:
        table = read_part(part, model.signature, keep=[*keep, *(capture.columns if capture else ())])
        columns = columns_of(model, table)
        prediction = model.predict_rows(columns)
        answers = answers_of(prediction, rows=table.num_rows)
        if capture is not None:
            latency_ms = (time.monotonic() - begun_s) * 1_000
            record = record_of(capture, table, columns, prediction, part=part.number, latency_ms=latency_ms)
            _write(record, captured_file(folder, part.number))
    except FlyballError as error:
        raise type(error)(_in_file(error.message, part), field=error.field) from error
    written = {name: table.column(name) for name in keep} | {
        name: answers.column(name) for name in answers.column_names
    }
    target = part_file(folder, part.number)
    _write(pa.table(written), target)
    return PartDone(number=part.number, rows=table.num_rows, digest=digest_of(target))


def _write(table: pa.Table, target: Path) -> None:
    """Write a file whole and durable, or not at all."""
    # A name of its own: where a worker only seems to be lost, another one does the same part beside it.
    draft = target.with_suffix(f".{secrets.token_hex(8)}{DRAFT}")
    pq.write_table(table, draft, compression="zstd")
    sync_file(draft)
    draft.replace(target)


def check_kept(keep: Sequence[str]) -> None:
    """Refuse names that the answers have themselves.

    Raises:
        InvalidInput: a kept column would stand beside an answer of its name.
    """
    for name in keep:
        if name in {"prediction", "score"}:
            raise InvalidInput(f"column '{name}' cannot be kept: the output has one of its own", field="keep")


def _in_file(message: str, part: Part) -> str:
    counted = _ROW.sub(lambda found: f"row {int(found.group(1)) + part.first_row + 1}", message)
    return f"{part.path}: {counted}"


def sync_file(path: Path) -> None:
    """Make the bytes of a file durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
