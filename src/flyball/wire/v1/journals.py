"""Shapes of the journal: the records that a training process writes, and what shipping them asks and answers.

A record is a MessagePack array whose first element says its kind. The file of a journal and the body of a request hold the
same frames (see `frames`), so shipping copies bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from flyball.kernel.errors import InvalidInput
from flyball.wire.v1 import Body, Shape, Whole

Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Pairs: TypeAlias = tuple[tuple[str, str], ...]
MAX_SHIPMENT_BYTES = 40 << 20
"""Largest body of one shipment: room for the largest record, and for many small ones."""


class Row(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A value inside a record."""


class Point(Row, tag="p"):
    """One point of a metric."""

    run_id: str
    key: str
    value: float
    timestamp_ms: Int64
    step: Int64 = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class Measured(Row):
    """One point of a metric in a batch."""

    key: str
    value: float
    timestamp_ms: Int64
    step: Int64 = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class Batch(Row, tag="b"):
    """Points, params and tags that belong together."""

    run_id: str
    points: tuple[Measured, ...] = ()
    params: Pairs = ()
    tags: Pairs = ()


class MakeRun(Row, tag="c"):
    """A run begins. The experiment is named by its id, or by its name where the id is not known yet."""

    run_id: str
    experiment_id: str
    experiment_name: str
    name: str
    user_id: str
    start_ms: Int64
    tags: Pairs = ()


class ChangeRun(Row, tag="u"):
    """Status, end or name of a run."""

    run_id: str
    status: Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"] | None
    end_ms: Int64 | None
    name: str


class DropTag(Row, tag="d"):
    """A tag of a run is taken away."""

    run_id: str
    key: str


class DatasetRow(Row):
    """A dataset that a run read, with its tags."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str
    profile: str
    tags: Pairs


class Inputs(Row, tag="i"):
    """What a run read."""

    run_id: str
    datasets: tuple[DatasetRow, ...] = ()
    model_ids: tuple[str, ...] = ()


class Outputs(Row, tag="o"):
    """The models that a run made, each with its step."""

    run_id: str
    models: tuple[tuple[str, Int64], ...]


class MakeModel(Row, tag="m"):
    """A logged model begins."""

    model_id: str
    experiment_id: str
    experiment_name: str
    name: str
    model_type: str
    source_run_id: str
    params: Pairs = ()
    tags: Pairs = ()


class FinishModel(Row, tag="f"):
    """The files of a logged model are complete, or will never be."""

    model_id: str
    status: Literal["READY", "FAILED"]


class ModelTexts(Row, tag="t"):
    """Tags and params of a logged model."""

    model_id: str
    tags: Pairs = ()
    params: Pairs = ()


class DropModelTag(Row, tag="x"):
    """A tag of a logged model is taken away."""

    model_id: str
    key: str


class File(Row, tag="a"):
    """A file of a run or a logged model, whose bytes are sent before this record is."""

    owner: Literal["run", "model"]
    owner_id: str
    path: str
    sha256: str
    size_bytes: Whole


class MakeExperiment(Row, tag="e"):
    """An experiment is wanted; one that is there already stays as it is."""

    name: str
    location: str
    tags: Pairs = ()


RunRecord: TypeAlias = MakeRun | ChangeRun | DropTag | Inputs | Outputs
ModelRecord: TypeAlias = MakeModel | FinishModel | ModelTexts | DropModelTag
OtherRecord: TypeAlias = File | MakeExperiment
Record: TypeAlias = Point | Batch | RunRecord | ModelRecord | OtherRecord
FILE_MARK = b"\xa1a"
"""How the kind `File` looks in the encoded record, behind the byte that says how long the array is."""
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def decode(record: bytes) -> Record:
    """Read a record.

    Raises:
        InvalidInput: it is none that this release knows.
    """
    try:
        return _decoder.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"a record is none that this release knows: {error}", field="body") from error


def is_file(record: bytes | memoryview) -> bool:
    """Tell whether an encoded record is one of a file, without reading all of it.

    >>> is_file(msgspec.msgpack.encode(File("run", "0" * 32, "a.txt", "0" * 64, 3)))
    True
    """
    return bytes(record[1:3]) == FILE_MARK


class ShipQuery(Body):
    """Where in its journal a shipment begins.

    `missing` says what becomes of a record about a run or model that is not there: wait for it, or refuse the record. `gap` is
    the reason why records before `first` will never come, where that is so.
    """

    first: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    missing: Literal["wait", "refuse"] = "wait"
    gap: Annotated[str, msgspec.Meta(max_length=500)] = ""


class Refused(Shape):
    """A record that could not be carried out, and never will be."""

    sequence: int
    code: str
    message: str


class Resolved(Shape):
    """What the server knows of a run or logged model that a shipment made."""

    experiment_id: str
    artifact_uri: str


class Shipped(Shape):
    """How far the journal is carried out; `missing` names what the next record waits for."""

    applied: int
    refused: list[Refused] = msgspec.field(default_factory=list)
    missing: str = ""
    resolved: dict[str, Resolved] = msgspec.field(default_factory=dict)


class JournalState(Shape):
    """How far a journal is carried out."""

    applied: int


class FileQuery(Body):
    """Which file of a run or a logged model the bytes are."""

    path: Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class FileKept(Shape):
    """The file is stored."""

    sha256: str
    size_bytes: int
