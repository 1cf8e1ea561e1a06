"""The Keras flavour: `.keras` files in safe mode, which rebuilds layers by name and runs no code from the file.

Models that were exported as SavedModels are programs, and loaded where these are allowed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from flyball.kernel.errors import InvalidInput, MissingExtra
from flyball.serving.entities import Array, Columns, ModelSpec, Prediction, Signature
from flyball.serving.flavours.arrays import prediction_of
from flyball.serving.flavours.files import model_file, reading, refuse_code, refuse_newer
from flyball.serving.flavours.networks import Network, named_outputs
from flyball.serving.flavours.saved_model import SavedModelRuntime, import_tensorflow, load_saved_model

FILE, EXPORTED = "model.keras", "model"
BACKENDS = frozenset({"tensorflow", "jax", "torch"})
BACKEND_VARIABLE = "KERAS_BACKEND"


class KerasFlavour:
    """Load Keras models that MLflow saved, on the backend of their training unless another one is set."""

    def load(self, spec: ModelSpec, *, allow_pickle: bool) -> KerasRuntime | SavedModelRuntime:
        refuse_code(spec)
        if spec.options.get("save_exported_model"):
            return load_saved_model(spec, "data", EXPORTED, allow_pickle=allow_pickle)
        backend = str(spec.options.get("keras_backend", ""))
        refuse_newer(spec, "keras_version", installed=_import(backend).__version__, library="Keras")
        return load_keras(spec, backend=backend)


def load_keras(spec: ModelSpec, *, backend: str, classes: Mapping[str, Any] | None = None) -> KerasRuntime:
    """Load the `.keras` file of a model in safe mode; `classes` are those of its author, where they are trusted.

    Raises:
        InvalidInput: the file is missing, damaged, or holds code.
        MissingExtra: Keras or the backend is not installed.
    """
    keras = _import(backend)
    file = model_file(spec, "data", FILE)
    model = reading(
        file, lambda: keras.saving.load_model(file, custom_objects=classes or {}, compile=False, safe_mode=True)
    )
    return KerasRuntime(model, spec.signature, to_numpy=keras.ops.convert_to_numpy, backend=str(keras.config.backend()))


class KerasRuntime(Network):
    """A model called for inference: layers that only work in training, such as dropout, do nothing. Threads may share it."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 -- without types
        signature: Signature,
        *,
        to_numpy: Any,  # noqa: ANN401 -- likewise
        backend: str,
    ) -> None:
        super().__init__(signature, library="Keras")
        self.model = model
        self.backend = backend
        self._to_numpy = to_numpy

    def predict(self, columns: Columns) -> Prediction:
        try:
            said = self.model(self._input(columns), training=False)
        except Exception as error:  # each backend refuses shapes and types in its own way
            raise InvalidInput(f"the model refuses these rows: {error}", field="inputs") from error
        return prediction_of({name: self._array(one) for name, one in named_outputs(said).items()})

    def _input(self, columns: Columns) -> object:
        given = [np.array(values) for values in self.arrays(columns)]
        return given[0] if len(given) == 1 else dict(zip(self.names, given, strict=True))

    def _array(self, one: Any) -> Array:  # noqa: ANN401 -- a tensor of any backend
        found: Array = self._to_numpy(one.detach() if hasattr(one, "detach") else one)
        return found


def _import(backend: str) -> Any:  # noqa: ANN401 -- without types
    if backend in BACKENDS:
        os.environ.setdefault(BACKEND_VARIABLE, backend)  # read when Keras is imported first
    if os.environ.get(BACKEND_VARIABLE) == "tensorflow":
        import_tensorflow()
    try:
        import keras
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{error.name} is not installed; install Keras and the backend of the model with: "
            f"pip install 'flyball[keras]' {backend or 'tensorflow'}"
        ) from error
    return keras
