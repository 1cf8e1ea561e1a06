"""Any other MLflow model, through MLflow's own loader: it runs the code that the model brings, so only where that is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flyball.kernel.errors import InvalidInput, MissingExtra, Unsupported
from flyball.serving.entities import Array, Columns, ModelSpec, Prediction, Signature
from flyball.serving.flavours.arrays import plain_labels, prediction_of, stacker
from flyball.serving.flavours.files import reading, refuse_pickle


class PyfuncFlavour:
    """Load what MLflow calls a python function."""

    def load(self, spec: ModelSpec, *, allow_pickle: bool) -> PyfuncRuntime:
        refuse_pickle(
            spec,
            "a python function of MLflow",
            allowed=allow_pickle,
            instead="log it with the flavour of its library in a format that holds no code",
        )
        try:
            import mlflow.pyfunc
            import pandas as pd
        except ModuleNotFoundError as error:
            raise MissingExtra.named(error.name or "mlflow", "pyfunc") from error
        model = reading(spec.folder, lambda: mlflow.pyfunc.load_model(str(spec.folder)))
        return PyfuncRuntime(model, spec.signature, frame=pd.DataFrame)


class PyfuncRuntime:
    """A python function. Whether threads may share it is its author's promise, as it is under MLflow's own server."""

    def __init__(self, model: Any, signature: Signature, *, frame: Any) -> None:  # noqa: ANN401 -- without types
        self._model = model
        self._signature = signature
        self._frame = frame
        self._stack = stacker(signature) if not any(spec.tensor for spec in signature.inputs) else None

    def predict(self, columns: Columns) -> Prediction:
        rows = len(next(iter(columns.values())))
        try:
            return _read(self._model.predict(self._input(columns)), rows=rows)
        except (InvalidInput, Unsupported):
            raise
        except Exception as error:  # whatever code a model brings may raise whatever it likes
            raise InvalidInput(f"the model refuses these rows: {error}", field="inputs") from error

    def _input(self, columns: Columns) -> object:
        if self._stack is None:
            # MLflow may change what it is given, and what a caller gave is not ours to change.
            tensors = {name: np.array(values) for name, values in columns.items()}
            return tensors if self._signature.named else tensors[self._signature.names[0]]
        if not self._signature.named:
            return np.array(self._stack(columns))
        return self._frame({name: np.array(values) for name, values in columns.items()})


def _read(said: Any, *, rows: int) -> Prediction:  # noqa: ANN401 -- a python function returns what it likes
    if isinstance(said, Mapping):
        return _whole(prediction_of({str(name): np.asarray(values) for name, values in said.items()}), rows=rows)
    if hasattr(said, "columns"):
        return _of_frame(said, rows=rows)
    return _whole(Prediction(labels=plain_labels(_array(said)), scores=None), rows=rows)


def _of_frame(frame: Any, *, rows: int) -> Prediction:  # noqa: ANN401 -- pandas has no types here
    """Read a frame: columns of one type are the values of one label, others are outputs by name."""
    columns = {str(name): _array(frame[name]) for name in frame.columns}
    if len({values.dtype for values in columns.values()}) == 1:
        return _whole(Prediction(labels=plain_labels(np.stack(list(columns.values()), axis=1)), scores=None), rows=rows)
    return _whole(prediction_of(columns), rows=rows)


def _array(values: object) -> Array:
    array = np.asarray(values)
    return array.astype(object) if array.dtype.kind in "UT" else array


def _whole(prediction: Prediction, *, rows: int) -> Prediction:
    for values in (prediction.labels, *prediction.outputs.values()):
        if values.ndim == 0 or len(values) != rows:
            raise Unsupported(f"the model returns shape {values.shape} for {rows} rows; served here: one answer a row")
    return prediction
