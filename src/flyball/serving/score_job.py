"""A batch job that can be interrupted: finished parts stay, and are only built upon while model and input are the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from flyball.kernel.canonical import Digest, digest_json
from flyball.kernel.errors import Conflict, Corrupted, InvalidInput
from flyball.kernel.runners import PartRunner
from flyball.serving.isolation.rules import IsolationRules
from flyball.serving.score_capture import CaptureOrder
from flyball.serving.score_input import CSV, PARQUET, Part, cut_parts, find_files
from flyball.serving.score_model import digest_of
from flyball.serving.score_part import DRAFT, PartDone, check_kept, part_file, sync_file
from flyball.serving.score_work import ScoreOrder, done_of, piece_of

MANIFEST = "manifest.json"
DONE = "done.jsonl"
PARTS_SUFFIX = ".parts"
# What may not differ where a job goes on, in words.
_IDENTITY = {
    "model_digest": "model",
    "files": "input",
    "keep": "kept columns",
    "part_rows": "rows of a part",
    "capture": "capture",
}


class InputFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file as it was when the job began."""

    path: str
    size_bytes: int
    digest: str


class CaptureTo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose prediction log gets the rows, as what version; the columns of their ids and times (empty: made here)."""

    endpoint: str
    version: int
    id_column: str = ""
    time_column: str = ""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a job is: a later run with the same manifest goes on with it."""

    model: str
    model_digest: str
    files: tuple[InputFile, ...]
    keep: tuple[str, ...]
    part_rows: int
    capture: CaptureTo | None = None

    @property
    def digest(self) -> Digest:
        """The identity of the job."""
        return digest_json(msgspec.to_builtins(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is asked for. `output` ends in .parquet or .csv for one file; else it is a folder of parts.

    `input_name` is what the input is called where it lies here for the time being only, as a dataset version does.
    """

    model_folder: Path
    model: str
    model_digest: str
    input: Path
    output: Path
    keep: tuple[str, ...] = ()
    part_rows: int = 100_000
    workers: int = 1
    allow_pickle: bool = False
    isolation: IsolationRules | None = None
    input_name: str = ""
    capture: CaptureTo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A job whose parts are all there, before they are put together: what it was, its rows, and the digest of its answers."""

    manifest: Manifest
    folder: Path
    rows: int
    output_digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a job made; `kept_parts` were there from a run before."""

    rows: int
    parts: int
    kept_parts: int


Progress = Callable[[int, int], None]
"""Told how many parts are done, and of how many."""
Announce = Callable[[Done], None]
"""Told once when all parts are there; when it raises, the parts stay and the job is to be run again."""


def run_job(
    task: Task,
    runner: PartRunner,
    *,
    progress: Progress = lambda _done, _total: None,
    announce: Announce = lambda _done: None,
) -> Scored:
    """Score everything that is not scored yet, and put the output together.

    Raises:
        InvalidInput: input, model or options do not fit; the message names file, row and column.
        Conflict: the output is there, or belongs to a job with another model, input or options.
    """
    check_kept(task.keep)
    single = task.output.suffix in {PARQUET, CSV}
    folder = task.output.with_name(task.output.name + PARTS_SUFFIX) if single else task.output
    if single and task.output.exists():
        raise Conflict(f"{task.output} exists; remove it, or name another output", field="output")
    files = find_files(task.input)
    manifest = _manifest(task, files)
    _open_folder(folder, manifest)
    parts = list(cut_parts(files, part_rows=task.part_rows))
    done = _read_done(folder)
    kept = frozenset(done)
    progress(len(kept), len(parts))
    order = ScoreOrder(
        model=str(task.model_folder.absolute()),
        folder=str(folder.absolute()),
        keep=task.keep,
        allow_pickle=task.allow_pickle,
        isolation=task.isolation,
        capture=_capture(manifest),
    )
    missing = (piece_of(part) for part in parts if part.number not in kept)
    with (folder / DONE).open("ab") as record:
        for one in map(done_of, runner.run(order.work, missing, workers=task.workers)):
            record.write(msgspec.json.encode(one) + b"\n")
            record.flush()
            os.fsync(record.fileno())
            done[one.number] = one
            progress(len(done), len(parts))
    for left in folder.glob(f"*-*{DRAFT}"):
        left.unlink()
    _refuse_changes(manifest, files)
    rows = sum(one.rows for one in done.values())
    answers = digest_json([done[part.number].digest for part in parts])
    announce(Done(manifest=manifest, folder=folder, rows=rows, output_digest=answers))
    if single:
        _join(folder, parts, task.output)
    return Scored(rows=rows, parts=len(parts), kept_parts=len(kept))


def _capture(manifest: Manifest) -> CaptureOrder | None:
    asked = manifest.capture
    if asked is None:
        return None
    return CaptureOrder(
        endpoint=asked.endpoint,
        job=manifest.digest,
        version=asked.version,
        version_digest=manifest.model_digest,
        id_column=asked.id_column,
        time_column=asked.time_column,
    )


def _manifest(task: Task, files: Sequence[Path]) -> Manifest:
    listed = [
        InputFile(path=task.input_name or str(path), size_bytes=path.stat().st_size, digest=digest_of(path))
        for path in files
    ]
    return Manifest(
        model=task.model,
        model_digest=task.model_digest,
        files=tuple(listed),
        keep=task.keep,
        part_rows=task.part_rows,
        capture=task.capture,
    )


def _open_folder(folder: Path, manifest: Manifest) -> None:
    """Begin a job, or go on with one that is the same."""
    path = folder / MANIFEST
    if not path.exists():
        if folder.exists() and any(folder.iterdir()):
            raise Conflict(f"{folder} is not empty, and holds no job; name another output", field="output")
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        sync_file(draft)
        draft.replace(path)
        return
    try:
        before = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.MsgspecError as error:
        raise Conflict(f"{path} is no manifest of a job; name another output", field="output") from error
    for name, what in _IDENTITY.items():
        if getattr(before, name) != getattr(manifest, name):
            raise Conflict(
                f"{folder} holds a job with another {what}; remove it to begin anew, or name another output", field=name
            )


def _read_done(folder: Path) -> dict[int, PartDone]:
    """Return the parts that are done and whose files are as they were written; a torn last line is none."""
    path = folder / DONE
    done: dict[int, PartDone] = {}
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            one = msgspec.json.decode(line, type=PartDone)
        except msgspec.MsgspecError:
            continue
        file = part_file(folder, one.number)
        if file.exists() and digest_of(file) == one.digest:
            done[one.number] = one
    if path.exists():
        content = path.read_bytes()
        if content and not content.endswith(b"\n"):
            path.write_bytes(content[: content.rfind(b"\n") + 1])
    return done


def _refuse_changes(manifest: Manifest, files: Sequence[Path]) -> None:
    for file, path in zip(manifest.files, files, strict=True):
        if not path.exists() or path.stat().st_size != file.size_bytes or digest_of(path) != file.digest:
            raise Corrupted(f"{file.path} was changed while it was scored; remove the output and score it again")


def _join(folder: Path, parts: Sequence[Part], output: Path) -> None:
    """Write the parts to one file in their order, then remove them."""
    if not parts:
        raise InvalidInput("there are no rows to score", field="input")
    first = pq.read_schema(part_file(folder, 0))
    draft = output.with_name(output.name + ".draft")
    opened = (
        pa_csv.CSVWriter(draft, first) if output.suffix == CSV else pq.ParquetWriter(draft, first, compression="zstd")
    )
    with opened as writer:
        for part in parts:
            writer.write_table(pq.read_table(part_file(folder, part.number), partitioning=None).cast(first))
    sync_file(draft)
    draft.replace(output)
    for path in [*(part_file(folder, part.number) for part in parts), folder / DONE, folder / MANIFEST]:
        path.unlink()
    folder.rmdir()
