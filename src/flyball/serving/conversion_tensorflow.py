"""Convert Keras models that run on TensorFlow, and SavedModels, to ONNX with tf2onnx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyball.kernel.errors import MissingExtra, Unsupported
from flyball.serving.entities import Array, Columns, Prediction
from flyball.serving.flavours.keras import KerasRuntime
from flyball.serving.flavours.saved_model import SavedModelRuntime

OPSET = 18


def frozen_graph(
    runtime: SavedModelRuntime | KerasRuntime, rows: Columns, *, names: Sequence[str], precision: str, said: Prediction
) -> Any:  # noqa: ANN401 -- a graph
    """Return the graph of a network of TensorFlow for any number of rows; its inputs get the names.

    Raises:
        Unsupported: it has several outputs or, in Keras, several inputs.
        MissingExtra: the converter is not installed.
    """
    if precision != "float32":
        raise Unsupported("tf2onnx keeps the precision that the network has")
    if said.outputs:
        raise Unsupported("the network has several outputs, or one of more dimensions than rows and values")
    arrays = runtime.arrays(rows)
    if isinstance(runtime, SavedModelRuntime):
        return _converted(runtime.function, arrays, names)
    if len(arrays) != 1:
        raise Unsupported("the Keras model has several inputs")
    model = runtime.model
    return _converted(lambda given: model(given, training=False), arrays, names)


def _converted(function: Any, arrays: Sequence[Array], names: Sequence[str]) -> Any:  # noqa: ANN401 -- without types
    import tensorflow as tf

    try:
        import tf2onnx
    except ModuleNotFoundError as error:
        raise MissingExtra.named("tf2onnx", "tensorflow") from error
    # TensorFlow takes fewer characters for a name than a column may have, so each gets its own afterwards.
    given = [
        tf.TensorSpec([None, *values.shape[1:]], values.dtype, name=f"input_{place}")
        for place, values in enumerate(arrays)
    ]
    graph, _ = tf2onnx.convert.from_function(tf.function(function), input_signature=given, opset=OPSET)
    return _named(graph, names)


def _named(graph: Any, names: Sequence[str]) -> Any:  # noqa: ANN401 -- a graph
    """Give the inputs names, each handed on to what takes it under the name that it had."""
    from onnx import helper

    by_name = {one.name: one for one in graph.graph.input}
    for place, name in enumerate(names):
        old = f"input_{place}"
        if old not in by_name:  # an input that the network does not look at is left out of the graph
            raise Unsupported(f"the network makes nothing of its input '{name}'")
        by_name[old].name = name
        graph.graph.node.insert(0, helper.make_node("Identity", [name], [old]))
    return graph
