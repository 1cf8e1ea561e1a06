"""A model in memory behind its signature: what a request and a batch job predict with."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import numpy as np

from flyball.serving.entities import Array, ColumnKind, Columns, ColumnSpec, Prediction, Signature
from flyball.serving.flavours import open_flavour
from flyball.serving.isolation.placement import IN_THE_SERVER, Isolation
from flyball.serving.isolation.runtime import RemoteRuntime
from flyball.serving.model_folder import read_model_folder
from flyball.serving.ports import Runtime
from flyball.serving.signature import NamedRows, Rows, enforce
from flyball.serving.values import ANY_SIZE

_NEUTRAL = {
    ColumnKind.BOOLEAN: np.zeros(1, dtype=np.bool_),
    ColumnKind.INTEGER: np.zeros(1, dtype=np.int64),
    ColumnKind.LONG: np.zeros(1, dtype=np.int64),
    ColumnKind.FLOAT: np.zeros(1),
    ColumnKind.DOUBLE: np.zeros(1),
    ColumnKind.DATETIME: np.zeros(1, dtype="datetime64[ns]"),
}


# The property that says what a model is served from, and what it says where that is the original.
FAST_PATH, NO_FAST_PATH = "fast_path", "none"


class Place(StrEnum):
    """Where a model runs."""

    IN_PROCESS = "in_process"
    ISOLATED = "isolated"
    """In a process of its own."""
    FAST_PATH = "fast_path"
    """In the model server, from a conversion that is proven to say the same."""


class ServedModel:
    """A runtime that is never called with anything its signature does not allow. Safe to share between threads."""

    def __init__(self, runtime: Runtime, signature: Signature, *, isolated: RemoteRuntime | None = None) -> None:
        self._runtime = runtime
        self._signature = signature
        self._isolated = isolated
        self._properties: Mapping[str, str] = {}

    @property
    def signature(self) -> Signature:
        """The columns the model wants."""
        return self._signature

    @property
    def place(self) -> str:
        """Where the model runs, in words for people."""
        return IN_THE_SERVER if self._isolated is None else self._isolated.place

    @property
    def fault(self) -> str:
        """Why the model cannot answer at present; empty while it can."""
        return "" if self._isolated is None else self._isolated.fault

    @property
    def outside_bytes(self) -> int:
        """The memory of the process that the model has to itself; 0 where it runs in ours."""
        return 0 if self._isolated is None else self._isolated.resident_bytes

    def close(self) -> None:
        """Let go of the model; one that runs in a process of its own answers what it was asked, and ends."""
        if self._isolated is not None:
            self._isolated.close()

    @property
    def runtime(self) -> Runtime:
        """What predicts at present; it must only be given what `columns_of` returned."""
        return self._runtime

    @property
    def properties(self) -> Mapping[str, str]:
        """What callers are told of how the model is served."""
        return self._properties

    @property
    def about(self) -> Mapping[str, str]:
        """The properties, and where the model runs: for machines (`place`) and for people (`environment`)."""
        properties = self._properties  # once: another thread may replace them
        fast = properties.get(FAST_PATH, NO_FAST_PATH) != NO_FAST_PATH
        place = Place.FAST_PATH if fast else Place.IN_PROCESS if self._isolated is None else Place.ISOLATED
        return {"place": place.value, "environment": self.place, **properties}

    def describe(self, properties: Mapping[str, str]) -> None:
        """Set what callers are told of how the model is served."""
        self._properties = properties

    def replace(self, runtime: Runtime, properties: Mapping[str, str]) -> None:
        """Answer with another runtime that is proven to say the same; predictions under way end with the old one."""
        self._runtime = runtime
        self._properties = properties

    def predict(self, columns: Columns) -> Prediction:
        """Predict named columns.

        Raises:
            InvalidInput: a column is missing, extra, mistyped or lossy, or the model refuses a value.
        """
        return self.predict_rows(self.columns_of(NamedRows(columns=columns)))

    def columns_of(self, rows: Rows) -> Columns:
        """Return rows as the model will see them: in its order, of its types.

        Raises:
            InvalidInput: they do not fit the signature; `field` names the column.
        """
        return enforce(self._signature, rows)

    def predict_rows(self, columns: Columns) -> Prediction:
        """Predict columns that `columns_of` returned."""
        return self._runtime.predict(columns)

    def warm_up(self) -> bool:
        """Predict one neutral row, so that the first caller does not wait for lazy work; tell whether there was one.

        No text is neutral (a model may know its categories only), nor is a tensor of unknown size: such a model is not warmed.

        Raises:
            InvalidInput: the model cannot predict a row that its signature allows.
        """
        neutral = {spec.name: _neutral(spec) for spec in self._signature.inputs}
        known = {name: values for name, values in neutral.items() if values is not None}
        if len(known) < len(neutral):
            return False
        self.predict(known)
        return True


def _neutral(spec: ColumnSpec) -> Array | None:
    """Return a row of zeros, None where nothing is neutral."""
    if spec.tensor is None:
        return _NEUTRAL.get(spec.kind)
    if ANY_SIZE in spec.tensor.shape or spec.tensor.dtype == "object":
        return None
    return np.zeros((1, *spec.tensor.shape), dtype=spec.tensor.dtype)


def load_model(folder: Path, *, allow_pickle: bool, isolation: Isolation | None = None) -> ServedModel:
    """Load an MLflow-format model folder; without `isolation` it runs in this process, whatever its environment.

    Raises:
        InvalidInput: the folder is no model folder, has no signature, or its files are damaged or not trusted.
        Unsupported: a flavour, format, type or version that is not served.
        MissingExtra: the model's library is not installed.
        Unavailable: the model's environment cannot be made at present.
    """
    spec = read_model_folder(folder)
    isolated = None if isolation is None else isolation.place(spec, allow_pickle=allow_pickle)
    runtime = isolated or open_flavour(spec.flavour).load(spec, allow_pickle=allow_pickle)
    return ServedModel(runtime, spec.signature, isolated=isolated)
