"""The scikit-learn flavour: skops files by an allow-list of types, pickles only when they are allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from flyball.kernel.errors import InvalidInput, MissingExtra, Unsupported
from flyball.serving.entities import Array, Columns, ModelSpec, Prediction, Signature
from flyball.serving.flavours.trees import check_trees

# What skops does not trust by itself and fitted scikit-learn models are made of. The MLmodel file carries a list too
# (`skops_trusted_types`); it is not believed, because whoever forges a model writes that list as well.
TRUSTED_TYPES = frozenset(
    {
        # node storage of trees; every index is checked after loading, see trees.py
        "sklearn.tree._tree.Tree",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        # plain Python classes of scikit-learn that hold fitted numbers
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.compose._column_transformer._RemainderColsList",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "numpy.dtype",
        # functions for a FunctionTransformer that compute arrays from arrays and reach nothing else
        "numpy.clip",
        "numpy.diff",
    }
)
SKOPS = "skops"
PICKLES = frozenset({"pickle", "cloudpickle"})
_ROWS_AND_COLUMNS = 2

ReadT = TypeVar("ReadT")


class SklearnFlavour:
    """Load scikit-learn models that MLflow saved."""

    def load(self, spec: ModelSpec, *, allow_pickle: bool) -> SklearnRuntime:
        _check_version(spec)
        if spec.options.get("code"):
            raise Unsupported(
                "the model brings its own code folder, which is not loaded; make the code a pinned requirement",
                field="flavors.sklearn.code",
            )
        file = _model_file(spec)
        stored_as = spec.options.get("serialization_format", "pickle")
        if stored_as == SKOPS:
            model = _load_skops(file)
        elif stored_as in PICKLES:
            model = _load_pickle(file, str(stored_as), allowed=allow_pickle)
        else:
            raise Unsupported(
                f"the model is stored as '{stored_as}'; loaded here: skops, and pickle or cloudpickle when allowed",
                field="flavors.sklearn.serialization_format",
            )
        return SklearnRuntime(model, spec.signature)


class SklearnRuntime:
    """A fitted estimator. Its `predict` reads only, so threads may share it."""

    def __init__(self, model: object, signature: Signature) -> None:
        if not callable(getattr(model, "predict", None)):
            raise InvalidInput(f"the model is a {type(model).__name__}, which cannot predict", field="model")
        self._model = cast("Any", model)
        self._frame = _frame_builder(self._model, signature)

    def predict(self, columns: Columns) -> Prediction:
        frame = self._frame(columns)
        try:
            rows, model = _prepared(self._model, frame)
            raw = np.asarray(model.predict(rows))
            chances = model.predict_proba(rows) if hasattr(model, "predict_proba") else None
        except (ValueError, TypeError) as error:  # how scikit-learn says that it does not want these values
            raise InvalidInput(f"the model refuses these rows: {error}", field="inputs") from error
        raw = raw[:, 0] if raw.ndim == _ROWS_AND_COLUMNS and raw.shape[1] == 1 else raw
        scores = None if chances is None else _score_of(raw, np.asarray(self._model.classes_), np.asarray(chances))
        return Prediction(labels=_plain(raw), scores=scores)


def _prepared(model: Any, frame: object) -> tuple[object, Any]:  # noqa: ANN401 -- no common type
    """Return what the last step of a pipeline is given, and that step: labels and scores need the steps before it once."""
    from sklearn.pipeline import Pipeline

    if not isinstance(model, Pipeline) or len(model) == 1 or model.steps[-1][1] in {None, "passthrough"}:
        return frame, model
    return model[:-1].transform(frame), model[-1]


def _frame_builder(model: Any, signature: Signature) -> Callable[[Columns], object]:  # noqa: ANN401 -- no common type
    """Decide once what the model is fed with.

    A model that was fitted with column names gets a pandas frame in the order of its fitting, each column in its own
    type: that is what it saw in training, what `ColumnTransformer` selects by, and what lets scikit-learn check the names.
    A model fitted on a matrix gets a matrix, and pandas is not needed.
    """
    names = getattr(model, "feature_names_in_", None)
    if names is not None and signature.named:
        return _named_builder([str(name) for name in names], signature)
    wanted = getattr(model, "n_features_in_", len(signature.inputs))
    if wanted != len(signature.inputs):
        raise InvalidInput(
            f"the signature has {len(signature.inputs)} columns, the model was fitted on {wanted}", field="signature"
        )
    return lambda columns: np.column_stack([columns[name] for name in signature.names])


def _named_builder(names: list[str], signature: Signature) -> Callable[[Columns], object]:
    differing = sorted(set(names) ^ set(signature.names))
    if differing:
        raise InvalidInput(
            f"signature and model disagree about the columns: {', '.join(differing)}; log the model again with the "
            "signature of the frame it was fitted on",
            field="signature",
        )
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise MissingExtra.named("pandas", "sklearn") from error
    return lambda columns: pd.DataFrame({name: columns[name] for name in names}, copy=False)


def _score_of(labels: Array, classes: Array, chances: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the probability that the model gives to the label it predicts; not always the largest (SVC, thresholds)."""
    place = np.argmax(labels[:, None] == classes[None, :], axis=1)
    scores: npt.NDArray[np.float64] = chances[np.arange(len(labels)), place].astype(np.float64)
    return scores


def _plain(labels: Array) -> Array:
    if labels.ndim != 1:
        raise Unsupported(f"the model predicts an array of shape {labels.shape}; served here: one label a row")
    if labels.dtype.kind == "b":
        return labels
    if labels.dtype.kind in "iu":
        return labels.astype(np.int64)
    if labels.dtype.kind == "f":
        return labels.astype(np.float64)
    texts = labels.astype(object)
    if not all(isinstance(text, str) for text in texts):
        raise Unsupported(f"the model predicts values of type {labels.dtype}; served here: numbers, booleans and texts")
    return texts


def _check_version(spec: ModelSpec) -> None:
    """Refuse a model of another minor version: scikit-learn promises nothing about loading it, and means it."""
    try:
        import sklearn
    except ModuleNotFoundError as error:
        raise MissingExtra.named("scikit-learn", "sklearn") from error
    trained = str(spec.options.get("sklearn_version", ""))
    if trained.split(".")[:2] != sklearn.__version__.split(".")[:2]:
        raise Unsupported(
            f"the model was trained with scikit-learn {trained or '(unknown)'}, installed is {sklearn.__version__}; "
            "install the version of the training, or train again",
            field="flavors.sklearn.sklearn_version",
        )


def _model_file(spec: ModelSpec) -> Path:
    name = spec.options.get("pickled_model")
    if not isinstance(name, str) or not name:
        raise InvalidInput(
            "the MLmodel file does not name the model's file (pickled_model)", field="flavors.sklearn.pickled_model"
        )
    folder = spec.folder.resolve()
    file = (folder / name).resolve()
    if not file.is_relative_to(folder) or not file.is_file():
        raise InvalidInput(f"the model's file '{name}' is not in its folder", field="flavors.sklearn.pickled_model")
    return file


def _load_skops(file: Path) -> object:
    try:
        import skops.io
    except ModuleNotFoundError as error:
        raise MissingExtra.named("skops", "sklearn") from error
    found = _reading(file, lambda: skops.io.get_untrusted_types(file=file))
    refused = sorted(set(found) - TRUSTED_TYPES)
    if refused:
        raise InvalidInput(
            f"the model holds types that are not loaded here: {', '.join(refused)}; use estimators of scikit-learn "
            "only, or express the custom step with them",
            field="model",
        )
    model = _reading(file, lambda: skops.io.load(file, trusted=found))
    check_trees(model)
    return model


def _reading(file: Path, read: Callable[[], ReadT]) -> ReadT:
    try:
        return read()
    except Exception as error:  # a damaged or forged file can make any step of a reader fail, in any way
        raise InvalidInput(f"'{file.name}' cannot be loaded: {error}", field="model") from error


def _load_pickle(file: Path, stored_as: str, *, allowed: bool) -> object:
    if not allowed:
        raise Unsupported(
            f"the model is stored as {stored_as}, and loading that runs whatever its author put in; log it with "
            "serialization_format='skops', or set FLYBALL_ALLOW_PICKLE=true if you trust every author",
            field="flavors.sklearn.serialization_format",
        )
    import pickle

    # cloudpickle writes ordinary pickles; what it adds is needed for writing only, and imports itself when read.
    with file.open("rb") as stream:
        return _reading(file, lambda: pickle.load(stream))  # noqa: S301 -- allowed by the operator; never in the server
