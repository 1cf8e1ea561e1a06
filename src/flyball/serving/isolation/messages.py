"""What is said in frames: load, predict, and the answers, on both ends.

This module runs in the model's environment too: nothing but the standard library, numpy and what does not need more either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from flyball.kernel import errors
from flyball.kernel.errors import Corrupted, FlyballError
from flyball.serving.entities import Array, Columns, Matrix, Prediction
from flyball.serving.isolation.frames import Frame, Words

LOAD: Final = "load"
LOADED: Final = "loaded"
PREDICT: Final = "predict"
PREDICTED: Final = "predicted"
REFUSED: Final = "refused"
_OUTPUT: Final = "output/"
_STACKED: Final = "biufM"


def refusal_of(error: FlyballError, *, number: int) -> Frame:
    """Return the frame that says an error of ours."""
    words = {"code": error.code.value, "message": error.message, "field": error.field}
    return Frame(verb=REFUSED, number=number, words=words)


def refusal_in(frame: Frame) -> FlyballError | None:
    """Return the error that a frame says, if it says one."""
    if frame.verb != REFUSED:
        return None
    code, message, field = (frame.words.get(key) for key in ("code", "message", "field"))
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FlyballError)]
    kind = next((kind for kind in kinds if kind.code == code), FlyballError)
    return kind(str(message), field=None if field is None else str(field))


def pack_columns(columns: Columns) -> tuple[Words, Mapping[str, Array]]:
    """Return columns as words and arrays. Plain columns of one type travel as one array, because each array costs time."""
    if isinstance(columns, Matrix):
        return {"matrix": list(columns.names)}, {"matrix": columns.values_by_row}
    groups: dict[str, list[str]] = {}
    for name, values in columns.items():
        alone = values.ndim != 1 or values.dtype.kind not in _STACKED
        groups.setdefault(name if alone else values.dtype.str, []).append(name)
    arrays = {
        str(place): columns[names[0]][None] if len(names) == 1 else np.stack([columns[name] for name in names])
        for place, names in enumerate(groups.values())
    }
    return {"order": list(columns), "groups": list(groups.values())}, arrays


def unpack_columns(frame: Frame) -> Columns:
    """Return the columns that `pack_columns` was given.

    Raises:
        Corrupted: the frame holds none.
    """
    try:
        if "matrix" in frame.words:
            return Matrix(tuple(frame.words["matrix"]), frame.arrays["matrix"])
        found = {
            name: values
            for place, names in enumerate(frame.words["groups"])
            for name, values in zip(names, frame.arrays[str(place)], strict=True)
        }
        return {name: found[name] for name in frame.words["order"]}
    except (KeyError, ValueError, TypeError) as error:
        raise Corrupted(f"a question holds no columns: {error}") from error


def pack_prediction(prediction: Prediction) -> Mapping[str, Array]:
    """Return a prediction as arrays."""
    parts = {
        "labels": prediction.labels,
        "scores": prediction.scores,
        "probabilities": prediction.probabilities,
        "classes": prediction.classes,
    }
    named = {f"{_OUTPUT}{name}": values for name, values in prediction.outputs.items()}
    return {name: values for name, values in parts.items() if values is not None} | named


def unpack_prediction(frame: Frame, *, rows: int) -> Prediction:
    """Return the prediction that `pack_prediction` was given, for so many rows.

    Raises:
        Corrupted: the frame holds none, or one of other rows.
    """
    arrays = frame.arrays
    if frame.verb != PREDICTED or "labels" not in arrays:
        raise Corrupted(f"the process of the model answers '{frame.verb}' with {', '.join(arrays) or 'no arrays'}")
    for name, values in arrays.items():
        if name != "classes" and values.shape[:1] != (rows,):
            raise Corrupted(f"the process of the model gives {name} of shape {values.shape} for {rows} rows")
    return Prediction(
        labels=arrays["labels"],
        scores=arrays.get("scores"),
        probabilities=arrays.get("probabilities"),
        classes=arrays.get("classes"),
        outputs={name.removeprefix(_OUTPUT): values for name, values in arrays.items() if name.startswith(_OUTPUT)},
    )
