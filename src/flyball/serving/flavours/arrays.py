"""Columns to the arrays that libraries take, and what libraries return to predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from flyball.kernel.errors import InvalidInput, Unsupported
from flyball.serving.entities import Array, ColumnKind, Columns, Matrix, Prediction, Signature

_ROWS_AND_VALUES = 2
_KEPT_AS: dict[ColumnKind, np.dtype[Any]] = {
    ColumnKind.BOOLEAN: np.dtype(np.bool_),
    ColumnKind.INTEGER: np.dtype(np.int32),
    ColumnKind.LONG: np.dtype(np.int64),
    ColumnKind.FLOAT: np.dtype(np.float32),
    ColumnKind.DOUBLE: np.dtype(np.float64),
    ColumnKind.DATETIME: np.dtype("datetime64[ns]"),
}
Stacker = Callable[[Columns], Array]


def stacker(
    signature: Signature, *, names: tuple[str, ...] | None = None, dtype: npt.DTypeLike | None = None
) -> Stacker:
    """Return a function that makes one array (n, k) of columns, in the order of `names` (the signature's when not given).

    Its type is `dtype`, or the one that numpy finds for all columns together. A matrix in that order and type is not copied.
    """
    order = signature.names if names is None else names
    kinds = [_KEPT_AS.get(spec.kind, np.dtype(object)) for spec in signature.inputs]
    wanted = np.dtype(dtype) if dtype is not None else np.result_type(*kinds)

    def stack(columns: Columns) -> Array:
        if isinstance(columns, Matrix) and columns.names == order:
            return columns.values_by_row.astype(wanted, copy=False)
        stacked = np.empty((len(columns[order[0]]), len(order)), dtype=wanted)
        for place, name in enumerate(order):
            stacked[:, place] = columns[name]
        return stacked

    return stack


def numbers_only(signature: Signature, *, library: str) -> None:
    """Refuse a signature with columns that a library of numbers cannot take.

    Raises:
        Unsupported: there is such a column.
    """
    for spec in signature.inputs:
        if spec.kind not in _KEPT_AS or spec.kind is ColumnKind.DATETIME:
            raise Unsupported(
                f"column '{spec.name}' is {spec.kind.value}, and {library} takes numbers; encode it in a scikit-learn pipeline "
                "around the model",
                field=f"signature.{spec.name}",
            )


def check_names(signature: Signature, names: list[str] | None, *, count: int) -> tuple[str, ...]:
    """Return the order in which a model wants its columns, held against the signature.

    Raises:
        InvalidInput: another number of columns, or other names, than the model was fitted with.
    """
    if names and signature.named:
        differing = sorted(set(names) ^ set(signature.names))
        if differing:
            raise InvalidInput(
                f"signature and model disagree about the columns: {', '.join(differing)}; log the model again with the "
                "signature of the frame it was fitted on",
                field="signature",
            )
        return tuple(names)
    if count != len(signature.inputs):
        raise InvalidInput(
            f"the signature has {len(signature.inputs)} columns, the model was fitted on {count}", field="signature"
        )
    return signature.names


def plain_labels(labels: Array) -> Array:
    """Return labels (n,) or (n, k) as bool, int64, float64 or text; (n, 1) as (n,).

    Raises:
        Unsupported: of another type, or of more dimensions.
    """
    if labels.ndim == _ROWS_AND_VALUES and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim not in {1, _ROWS_AND_VALUES}:
        raise Unsupported(f"the model predicts an array of shape {labels.shape}; served here: (rows) or (rows, values)")
    if labels.dtype.kind == "b":
        return labels
    if labels.dtype.kind in "iu":
        return labels.astype(np.int64, copy=False)
    if labels.dtype.kind == "f":
        return labels.astype(np.float64, copy=False)
    texts = labels.astype(object)
    if not all(isinstance(text, str) for text in texts.ravel()):
        raise Unsupported(f"the model predicts values of type {labels.dtype}; served here: numbers, booleans and texts")
    return texts


def prediction_of(outputs: Mapping[str, Array]) -> Prediction:
    """Make a prediction of named outputs: the first are the labels, unless they have too many dimensions to be any.

    Raises:
        Unsupported: there is no output, or none that can be labels.
    """
    if not outputs:
        raise Unsupported("the model returns nothing")
    name, *more = outputs
    labels = outputs[name]
    if labels.ndim > _ROWS_AND_VALUES:  # a sequence or an image: it is an output, and a row of it is its label
        return Prediction(labels=plain_labels(labels.reshape(len(labels), -1)), scores=None, outputs=outputs)
    return Prediction(labels=plain_labels(labels), scores=None, outputs={other: outputs[other] for other in more})


def of_two_classes(chances: Array, classes: Array) -> Prediction:
    """Make a prediction of the probability (n,) of the second class; a tie goes to the first."""
    right = chances.astype(np.float64)
    both = np.stack([1.0 - right, right], axis=1)
    return of_classes(both, classes, place=(chances > 0.5).astype(np.intp))  # noqa: PLR2004 -- more likely than not


def of_classes(chances: Array, classes: Array, *, place: npt.NDArray[np.intp] | None = None) -> Prediction:
    """Make a prediction of the probabilities (n, classes): the label is the likeliest class, the first of them at a tie."""
    chances = chances.astype(np.float64, copy=False)
    place = chances.argmax(axis=1) if place is None else place
    return Prediction(
        labels=plain_labels(classes[place]),
        scores=chances[np.arange(len(chances)), place],
        probabilities=chances,
        classes=classes,
    )
