"""Predict with a fitted estimator of scikit-learn: the same answers as its `predict` and `predict_proba`, in less time for few rows.

Three things cost more than the arithmetic of one row: a pandas frame, the validation of what was validated already, and doing
everything twice for labels and probabilities. Each is left out exactly where the source of scikit-learn shows that it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np

from flyball.kernel.errors import InvalidInput, MissingExtra
from flyball.serving.entities import Array, ColumnKind, Columns, Prediction, Signature
from flyball.serving.flavours.arrays import check_names, plain_labels, stacker
from flyball.serving.flavours.trees import parts

# A frame of these becomes one array as numpy would make it of its columns; with truths among them it would not.
_NUMBERS = frozenset({ColumnKind.INTEGER, ColumnKind.LONG, ColumnKind.FLOAT, ColumnKind.DOUBLE})
# These look at columns by name or type, or hand the frame to a function.
_WANT_FRAMES = frozenset({"ColumnTransformer", "FunctionTransformer"})
# Their label is the class with the greatest probability, up to the rounding of the function from one to the other.
_LIKELIEST = frozenset(
    {
        "BernoulliNB",
        "CalibratedClassifierCV",
        "DecisionTreeClassifier",
        "ExtraTreeClassifier",
        "ExtraTreesClassifier",
        "GaussianNB",
        "GradientBoostingClassifier",
        "HistGradientBoostingClassifier",
        "LinearDiscriminantAnalysis",
        "LogisticRegression",
        "MLPClassifier",
        "MultinomialNB",
        "RandomForestClassifier",
    }
)
# Far above that rounding, far below any difference that means something; closer rows ask `predict` itself.
_MARGIN = 1e-9


class EstimatorRuntime:
    """A fitted estimator. Its `predict` reads only, so threads may share it."""

    def __init__(self, model: object, signature: Signature) -> None:
        if not callable(getattr(model, "predict", None)):
            raise InvalidInput(f"the model is a {type(model).__name__}, which cannot predict", field="model")
        self.model = model
        self._rows, self.order = rows_builder(model, signature)
        self._before, self._last = _split(model)
        self._classes = np.asarray(getattr(model, "classes_", ()))
        self._likeliest = type(self._last).__name__ in _LIKELIEST and type(self._last).__module__.startswith("sklearn.")

    def predict(self, columns: Columns) -> Prediction:
        rows = self._rows(columns)
        try:
            with _settings(rows):
                prepared = rows if self._before is None else self._before.transform(rows)
                return self._answer(prepared)
        except (ValueError, TypeError) as error:  # how scikit-learn says that it does not want these values
            raise InvalidInput(f"the model refuses these rows: {error}", field="inputs") from error

    def _answer(self, rows: object) -> Prediction:
        chances = self._last.predict_proba(rows) if hasattr(self._last, "predict_proba") else None
        if not isinstance(chances, np.ndarray) or self._classes.ndim != 1:  # none, or of several labels at once
            return Prediction(labels=plain_labels(np.asarray(self._last.predict(rows))), scores=None)
        if self._likeliest and _decided(chances):
            place = chances.argmax(axis=1)
            labels = self._classes[place]
        else:
            labels = np.asarray(self._last.predict(rows))
            # Not always the greatest: an SVM calibrates its probabilities apart, and thresholds may be set.
            place = np.argmax(labels[:, None] == self._classes[None, :], axis=1)
        chances = chances.astype(np.float64, copy=False)
        return Prediction(
            labels=plain_labels(labels),
            scores=chances[np.arange(len(chances)), place],
            probabilities=chances,
            classes=self._classes,
        )


def _decided(chances: Array) -> bool:
    """Tell whether one class of each row is clearly the likeliest. NaN is not."""
    if chances.shape[1] == 1:
        return False
    two = np.partition(chances, -2, axis=1)[:, -2:]
    return bool((two[:, 1] - two[:, 0] > _MARGIN).all())


def _settings(rows: object) -> Any:  # noqa: ANN401 -- a context of scikit-learn
    """Return the settings to predict under: a matrix without NaN or infinity needs no second look at each step."""
    from sklearn import config_context

    finite = isinstance(rows, np.ndarray) and rows.dtype.kind in "iuf" and bool(np.isfinite(rows).all())
    return config_context(assume_finite=finite, skip_parameter_validation=True)


def _split(model: Any) -> tuple[Any, Any]:  # noqa: ANN401 -- no common type
    """Return what comes before the last step of a pipeline, and that step: labels and scores need the steps before it once."""
    from sklearn.pipeline import Pipeline

    if not isinstance(model, Pipeline) or len(model) == 1 or model.steps[-1][1] in {None, "passthrough"}:
        return None, model
    return model[:-1], model[-1]


def rows_builder(model: Any, signature: Signature) -> tuple[Callable[[Columns], object], tuple[str, ...]]:  # noqa: ANN401 -- no common type
    """Decide once what the model is fed with, and return the order of its matrix, or () for a frame.

    A model that was fitted with column names gets a pandas frame in the order of its fitting, each column in its own
    type: that is what it saw in training, what `ColumnTransformer` selects by, and what lets scikit-learn check the names.
    Where all its steps make a matrix of the frame before they look at it, and the names were checked here, it gets that matrix;
    so does a model that was fitted on one. Then pandas is not needed.

    Raises:
        InvalidInput: signature and model disagree about the columns.
    """
    names = getattr(model, "feature_names_in_", None)
    if names is None or not signature.named:
        order = check_names(signature, None, count=getattr(model, "n_features_in_", len(signature.inputs)))
        return stacker(signature), order
    order = check_names(signature, [str(name) for name in names], count=len(names))
    if not _takes_matrix(model, signature):
        return _frame_builder(order), ()
    _forget_names(model)
    return stacker(signature, names=order), order


def _frame_builder(order: tuple[str, ...]) -> Callable[[Columns], object]:
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise MissingExtra.named("pandas", "sklearn") from error
    return lambda columns: pd.DataFrame({name: columns[name] for name in order}, copy=False)


def _takes_matrix(model: object, signature: Signature) -> bool:
    if not all(spec.kind in _NUMBERS for spec in signature.inputs):
        return False
    return all(
        type(one).__module__.startswith("sklearn.")
        and type(one).__name__ not in _WANT_FRAMES
        and not hasattr(one, "_sklearn_output_config")
        and not np.any(getattr(one, "is_categorical_", None))
        for one in _estimators(model)
    )


def _forget_names(model: object) -> None:
    """Take the names off the estimators, so that none of them asks the matrix for its own: they were checked, once."""
    for one in _estimators(model):
        cast("Any", one).__dict__.pop("feature_names_in_", None)


def _estimators(model: object) -> Iterator[object]:
    from sklearn.base import BaseEstimator

    seen: set[int] = set()
    waiting = [model]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, BaseEstimator):
            yield value
        waiting.extend(parts(value))
