"""Convert loaded models to ONNX: scikit-learn with skl2onnx, XGBoost and LightGBM with onnxmltools, networks by their library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flyball.kernel.errors import MissingExtra, Unsupported
from flyball.serving.conversion_tensorflow import frozen_graph
from flyball.serving.conversion_torch import traced_graph
from flyball.serving.entities import ColumnKind, Columns, Prediction, Signature
from flyball.serving.flavours.estimators import EstimatorRuntime
from flyball.serving.flavours.keras import KerasRuntime
from flyball.serving.flavours.lightgbm import LightgbmRuntime
from flyball.serving.flavours.saved_model import SavedModelRuntime
from flyball.serving.flavours.torch import TorchRuntime
from flyball.serving.flavours.xgboost import XgboostRuntime
from flyball.serving.parity import Plan
from flyball.serving.ports import Runtime

# Thirty-two bits first: they are what the operators for trees compute in, and what is fastest where they are close enough.
PRECISIONS = ("float32", "float64")
OPSETS = {"": 18, "ai.onnx.ml": 3}
# The newest that onnxmltools writes trees for.
TREES_OPSET = 15
MATRIX = "__rows__"
LIBRARIES = (
    "onnx",
    "onnxruntime",
    "skl2onnx",
    "onnxmltools",
    "onnxscript",
    "torch",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "tf2onnx",
)
TENSORFLOW = "tensorflow"
_HISTOGRAM_TREES = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
_TWO = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A model as ONNX, and how it is asked."""

    content: bytes
    plan: Plan


def convert(runtime: Runtime, signature: Signature, *, precision: str, rows: Columns, said: Prediction) -> Converted:
    """Convert a model in a precision. `said` is what the original says of the rows: it tells what kind of answers it gives.

    Raises:
        Unsupported: there is no converter for it.
        MissingExtra: the converters are not installed.
    """
    if isinstance(runtime, EstimatorRuntime):
        graph = _estimator(runtime, signature, precision=precision)
    elif isinstance(runtime, XgboostRuntime):
        graph = _xgboost(runtime, signature, precision=precision)
    elif isinstance(runtime, LightgbmRuntime):
        graph = _lightgbm(runtime, signature, precision=precision)
    elif isinstance(runtime, TorchRuntime | KerasRuntime | SavedModelRuntime):
        graph = _network(runtime, signature, precision=precision, rows=rows, said=said)
    else:
        raise Unsupported("there is no converter to ONNX for models of this flavour")
    outputs = [one.name for one in graph.graph.output]
    return Converted(content=graph.SerializeToString(), plan=_plan(outputs, runtime.order, said=said))


def _network(
    runtime: TorchRuntime | KerasRuntime | SavedModelRuntime,
    signature: Signature,
    *,
    precision: str,
    rows: Columns,
    said: Prediction,
) -> Any:  # noqa: ANN401 -- a graph
    names = (MATRIX,) if runtime.order else signature.names
    if isinstance(runtime, SavedModelRuntime) or (isinstance(runtime, KerasRuntime) and runtime.backend == TENSORFLOW):
        return frozen_graph(runtime, rows, names=names, precision=precision, said=said)
    return traced_graph(runtime, rows, names=names, precision=precision, said=said)


def _plan(outputs: Sequence[str], order: tuple[str, ...], *, said: Prediction) -> Plan:
    if said.probabilities is not None and said.classes is not None:
        return Plan(order=order, task="classes", output=outputs[-1], classes=tuple(said.classes.tolist()))
    if said.labels.dtype.kind != "f":
        return Plan(order=order, task="labels", output=outputs[0])
    # A booster with a logistic objective: converters make a classifier of it, and its answer is the second class's chance.
    several = len(outputs) > 1
    task = "second" if several and said.labels.ndim < _TWO else "values"
    return Plan(order=order, task=task, output=outputs[-1])


def _inputs(kinds: Any, signature: Signature, *, order: tuple[str, ...], precision: str) -> list[tuple[str, Any]]:  # noqa: ANN401 -- a module
    """Return the inputs of the graph: one matrix, or each column for itself."""
    number = kinds.FloatTensorType if precision == "float32" else kinds.DoubleTensorType
    if order:
        return [(MATRIX, number([None, len(order)]))]
    for spec in signature.inputs:
        if spec.kind in {ColumnKind.BINARY, ColumnKind.DATETIME, ColumnKind.TENSOR}:
            raise Unsupported(f"column '{spec.name}' is {spec.kind.value}, which the converters do not take")
    text = ColumnKind.STRING
    return [
        (spec.name, kinds.StringTensorType([None, 1]) if spec.kind is text else number([None, 1]))
        for spec in signature.inputs
    ]


def _estimator(runtime: EstimatorRuntime, signature: Signature, *, precision: str) -> Any:  # noqa: ANN401 -- a graph
    try:
        import skl2onnx
        from skl2onnx.common import data_types
    except ModuleNotFoundError as error:
        raise MissingExtra.named("skl2onnx", "onnx") from error
    model: Any = runtime.model
    return skl2onnx.convert_sklearn(
        model,
        initial_types=_inputs(data_types, signature, order=runtime.order, precision=precision),
        options={id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None,
        custom_conversion_functions=_mended(),
        target_opset=OPSETS,
    )


def _mended() -> dict[type, Any]:
    """Return the converters of skl2onnx for histogram trees, fed with plain integers, which alone its version 1.20 can write."""
    from skl2onnx.common._registration import get_converter
    from sklearn import ensemble

    def mend(name: str) -> Any:  # noqa: ANN401 -- a converter
        convert_it = get_converter(f"Sklearn{name}")
        return lambda scope, operator, container: convert_it(scope, operator, _PlainIntegers(container))

    return {getattr(ensemble, name): mend(name) for name in _HISTOGRAM_TREES}


class _PlainIntegers:
    """A container of nodes that takes truths and numpy's integers, and hands on Python's integers."""

    def __init__(self, container: Any) -> None:  # noqa: ANN401 -- of the converter
        self._container = container

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- of the converter
        return getattr(self._container, name)

    def add_node(self, *given: Any, **attributes: Any) -> Any:  # noqa: ANN401 -- of the converter
        return self._container.add_node(*given, **{name: _plain(value) for name, value in attributes.items()})


def _plain(value: Any) -> Any:  # noqa: ANN401 -- an attribute of a node
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (bool, np.bool_, np.integer)):
        return int(value)
    return value


def _xgboost(runtime: XgboostRuntime, signature: Signature, *, precision: str) -> Any:  # noqa: ANN401 -- a graph
    tools, data_types = _onnxmltools(precision, library="XGBoost")
    booster = runtime.booster.copy()
    if runtime.rounds != (0, 0):
        booster = booster[: runtime.rounds[1]]
    booster.feature_names = None
    inputs = _inputs(data_types, signature, order=runtime.order, precision=precision)
    return tools.convert_xgboost(booster, initial_types=inputs, target_opset=TREES_OPSET)


def _lightgbm(runtime: LightgbmRuntime, signature: Signature, *, precision: str) -> Any:  # noqa: ANN401 -- a graph
    tools, data_types = _onnxmltools(precision, library="LightGBM")
    inputs = _inputs(data_types, signature, order=runtime.order, precision=precision)
    return tools.convert_lightgbm(runtime.booster, initial_types=inputs, target_opset=TREES_OPSET, zipmap=False)


def _onnxmltools(precision: str, *, library: str) -> tuple[Any, Any]:
    try:
        import onnxmltools
        from onnxmltools.convert.common import data_types
    except ModuleNotFoundError as error:
        raise MissingExtra.named("onnxmltools", "onnx") from error
    if precision != "float32":
        raise Unsupported(f"{library}'s converter knows 32 bits only")
    return onnxmltools, data_types
