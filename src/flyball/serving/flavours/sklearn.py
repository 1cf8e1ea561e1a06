"""The scikit-learn flavour: skops files by an allow-list of types, pickles only when they are allowed."""

from __future__ import annotations

from flyball.kernel.errors import MissingExtra, Unsupported
from flyball.serving.entities import ModelSpec
from flyball.serving.flavours.estimators import EstimatorRuntime
from flyball.serving.flavours.files import model_file, refuse_code
from flyball.serving.flavours.skops import load_pickle, load_skops

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


class SklearnFlavour:
    """Load scikit-learn models that MLflow saved."""

    def load(self, spec: ModelSpec, *, allow_pickle: bool) -> EstimatorRuntime:
        _check_version(spec)
        refuse_code(spec)
        file = model_file(spec, "pickled_model")
        stored_as = spec.options.get("serialization_format", "pickle")
        if stored_as == SKOPS:
            model = load_skops(file, trusted=TRUSTED_TYPES)
        elif stored_as in PICKLES:
            model = load_pickle(spec, file, str(stored_as), allowed=allow_pickle)
        else:
            raise Unsupported(
                f"the model is stored as '{stored_as}'; loaded here: skops, and pickle or cloudpickle when allowed",
                field="flavors.sklearn.serialization_format",
            )
        return EstimatorRuntime(model, spec.signature)


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
