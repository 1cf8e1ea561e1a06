"""Put the inputs of a step into files that its process can read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from flyball.artifacts.ports import BlobStore
from flyball.kernel.errors import Unsupported
from flyball.pipelines.entities import Value, ValueKind
from flyball.pipelines.exchange import Argument, Fields, FromDataset, FromFile, FromStep, Items
from flyball.pipelines.ports import DatasetResolver
from flyball.pipelines.values import write_value


class InputFiles:
    """The files of one attempt; each value is fetched once, and only when a step that needs it really runs."""

    def __init__(self, blobs: BlobStore, resolver: DatasetResolver | None, *, folder: Path, lent: ExitStack) -> None:
        self._blobs = blobs
        self._resolver = resolver
        self._folder = folder
        self._lent = lent
        self._files: dict[Value | FromDataset, FromFile] = {}

    def place(self, argument: Argument, outputs: Sequence[Value]) -> Argument:
        """Return the argument with every output and dataset replaced by a file.

        Raises:
            NotFound: a value or a dataset is gone.
            Corrupted: its bytes are not those of its digest.
            Unsupported: a dataset is asked for, and nothing here can resolve one.
        """
        match argument:
            case FromStep():
                return self._value(outputs[argument.position])
            case FromDataset():
                return self._dataset(argument)
            case Items():
                return Items(tuple(self.place(item, outputs) for item in argument.items))
            case Fields():
                return Fields({key: self.place(member, outputs) for key, member in argument.fields.items()})
            case _:
                return argument

    def _value(self, value: Value) -> FromFile:
        if value not in self._files:
            path = self._lent.enter_context(self._blobs.fetch(value.digest))
            self._files[value] = FromFile(kind=value.kind.value, path=str(path))
        return self._files[value]

    def _dataset(self, wanted: FromDataset) -> FromFile:
        if wanted not in self._files:
            if self._resolver is None:
                raise Unsupported(f"this process cannot read datasets, and the pipeline asks for '{wanted.dataset}'")
            table = self._resolver({"dataset": wanted.dataset, "digest": wanted.digest})
            path = self._folder / f"dataset-{len(self._files)}"
            write_value(table, ValueKind.TABLE, path)
            self._files[wanted] = FromFile(kind=ValueKind.TABLE.value, path=str(path))
        return self._files[wanted]
