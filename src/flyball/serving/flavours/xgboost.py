"""The XGBoost flavour: the library's own model files (UBJSON, JSON), which hold numbers and no code."""

from __future__ import annotations

from typing import Any

import numpy as np

from flyball.kernel.errors import InvalidInput, MissingExtra, Unsupported
from flyball.serving.entities import Array, Columns, ModelSpec, Prediction, Signature
from flyball.serving.flavours.arrays import (
    check_names,
    numbers_only,
    of_classes,
    of_two_classes,
    plain_labels,
    stacker,
)
from flyball.serving.flavours.files import model_file, reading, refuse_code, refuse_newer

BOOSTER = "xgboost.core.Booster"
CLASSIFIERS = frozenset({"xgboost.sklearn.XGBClassifier", "xgboost.sklearn.XGBRFClassifier"})
OTHERS = frozenset(
    {BOOSTER, "xgboost.sklearn.XGBRegressor", "xgboost.sklearn.XGBRFRegressor", "xgboost.sklearn.XGBRanker"}
)
_ONE_A_CLASS = 2


class XgboostFlavour:
    """Load XGBoost models that MLflow saved: boosters, and the estimators around them."""

    def load(self, spec: ModelSpec, *, allow_pickle: bool) -> XgboostRuntime:  # noqa: ARG002 -- nothing here is pickled
        try:
            import xgboost
        except ModuleNotFoundError as error:
            raise MissingExtra.named("xgboost", "xgboost") from error
        refuse_code(spec)
        refuse_newer(spec, "xgb_version", installed=xgboost.__version__, library="XGBoost")
        kind = str(spec.options.get("model_class", BOOSTER))
        if kind not in CLASSIFIERS | OTHERS:
            raise Unsupported(
                f"the model is a {kind}; served here: {', '.join(sorted(CLASSIFIERS | OTHERS))}",
                field="flavors.xgboost.model_class",
            )
        numbers_only(spec.signature, library="XGBoost")
        file = model_file(spec, "data")
        booster = reading(file, lambda: xgboost.Booster(model_file=str(file)))
        return XgboostRuntime(booster, spec.signature, kind=kind)


class XgboostRuntime:
    """A booster. It is predicted with in place, which copies no rows and may be done by any number of threads."""

    def __init__(self, booster: Any, signature: Signature, *, kind: str) -> None:  # noqa: ANN401 -- without types
        if "c" in (booster.feature_types or []):
            raise Unsupported(
                "the model was fitted on categorical columns, which are not served from XGBoost's own files; encode them in a "
                "scikit-learn pipeline around the model",
                field="signature",
            )
        self.booster = booster
        self.classifies = kind in CLASSIFIERS
        self.order = check_names(signature, booster.feature_names, count=booster.num_features())
        self._stack = stacker(signature, names=self.order)
        self.rounds = _rounds(booster, kind)

    def predict(self, columns: Columns) -> Prediction:
        rows = self._stack(columns)
        raw = self._raw(rows if rows.dtype.kind == "f" else rows.astype(np.float64))
        if not self.classifies:
            return Prediction(labels=plain_labels(raw), scores=None)
        if raw.ndim == _ONE_A_CLASS:
            return of_classes(raw, np.arange(raw.shape[1]))
        return of_two_classes(raw, np.arange(2))

    def _raw(self, rows: Array) -> Array:
        from xgboost.core import XGBoostError

        try:
            found: Array = self.booster.inplace_predict(rows, iteration_range=self.rounds, validate_features=False)
        except (XGBoostError, ValueError) as error:
            raise InvalidInput(f"the model refuses these rows: {error}", field="inputs") from error
        return found


def _rounds(booster: Any, kind: str) -> tuple[int, int]:  # noqa: ANN401 -- without types
    """Return the rounds that the library itself would use: an estimator stops at its best one, a booster uses all."""
    if kind == BOOSTER:
        return (0, 0)
    best = booster.attr("best_iteration")
    return (0, int(best) + 1) if best is not None else (0, 0)
