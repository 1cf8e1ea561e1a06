"""SavedModels of TensorFlow: programs, whose operators may read and write files, so only where that is allowed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from flyball.kernel.errors import InvalidInput, MissingExtra, Unsupported
from flyball.serving.entities import Array, Columns, ModelSpec, Prediction, Signature
from flyball.serving.flavours.arrays import prediction_of
from flyball.serving.flavours.files import model_file, reading, refuse_pickle
from flyball.serving.flavours.networks import Network, named_outputs

FILE = "saved_model.pb"
# What Keras calls the function of an exported model, and TensorFlow the one that was saved to be served.
_ENDPOINT, _SIGNATURE = "serve", "serving_default"
# TensorFlow tells of each start which instructions of the processor it uses; warnings and errors are still told.
_LOG_VARIABLE, _WARNINGS = "TF_CPP_MIN_LOG_LEVEL", "1"


def load_saved_model(spec: ModelSpec, *keys_or_parts: str, allow_pickle: bool) -> SavedModelRuntime:
    """Load the SavedModel in a folder of the model (`load_saved_model(spec, "saved_model_dir", allow_pickle=...)`).

    Raises:
        Unsupported: it is not allowed, or has no function that could be asked.
        InvalidInput: its files are damaged or missing.
        MissingExtra: TensorFlow is not installed.
    """
    refuse_pickle(
        spec,
        "a SavedModel, a program of TensorFlow that may read and write files",
        allowed=allow_pickle,
        instead="log the Keras model itself (mlflow.keras with save_exported_model=False, or mlflow.tensorflow), or ONNX",
    )
    tensorflow = import_tensorflow()
    file = model_file(spec, *keys_or_parts, FILE)
    loaded = reading(file, lambda: tensorflow.saved_model.load(str(file.parent)))
    return SavedModelRuntime(loaded, spec.signature, tensorflow=tensorflow, folder=file.parent)


class SavedModelRuntime(Network):
    """A program of TensorFlow, asked as MLflow asks it. Threads may share it as long as it changes none of its variables."""

    def __init__(
        self,
        loaded: Any,  # noqa: ANN401 -- without types
        signature: Signature,
        *,
        tensorflow: Any,  # noqa: ANN401 -- likewise
        folder: Path,
    ) -> None:
        super().__init__(signature, library="TensorFlow")
        self._loaded = loaded  # its functions hold its variables by weak references only
        self.function = _function(loaded, folder)
        self._constant = tensorflow.constant

    def predict(self, columns: Columns) -> Prediction:
        try:
            said = self.function(*(self._constant(values) for values in self.arrays(columns)))
        except Exception as error:  # TensorFlow refuses shapes and types in many ways
            raise InvalidInput(f"the model refuses these rows: {error}", field="inputs") from error
        return prediction_of({name: _array(one) for name, one in named_outputs(said).items()})


def import_tensorflow() -> Any:  # noqa: ANN401 -- without types
    """Import TensorFlow, which then logs what is worth reading only.

    Raises:
        MissingExtra: it is not installed.
    """
    os.environ.setdefault(_LOG_VARIABLE, _WARNINGS)  # read when it is imported first
    try:
        import tensorflow as tf
    except ModuleNotFoundError as error:
        raise MissingExtra.named("TensorFlow", "tensorflow") from error
    return tf


def _function(loaded: Any, folder: Path) -> Any:  # noqa: ANN401 -- without types
    """Return what is asked: the module itself, the endpoint of an exported Keras model, or what was saved to be served."""
    asked = loaded if callable(loaded) else getattr(loaded, _ENDPOINT, None)
    if asked is not None:
        return asked
    served: Any = getattr(loaded, "signatures", {}).get(_SIGNATURE)
    names = [] if served is None else list(served.structured_input_signature[1])
    if len(names) != 1:
        raise Unsupported(
            f"the SavedModel in '{folder.name}' has no function that could be asked: give the module a __call__ that is a "
            "tf.function, and call it once before saving",
            field="model",
        )
    return lambda given: served(**{names[0]: given})


def _array(one: Any) -> Array:  # noqa: ANN401 -- a tensor
    found: Array = np.asarray(one.numpy() if hasattr(one, "numpy") else one)
    if found.dtype.kind == "O":  # texts are bytes there
        texts = [text.decode() if isinstance(text, bytes) else text for text in found.ravel()]
        return np.array(texts, dtype=object).reshape(found.shape)
    return found
