"""The LightGBM flavour: the library's own text files, estimators stored with skops, pickles only when they are allowed."""

from __future__ import annotations

from typing import Any

import numpy as np

from flyball.kernel.errors import InvalidInput, MissingExtra, Unsupported
from flyball.serving.entities import Columns, ModelSpec, Prediction, Signature
from flyball.serving.flavours.arrays import (
    check_names,
    numbers_only,
    of_classes,
    of_two_classes,
    plain_labels,
    stacker,
)
from flyball.serving.flavours.files import model_file, option, reading, refuse_code, refuse_newer
from flyball.serving.flavours.skops import load_pickle, load_skops

BOOSTER = "lightgbm.basic.Booster"
ESTIMATORS = frozenset(f"lightgbm.sklearn.LGBM{kind}" for kind in ("Classifier", "Ranker", "Regressor"))
# A booster's state is the text of its own format; the estimators around it hold numbers and settings.
TRUSTED_TYPES = ESTIMATORS | {BOOSTER, "collections.OrderedDict", "collections.defaultdict"}
_ONE_A_CLASS = 2


class LightgbmFlavour:
    """Load LightGBM models that MLflow saved: boosters, and the estimators around them."""

    def load(self, spec: ModelSpec, *, allow_pickle: bool) -> LightgbmRuntime:
        try:
            import lightgbm
        except ModuleNotFoundError as error:
            raise MissingExtra.named("lightgbm", "lightgbm") from error
        refuse_code(spec)
        refuse_newer(spec, "lgb_version", installed=lightgbm.__version__, library="LightGBM")
        numbers_only(spec.signature, library="LightGBM")
        if spec.options.get("model_class", BOOSTER) == BOOSTER:
            file = model_file(spec, "data")
            return LightgbmRuntime(reading(file, lambda: lightgbm.Booster(model_file=str(file))), spec.signature)
        model = _estimator(spec, allow_pickle=allow_pickle)
        return LightgbmRuntime(model.booster_, spec.signature, classes=getattr(model, "classes_", None))


class LightgbmRuntime:
    """A booster, and the classes of the estimator around it. Its `predict` locks what it must, so threads may share it."""

    def __init__(
        self,
        booster: Any,  # noqa: ANN401 -- without types
        signature: Signature,
        *,
        classes: np.ndarray[Any, Any] | None = None,
    ) -> None:
        if any(booster.pandas_categorical or []):
            raise Unsupported(
                "the model was fitted on categorical columns of pandas, which are not served here; encode them in a "
                "scikit-learn pipeline around the model",
                field="signature",
            )
        self.booster = booster
        self.classes = classes
        # LightGBM replaces what is no letter or digit in a name, so its names are compared by their number only.
        self.order = check_names(signature, None, count=booster.num_feature())
        self._stack = stacker(signature)

    def predict(self, columns: Columns) -> Prediction:
        from lightgbm.basic import LightGBMError

        rows = self._stack(columns)
        try:
            raw = np.asarray(self.booster.predict(rows if rows.dtype.kind == "f" else rows.astype(np.float64)))
        except (LightGBMError, ValueError) as error:
            raise InvalidInput(f"the model refuses these rows: {error}", field="inputs") from error
        if self.classes is None:
            return Prediction(labels=plain_labels(raw), scores=None)
        if raw.ndim == _ONE_A_CLASS:
            return of_classes(raw, self.classes)
        return of_two_classes(raw, self.classes)


def _estimator(spec: ModelSpec, *, allow_pickle: bool) -> Any:  # noqa: ANN401 -- without types
    file, stored_as = model_file(spec, "data"), str(spec.options.get("serialization_format", "cloudpickle"))
    skops = stored_as == "skops"
    model = (
        load_skops(file, trusted=TRUSTED_TYPES) if skops else load_pickle(spec, file, stored_as, allowed=allow_pickle)
    )
    found, wanted = f"{type(model).__module__}.{type(model).__qualname__}", option(spec, "model_class")
    if found != wanted or found not in ESTIMATORS:
        raise InvalidInput(
            f"the file holds a {found}, the MLmodel file says {wanted}", field="flavors.lightgbm.model_class"
        )
    if callable(getattr(model, "_objective", None)):
        raise Unsupported("the model has an objective of its own, whose outputs are no probabilities", field="model")
    return model
