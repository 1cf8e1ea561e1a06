"""Keep what steps return and print, check what was kept earlier, and put the run's result together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from flyball.artifacts.entities import Blob
from flyball.artifacts.service import Artifacts
from flyball.kernel.canonical import JsonValue, canonical_json
from flyball.kernel.errors import Corrupted, LimitExceeded, NotFound
from flyball.pipelines.entities import Value, ValueKind
from flyball.pipelines.exchange import Argument, Fields, FromDataset, FromStep, Items, Literal

_CHUNK_BYTES = 1 << 20


class Outputs:
    """The values of one attempt. `beat` is called between chunks, for large values take long."""

    def __init__(self, artifacts: Artifacts, *, beat: Callable[[], None]) -> None:
        self._artifacts = artifacts
        self._beat = beat

    def keep(self, path: Path, kind: ValueKind) -> Value:
        """Store the file that a step left as its value."""
        blob = self._artifacts.blobs.put(self._chunks(path))
        return Value(kind=kind, digest=blob.digest, size_bytes=blob.size_bytes)

    def keep_log(self, log: bytes) -> Blob | None:
        """Store what was printed; None where nothing was."""
        return self._artifacts.blobs.put([log]) if log else None

    def intact(self, value: Value) -> bool:
        """Tell whether the bytes of a kept value are there and are the same, by reading them."""
        try:
            for _chunk in self._artifacts.blobs.open(value.digest):
                self._beat()
        except (NotFound, Corrupted):
            return False
        return True

    def result(self, returned: Argument, values: Sequence[Value], *, limit_bytes: int) -> JsonValue:
        """Build the run's result: JSON outputs as they are, tables and bytes by kind and digest.

        Raises:
            LimitExceeded: it is larger than a run may keep.
        """
        result = self._result(returned, values)
        size = len(canonical_json(result))
        if size > limit_bytes:
            raise LimitExceeded(
                f"the pipeline returned {size} bytes of JSON, and {limit_bytes} are kept with a run; "
                "return the numbers that matter, and leave the rest in the outputs of steps"
            )
        return result

    def _result(self, returned: Argument, values: Sequence[Value]) -> JsonValue:
        match returned:
            case Literal():
                literal: JsonValue = returned.value
                return literal
            case FromStep():
                value = values[returned.position]
                return self._artifacts.read_json(value.digest) if value.kind is ValueKind.JSON else value.to_json()
            case FromDataset():
                return {"dataset": returned.dataset, "digest": returned.digest}
            case Items():
                return [self._result(item, values) for item in returned.items]
            case Fields():
                return {key: self._result(member, values) for key, member in returned.fields.items()}
            case _:
                return {"file": returned.path}

    def _chunks(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                self._beat()
                yield chunk
