"""The fast path: a converted model answers in place of the original, where the comparison of the two covers the rows.

Large batches may have a form of their own (`tree_bits.py`), which the same comparison covers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from flyball.serving.conversion import MATRIX
from flyball.serving.entities import Array, Columns, Matrix, Prediction, Signature
from flyball.serving.flavours.arrays import of_classes, plain_labels, stacker
from flyball.serving.flavours.onnx import Feeder, named_feeder
from flyball.serving.flavours.sessions import Session
from flyball.serving.parity import Plan
from flyball.serving.ports import Runtime
from flyball.serving.tree_bits import TreeBits

_TEXT = "O"


@dataclass(frozen=True, slots=True, kw_only=True)
class Large:
    """What answers a batch of so many rows or more in place of ONNX Runtime."""

    trees: TreeBits
    from_rows: int


class FastRuntime:
    """A converted model, and the original for rows that were no part of the comparison: with NaN or texts that it did not have.

    The original is loaded when the first of these comes; until then nothing of its library is in memory.
    """

    def __init__(
        self,
        content: bytes,
        signature: Signature,
        plan: Plan,
        *,
        large: Large | None = None,
        original: Callable[[], Runtime] | None = None,
    ) -> None:
        self._session = Session(content, wanted=(plan.output,))
        self._plan = plan
        self._large = large
        self._feed = self._feeder(signature)
        self._known = {name: frozenset(texts) for name, texts in plan.known.items()}
        self._classes = np.array(plan.classes, dtype=object if isinstance(next(iter(plan.classes), 0), str) else None)
        self._load_original = original
        self._original: Runtime | None = None
        self._loading = threading.Lock()

    def predict(self, columns: Columns) -> Prediction:
        if self._load_original is not None and not self._covers(columns):
            return self._slow(self._load_original).predict(columns)
        feeds, large = self._feed(columns), self._large
        if large is not None and len(feeds[MATRIX]) >= large.from_rows:
            return self._read(large.trees.run(feeds[MATRIX]))
        (found,) = self._session.run(feeds)
        return self._read(np.asarray(found))

    def _feeder(self, signature: Signature) -> Feeder:
        session = self._session
        if not self._plan.order:
            return named_feeder(session, {name: name for name in session.inputs})
        stack = stacker(signature, names=self._plan.order, dtype=session.inputs[MATRIX])

        def feed(columns: Columns) -> Mapping[str, Array]:
            return {MATRIX: np.ascontiguousarray(stack(columns))}

        return feed

    def _read(self, found: Array) -> Prediction:
        match self._plan.task:
            case "classes":
                return of_classes(found, self._classes)
            case "second":
                return Prediction(labels=plain_labels(found[:, -1]), scores=None)
            case _:
                return Prediction(labels=plain_labels(found), scores=None)

    def _covers(self, columns: Columns) -> bool:
        if isinstance(columns, Matrix):
            # The sum of values without NaN is none either; where it overflows, the original is asked for nothing.
            return self._plan.missing or bool(np.isfinite(columns.values_by_row.sum()))
        for name, values in columns.items():
            if values.dtype.kind == _TEXT:
                if not self._known.get(name, frozenset()).issuperset(values.tolist()):
                    return False
            elif values.dtype.kind == "f" and not self._plan.missing and np.isnan(values).any():
                return False
        return True

    def _slow(self, load: Callable[[], Runtime]) -> Runtime:
        if self._original is None:
            with self._loading:
                if self._original is None:
                    self._original = load()
        return self._original
