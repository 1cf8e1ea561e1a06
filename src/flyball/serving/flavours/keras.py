"""The Keras flavour: `.keras` files in safe mode, which rebuilds layers by name and runs no code from the file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flyball.kernel.errors import InvalidInput, MissingExtra, Unsupported
from flyball.serving.entities import Array, Columns, ModelSpec, Prediction, Signature
from flyball.serving.flavours.arrays import numbers_only, prediction_of, stacker
from flyball.serving.flavours.files import model_file, reading, refuse_code, refuse_newer

FILE = "model.keras"
BACKENDS = frozenset({"tensorflow", "jax", "torch"})
BACKEND_VARIABLE = "KERAS_BACKEND"


class KerasFlavour:
    """Load Keras models that MLflow saved, on the backend of their training unless another one is set."""

    def load(self, spec: ModelSpec, *, allow_pickle: bool) -> KerasRuntime:  # noqa: ARG002 -- nothing here is pickled
        refuse_code(spec)
        if spec.options.get("save_exported_model"):
            raise Unsupported(
                "the model is stored as a TensorFlow program, which is not loaded; log it with save_exported_model=False",
                field="flavors.keras.save_exported_model",
            )
        keras = _import(str(spec.options.get("keras_backend", "")))
        refuse_newer(spec, "keras_version", installed=keras.__version__, library="Keras")
        file = model_file(spec, "data", FILE)
        model = reading(file, lambda: keras.saving.load_model(file, compile=False, safe_mode=True))
        backend = str(keras.config.backend())
        return KerasRuntime(model, spec.signature, to_numpy=keras.ops.convert_to_numpy, backend=backend)


class KerasRuntime:
    """A model called for inference: layers that only work in training, such as dropout, do nothing. Threads may share it."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 -- without types
        signature: Signature,
        *,
        to_numpy: Any,  # noqa: ANN401 -- likewise
        backend: str,
    ) -> None:
        self.model = model
        self.backend = backend
        self._to_numpy = to_numpy
        self._names = signature.names
        self._tensors = signature.inputs[0].tensor is not None
        if not self._tensors:
            numbers_only(signature, library="Keras")
        self._stack = stacker(signature)

    @property
    def order(self) -> tuple[str, ...]:
        """The columns of the matrix that the model takes; nothing where it takes tensors."""
        return () if self._tensors else self._names

    def arrays(self, columns: Columns) -> list[Array]:
        """Return what the model is given, an array for each input."""
        return [columns[name] for name in self._names] if self._tensors else [self._stack(columns)]

    def predict(self, columns: Columns) -> Prediction:
        try:
            said = self.model(self._input(columns), training=False)
        except Exception as error:  # each backend refuses shapes and types in its own way
            raise InvalidInput(f"the model refuses these rows: {error}", field="inputs") from error
        return prediction_of({name: self._array(one) for name, one in _named(said).items()})

    def _input(self, columns: Columns) -> object:
        given = [np.array(values) for values in self.arrays(columns)]
        return given[0] if len(given) == 1 else dict(zip(self._names, given, strict=True))

    def _array(self, one: Any) -> Array:  # noqa: ANN401 -- a tensor of any backend
        found: Array = self._to_numpy(one.detach() if hasattr(one, "detach") else one)
        return found


def _named(said: Any) -> Mapping[str, Any]:  # noqa: ANN401 -- a tensor of any backend, or several
    if isinstance(said, Mapping):
        return {str(name): one for name, one in said.items()}
    if isinstance(said, Sequence):
        return {f"output_{place}": one for place, one in enumerate(said)}
    return {"output": said}


def _import(backend: str) -> Any:  # noqa: ANN401 -- without types
    if backend in BACKENDS:
        os.environ.setdefault(BACKEND_VARIABLE, backend)  # read when Keras is imported first
    try:
        import keras
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{error.name} is not installed; install Keras and the backend of the model with: "
            f"pip install 'flyball[keras]' {backend or 'tensorflow'}"
        ) from error
    return keras
