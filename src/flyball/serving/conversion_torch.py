"""Convert PyTorch modules, and Keras models that run on PyTorch, to ONNX with PyTorch's own exporter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flyball.kernel.errors import MissingExtra, Unsupported
from flyball.serving.entities import Array, Columns, Prediction
from flyball.serving.flavours.keras import KerasRuntime
from flyball.serving.flavours.torch import TorchRuntime

# Two are enough to show what the number of rows is; a program that was traced on one row may take it for a constant.
TRACED_ROWS = 4
OPSET = 18
SAID = "__said__"


def traced_graph(
    runtime: TorchRuntime | KerasRuntime, rows: Columns, *, names: Sequence[str], precision: str, said: Prediction
) -> Any:  # noqa: ANN401 -- a graph
    """Return the graph of a network, traced on some of its rows; its inputs get the names.

    Raises:
        Unsupported: it runs on another library than PyTorch, has several outputs or, in Keras, several inputs.
        MissingExtra: the exporter is not installed.
    """
    if precision != "float32":
        raise Unsupported("PyTorch's exporter keeps the precision that the network has")
    if said.outputs:
        raise Unsupported("the network has several outputs, or one of more dimensions than rows and values")
    arrays = [np.array(values[:TRACED_ROWS]) for values in runtime.arrays(rows)]
    if isinstance(runtime, TorchRuntime):
        return _exported(runtime.module, arrays, names)
    if runtime.backend != "torch":
        raise Unsupported(f"Keras runs on {runtime.backend} here; models on PyTorch and TensorFlow are converted")
    if len(arrays) != 1:
        raise Unsupported("the Keras model has several inputs")
    return _exported(_inference_of(runtime.model), arrays, names)


def _exported(module: Any, arrays: Sequence[Array], names: Sequence[str]) -> Any:  # noqa: ANN401 -- without types
    try:
        import onnxscript  # noqa: F401 -- the exporter needs it and says so in many words only
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtra.named("onnxscript", "torch") from error
    program = torch.onnx.export(
        module,
        tuple(torch.from_numpy(values) for values in arrays),
        dynamo=True,
        input_names=list(names),
        output_names=[SAID],
        dynamic_shapes=tuple({0: torch.export.Dim.AUTO} for _ in arrays),
        opset_version=OPSET,
        verbose=False,
    )
    return program.model_proto


def _inference_of(model: Any) -> Any:  # noqa: ANN401 -- without types
    """Return a Keras model as the module that it is for PyTorch, called for inference."""
    import torch

    class Inference(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, rows: object) -> Any:  # noqa: ANN401 -- a tensor
            return self.model(rows, training=False)

    return Inference().eval()
