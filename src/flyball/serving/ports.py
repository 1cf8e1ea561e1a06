"""The ports of serving: how a model is loaded, where a request goes, where predictions are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from flyball.serving.entities import Columns, ModelSpec, Prediction

if TYPE_CHECKING:
    import pyarrow as pa

    from flyball.serving.capture import PredictionBatch
    from flyball.serving.capture_queue import LossKind


class Runtime(Protocol):
    """A model in memory. Any number of threads may predict at once; what is given is not changed."""

    def predict(self, columns: Columns) -> Prediction:
        """Predict rows whose columns are complete, in the signature's order and of its kinds.

        Raises:
            InvalidInput: the model refuses these values (for example a category it does not know).
        """
        ...


class Flavour(Protocol):
    """A way to load models; found by name in the entry-point group `flyball.flavours`."""

    def load(self, spec: ModelSpec, *, allow_pickle: bool) -> Runtime:
        """Load the model of a folder without running anything that its files bring along, unless pickle is allowed.

        Raises:
            InvalidInput: the files do not hold what the MLmodel file says; the message names what is wrong.
            Unsupported: a format or a version that is not loaded here.
            MissingExtra: the model's library is not installed.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A version and the role in which it sees a request."""

    version: int
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who answers a request, and who only watches it."""

    answer: Pick
    shadows: tuple[Pick, ...] = ()


class Router(Protocol):
    """Choose by sticky key: pure, so that the same key gets the same choice in every process."""

    def __call__(self, key: str) -> Choice:
        """Return who sees the requests of a key."""
        ...


class PredictionCapture(Protocol):
    """Take predictions from the data plane, from any thread.

    By default no request waits for it. In durable mode it returns when what was offered is safe; whoever answers several
    requests at once offers their batches together, for one write.
    """

    def offer(self, *batches: PredictionBatch) -> bool:
        """Take batches, all or none; False, and counted, when there is no room for them.

        Raises:
            Unavailable: in durable mode, they cannot be kept: the requests must not be answered.
        """
        ...


class PredictionSink(Protocol):
    """Accept captured predictions.

    A batch may come again after a crash: rows are told apart by prediction id (and, for shadows, version), and one that is
    there already is not added twice. When `accept` returns, the rows are safe; when it raises, the caller keeps them and tries again.
    """

    def accept(self, endpoint: str, table: pa.Table) -> None:
        """Keep predictions in the schema of `capture.py`.

        Raises:
            InvalidInput: the batch will never be accepted; the caller sets it aside.
            Unavailable: a passing fault; so is every error that is no InvalidInput.
        """
        ...

    def lost(self, endpoint: str, rows: Mapping[LossKind, int]) -> None:
        """Let people know that predictions which were answered are lost, by reason; when it raises, it is told again."""
        ...
