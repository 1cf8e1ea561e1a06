"""ONNX Runtime sessions: one thread each, inputs and outputs by name, nothing copied that need not be, and nobody told of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flyball.kernel.errors import InvalidInput, MissingExtra, Unsupported
from flyball.serving.entities import Array

_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_MATRIX = 2
# Since version 1.29 the official builds report each session (names and digests of the model, times) to their maker, and keep a number
# of this machine for it in the home folder. It is read when the library is loaded, and only this stops all of it.
_SILENT = {"ORT_DISABLE_TELEMETRY": "1"}


class Session:
    """A model in ONNX Runtime. Any number of threads may run it."""

    def __init__(self, model: Path | bytes, *, wanted: tuple[str, ...] = ()) -> None:
        """Open a model, for the outputs that are wanted (all of them when none is named).

        Raises:
            InvalidInput: it is none, damaged, or has operators that this runtime does not know.
            MissingExtra: ONNX Runtime is not installed.
        """
        report_nothing()
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            raise MissingExtra.named("onnxruntime", "onnx") from error
        options = onnxruntime.SessionOptions()
        # A batch is the unit of work here, and batches run beside each other; threads inside would only wait for each other.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library's errors share no root of their own
            raise InvalidInput(f"the ONNX model cannot be loaded: {error}", field="model") from error
        self.inputs = {one.name: _numpy_type(one.name, one.type) for one in self._session.get_inputs()}
        self.ranks = {one.name: len(one.shape or ()) for one in self._session.get_inputs()}
        self.widths = {one.name: _width(one.shape) for one in self._session.get_inputs()}
        self.outputs = wanted or tuple(one.name for one in self._session.get_outputs())
        self._names = list(self.outputs)
        self._run = self._session.run

    def run(self, feeds: Mapping[str, Array]) -> Sequence[Any]:
        """Return the outputs in their order: arrays, or lists of mappings.

        Raises:
            InvalidInput: the model refuses what it is fed with.
        """
        try:
            found: Sequence[Any] = self._run(self._names, feeds)
        except Exception as error:  # as above
            raise InvalidInput(f"the model refuses these rows: {error}", field="inputs") from error
        return found


def report_nothing() -> None:
    """Keep ONNX Runtime from sending anything; to be called before anybody loads it."""
    os.environ.update(_SILENT)


def _numpy_type(name: str, kind: str) -> np.dtype[Any]:
    if kind not in _TYPES:
        raise Unsupported(f"input '{name}' of the ONNX model is {kind}; served here: {', '.join(_TYPES)}", field=name)
    return np.dtype(_TYPES[kind])


def _width(shape: Sequence[object] | None) -> int:
    """Return how many columns a matrix has, 0 where it does not say."""
    width = shape[1] if shape is not None and len(shape) == _MATRIX else 0
    return width if isinstance(width, int) else 0
