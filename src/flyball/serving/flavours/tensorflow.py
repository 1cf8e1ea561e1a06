"""The TensorFlow flavour: Keras models in safe mode, SavedModels only where programs of an author are allowed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from flyball.kernel.errors import Unsupported
from flyball.serving.entities import ModelSpec
from flyball.serving.flavours.files import model_file, reading, refuse_code, refuse_newer, refuse_pickle
from flyball.serving.flavours.keras import FILE, KerasRuntime, load_keras
from flyball.serving.flavours.saved_model import SavedModelRuntime, import_tensorflow, load_saved_model

_KERAS, _MODULE = "keras", "tf2-module"
# Beside a Keras model: the author's classes, as pickles.
_CLASSES = ("custom_objects.cloudpickle", "global_custom_objects.cloudpickle")


class TensorflowFlavour:
    """Load what `mlflow.tensorflow` saved: Keras models and modules."""

    def load(self, spec: ModelSpec, *, allow_pickle: bool) -> KerasRuntime | SavedModelRuntime:
        refuse_code(spec)
        match spec.options.get("model_type"):
            case "keras":
                return _keras(spec, allow_pickle=allow_pickle)
            case "tf2-module":
                return load_saved_model(spec, "saved_model_dir", allow_pickle=allow_pickle)
            case other:
                raise Unsupported(
                    f"the model is a '{other}' of TensorFlow; served here: {_KERAS}, {_MODULE}",
                    field="flavors.tensorflow.model_type",
                )


def _keras(spec: ModelSpec, *, allow_pickle: bool) -> KerasRuntime:
    if spec.options.get("save_format") == "h5":
        raise Unsupported(
            "the Keras model is stored as HDF5; log it again without save_format, which makes a .keras file",
            field="flavors.tensorflow.save_format",
        )
    # MLflow writes TensorFlow's own version under this key.
    refuse_newer(spec, "keras_version", installed=str(import_tensorflow().__version__), library="TensorFlow")
    return load_keras(spec, backend="tensorflow", classes=_classes(spec, allow_pickle=allow_pickle))


def _classes(spec: ModelSpec, *, allow_pickle: bool) -> dict[str, Any]:
    """Return the author's own classes by name; nothing is unpickled unless it is allowed."""
    data = model_file(spec, "data", FILE).parent
    files = [data / name for name in _CLASSES if (data / name).is_file()]
    if not files:
        return {}
    refuse_pickle(
        spec,
        "a Keras model with pickled classes (custom_objects)",
        allowed=allow_pickle,
        instead="build it of Keras' own layers",
    )
    found: dict[str, Any] = {}
    for file in files:
        found |= reading(file, partial(_unpickled, file))
    return found


def _unpickled(file: Path) -> dict[str, Any]:
    import cloudpickle

    return dict(cloudpickle.loads(file.read_bytes()))
