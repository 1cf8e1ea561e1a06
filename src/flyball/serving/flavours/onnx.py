"""The ONNX flavour: graphs of operators, run by ONNX Runtime. A graph holds no code; operators of one's own are not loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flyball.kernel.errors import InvalidInput
from flyball.serving.entities import Array, Columns, ModelSpec, Prediction, Signature
from flyball.serving.flavours.arrays import of_classes, plain_labels, prediction_of, stacker
from flyball.serving.flavours.files import model_file, refuse_code
from flyball.serving.flavours.sessions import Session

_MATRIX = 2
Feeder = Callable[[Columns], Mapping[str, Array]]


class OnnxFlavour:
    """Load ONNX models that MLflow saved."""

    def load(self, spec: ModelSpec, *, allow_pickle: bool) -> OnnxRuntime:  # noqa: ARG002 -- nothing here is pickled
        refuse_code(spec)
        return OnnxRuntime(Session(model_file(spec, "data")), spec.signature)


class OnnxRuntime:
    """A session that is fed as the signature says.

    A single input takes all columns as a matrix, or the one tensor; several inputs take the columns or tensors of their names.
    """

    def __init__(self, session: Session, signature: Signature) -> None:
        self._session = session
        self._feed = feeder(session, signature)

    def predict(self, columns: Columns) -> Prediction:
        return read_outputs(self._session.outputs, self._session.run(self._feed(columns)))


def feeder(session: Session, signature: Signature) -> Feeder:
    """Decide once how columns become the session's inputs.

    Raises:
        InvalidInput: the signature has other columns than the model has inputs.
    """
    single = next(iter(session.inputs))
    if len(session.inputs) == 1 and signature.inputs[0].tensor is None and single not in signature.names:
        return _matrix_feeder(session, signature, single)
    if len(session.inputs) == 1 == len(signature.inputs):
        return named_feeder(session, {single: signature.inputs[0].name})
    differing = sorted(set(session.inputs) ^ set(signature.names))
    if differing:
        raise InvalidInput(
            f"signature and model disagree about the inputs: {', '.join(differing)}; log the model again with a signature "
            "whose names are those of the model's inputs",
            field="signature",
        )
    return named_feeder(session, {name: name for name in session.inputs})


def _matrix_feeder(session: Session, signature: Signature, name: str) -> Feeder:
    width = session.widths[name]
    if session.ranks[name] != _MATRIX or width not in {0, len(signature.inputs)}:
        raise InvalidInput(
            f"the signature has {len(signature.inputs)} columns, the model's input '{name}' takes {width or 'no matrix'}",
            field="signature",
        )
    stack = stacker(signature, dtype=session.inputs[name])

    def feed(columns: Columns) -> Mapping[str, Array]:
        return {name: np.ascontiguousarray(stack(columns))}

    return feed


def named_feeder(session: Session, columns_by_input: Mapping[str, str]) -> Feeder:
    """Return what feeds each input with the column or tensor of a name, a column as a matrix of width one where that is wanted."""
    plan = [(name, column, session.inputs[name], session.ranks[name]) for name, column in columns_by_input.items()]

    def feed(columns: Columns) -> Mapping[str, Array]:
        feeds = {}
        for name, column, dtype, rank in plan:
            values = columns[column]
            shaped = values.reshape(-1, 1) if values.ndim == 1 and rank == _MATRIX else values
            feeds[name] = np.ascontiguousarray(shaped.astype(dtype, copy=False))
        return feeds

    return feed


def read_outputs(names: Sequence[str], values: Sequence[Any]) -> Prediction:
    """Make a prediction of a session's outputs: labels first; chances by class where a model says which class is which."""
    arrays = {name: np.asarray(one) for name, one in zip(names, values, strict=True) if not _is_mapping_list(one)}
    by_class = [one for one in values if _is_mapping_list(one)]
    found = prediction_of(arrays)
    if not by_class:
        return found
    classes = np.array(list(by_class[0][0]))
    chances = np.array([[row[name] for name in by_class[0][0]] for row in by_class[0]], dtype=np.float64)
    said = of_classes(chances, classes, place=np.argmax(found.labels[:, None] == classes[None, :], axis=1))
    return Prediction(
        labels=found.labels,
        scores=said.scores,
        probabilities=said.probabilities,
        classes=plain_labels(classes),
        outputs=found.outputs,
    )


def _is_mapping_list(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)
